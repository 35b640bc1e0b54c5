"""A trained network, restored for a measurement."""

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jointpose import run_options
from jointpose.checkpoints import checkpoint, checkpoint_variables
from jointpose.datasets import arrays
from jointpose.inference import pose_estimator
from jointpose.nn import spectrum_cache
from jointpose.nn.tf1 import tf
from jointpose.training import batches
from jointpose.training.devices import session_config


class TrainedNetwork(NamedTuple):
    """A network in its session."""

    system: Any  # systems.base.System
    options: argparse.Namespace
    session: tf.Session
    evaluation: Any  # towers.Evaluation

    def outputs(
        self, split: arrays.Split, rows: Sequence[int]
    ) -> tuple[dict[str, np.ndarray], batches.Batch, np.ndarray]:
        """What the network gives for people of a split, all views averaged.

        Returns:
            {output: [n, ...]}, the Batch that the network saw, and the matrices [n, 2, 3] from
            pixels of the outputs to those of the pictures.
        """
        people = self.system.prepare_split(arrays.select(split, np.asarray(rows)))
        batch = batches.views_batch(self.system, people, np.arange(len(rows)))
        feed = batches.feed(self.evaluation.batch, batch)
        outputs, back = self.session.run([self.evaluation.combined, self.evaluation.back], feed)
        return outputs, batch, back


@contextlib.contextmanager
def restored(run: str, *arguments: str) -> Iterator[TrainedNetwork]:
    """The network of a run's newest checkpoint, for the length of a `with` block.

    Args:
        run: folder of the run, or of a checkpoint; --run in error messages.
        arguments: further options of main.py.
    """
    command = ['--restore', checkpoint.find('', run, '--run').path, *arguments]
    options, system, found, _ = run_options.resolve_options(command)
    with tf.Graph().as_default():
        tf.train.get_or_create_global_step()  # restored too
        graph = pose_estimator.build_graph(system, options)
        with tf.Session(config=session_config(options.gpus)) as session:
            checkpoint_variables.restore(session, graph.saver, found)
            with spectrum_cache.filled(session, graph.spectra):
                yield TrainedNetwork(system, options, session, graph.evaluation)
