"""The spatial model, forward and with its gradients."""

from collections.abc import Iterator, Sequence

import numpy as np

from jointpose import pairwise_distr, spatial_model
from jointpose.datasets.flic import MAP_HEIGHT, MAP_SIZE, MAP_WIDTH, N_JOINTS, N_MAPS
from jointpose.nn.tf1 import tf
from tools import baseline_tf1
from tools.benchmark.operations import spatial_flop
from tools.benchmark.sizes import Sizes
from tools.benchmark.table import Row
from tools.benchmark.timing import Process, Step, Time, measure

# {batch: target of the ratio}
FORWARD_TARGETS = {14: 6}
GRADIENT_TARGETS = {14: 90}


def spatial_step(batch_size: int, gradient: bool, joints: Sequence[int] | None = None) -> Step:
    """A Step of the spatial model on random maps, forward or with its gradients.

    joints: those of the plain one that are built; None: ours, all of it.
    """
    rng = np.random.default_rng(0)
    pairs = len(spatial_model.PAIRS_TO_JOINTS)
    with tf.Graph().as_default():
        maps = tf.get_variable('maps', [batch_size, MAP_HEIGHT, MAP_WIDTH, N_MAPS])
        if joints is None:
            model = spatial_model.build(maps.read_value())
            logits = model.logits
            energies = model.energies
            biases = model.biases
        else:
            energies = tf.get_variable('energies', [pairs, *pairwise_distr.prior_size(MAP_SIZE)])
            biases = tf.get_variable('biases', [pairs, MAP_HEIGHT, MAP_WIDTH])
            logits = baseline_tf1.spatial_model(maps.read_value(), energies, biases, joints)
        variables = [maps, energies, biases]
        results = [logits]
        if gradient:
            results = tf.gradients(tf.nn.l2_loss(logits), variables)
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        for variable in variables:
            variable.load(rng.random(variable.shape.as_list(), np.float32), session)
    return Step(session, [tensor.op for tensor in results])


def bench_spatial(sizes: Sizes, folder: str) -> Iterator[Row]:
    """Plain without oneDNN, which takes 44 times as long with such large filters (AMD EPYC, batch 1)."""
    with Process(onednn=False) as process:
        for batch_size in sizes.forward:
            yield forward_row(process, batch_size, sizes.repeats)
        for batch_size in sizes.gradient:
            yield gradient_row(process, batch_size, sizes.repeats)


def forward_row(process: Process, batch_size: int, repeats: int) -> Row:
    """The row of a forward pass; plain runs in `process`."""
    ours = spatial_step(batch_size, False)
    plain = process.function(spatial_step, batch_size, False, range(N_JOINTS))
    times, runs = measure(repeats, ours, plain)
    return Row(
        'spatial model, forward',
        f'batch {batch_size}',
        *times,
        runs,
        FORWARD_TARGETS.get(batch_size),
        spatial_flop(batch_size, False),
    )


def gradient_row(process: Process, batch_size: int, repeats: int) -> Row:
    """The row with gradients.  Of plain, one joint's 9 of the 81 pairs are timed, times 9."""
    ours = spatial_step(batch_size, True)
    plain = process.function(spatial_step, batch_size, True, [0])
    (own, joint), runs = measure(repeats, ours, plain)
    return Row(
        f'spatial model, forward + backward (9 x {joint.wall:.2f})',
        f'batch {batch_size}',
        own,
        Time(N_JOINTS * joint.wall, N_JOINTS * joint.cpu),
        runs,
        GRADIENT_TARGETS.get(batch_size),
        spatial_flop(batch_size, True),
    )
