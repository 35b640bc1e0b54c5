"""The graph to export: the network with its values in place of variables."""

import argparse
import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from jointpose import systems
from jointpose.checkpoints import checkpoint_variables
from jointpose.checkpoints.checkpoint import Checkpoint
from jointpose.nn import spectrum_cache
from jointpose.nn.tf1 import tf
from jointpose.options import options as command_line
from jointpose.training import towers

Arrays = dict[str, np.ndarray]
Run = Callable[[Arrays], Arrays]  # {input: array} -> {output: array}


class Frozen(NamedTuple):
    """A graph without variables."""

    graph_def: tf.GraphDef
    inputs: tuple[str, ...]  # names
    outputs: tuple[str, ...]  # names


def settings_of(found: Checkpoint) -> tuple:
    """(system, options) of a checkpoint's run, as main.py --restore has them."""
    settings = found.state['settings']
    names = systems.names()
    system = systems.load(settings.get('system', command_line.DEFAULT_SYSTEM))
    options, explicit = command_line.parse(system, names, ['--restore'])
    command_line.merge_restored(options, explicit, settings, found.path, system, names)
    return system(options), options


def inputs_of(system) -> dict:
    """{name: placeholder}: the image, and the network's other inputs."""
    inputs = {'image': tf.placeholder(tf.uint8, [None, *system.input_size, 3], 'image')}
    shapes = system.target_shapes()
    for name in system.exported_inputs:
        inputs[name] = tf.placeholder(tf.float32, [None, *shapes[name]], name)
    return inputs


def network(system, inputs: dict, portable: bool):
    """The network that training builds, too.  portable: of operations that every format has."""
    return towers.build_network(system, inputs['image'], inputs, training=False, portable=portable)


def plain_graph(system, options: argparse.Namespace, portable: bool) -> tuple[dict, dict, object]:
    """({name: placeholder}, {name: tensor}, the maps that `joints` are decoded from)."""
    inputs = inputs_of(system)
    built = network(system, inputs, portable)
    return inputs, system.export_outputs(built), list(built.outputs.values())[-1]


def freeze(found: Checkpoint, system, options, build: Callable = plain_graph) -> Frozen:
    """The graph of a checkpoint without variables.

    build: makes the graph, as plain_graph does.
    """
    with tf.Graph().as_default() as graph, cpu_session() as session:
        inputs, outputs, _ = build(system, options, portable=True)
        for name, tensor in outputs.items():
            tf.identity(tensor, name)
        checkpoint_variables.restore(session, tf.train.Saver(), found)
        graph_def = tf.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), list(outputs)
        )
    return Frozen(fold(graph_def, list(outputs)), tuple(inputs), tuple(outputs))


def fold(graph_def: tf.GraphDef, outputs: list[str]) -> tf.GraphDef:
    """Replaces what depends on no input by its value: batch norm's factors, spectra of priors."""
    with tf.Graph().as_default() as graph, cpu_session() as session:
        tf.import_graph_def(graph_def, name='')
        values = session.run(foldable_tensors(graph))
    with tf.Graph().as_default() as graph:
        constants = {name: tf.constant(value) for name, value in values.items()}
        tf.import_graph_def(graph_def, constants, name='')
        return tf.graph_util.extract_sub_graph(graph.as_graph_def(), outputs)


def foldable_tensors(graph: tf.Graph) -> dict:
    """{name: tensor} that depend on no input and are taken by operations that do."""
    fixed = set()  # operations that depend on no input
    needed = {}
    for op in graph.get_operations():  # inputs come before what takes them
        fixed_inputs = [tensor for tensor in op.inputs if tensor.op in fixed]
        if op.type != 'Placeholder' and len(fixed_inputs) == len(op.inputs):
            fixed.add(op)
            continue
        for tensor in fixed_inputs:
            if tensor.op.type != 'Const':
                needed[tensor.name] = tensor
    return needed


def cpu_session() -> tf.Session:
    """A session on the CPU, for comparisons: a GPU may round to fewer digits."""
    return tf.Session(config=tf.ConfigProto(device_count={'GPU': 0}))


@contextlib.contextmanager
def live_network(
    found: Checkpoint, system, options, build: Callable = plain_graph
) -> Iterator[Run]:
    """Yields the checkpoint in the graph that main.py evaluates, joints by the system's `decode`."""
    with tf.Graph().as_default(), cpu_session() as session:
        places, outputs, prediction = build(system, options, portable=False)
        spectra = spectrum_cache.operations_of_graph()
        checkpoint_variables.restore(session, tf.train.Saver(), found)

        def run(inputs):
            feed = {places[name]: value for name, value in inputs.items()}
            values, maps = session.run([outputs, prediction], feed)
            if 'joints' in outputs:
                poses = [people[0] for people in system.decode(maps)]
                values['joints'] = np.stack([pose.joints_xy for pose in poses])
            return values

        with spectrum_cache.filled(session, spectra):
            yield run
