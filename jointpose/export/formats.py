"""Writes and runs the exported files: SavedModel and ONNX.

A file of an earlier export is recognised and replaced, anybody else's never is.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Sequence

import numpy as np

from jointpose.checkpoints import checkpoint
from jointpose.checkpoints.checkpoint import Checkpoint
from jointpose.export.network import Frozen, Run, cpu_session
from jointpose.nn.tf1 import short_message, tf
from jointpose.utils import outputs
from jointpose.utils.errors import InputError

SAVED_MODEL = 'saved_model'
ONNX = 'model.onnx'
MESSAGES = 'messages.onnx'
ORIGIN = 'assets.extra/origin.json'  # of a SavedModel: the checkpoint it was made from
# The name of one of write_onnx's metadata, as protocol buffers have it.
ONNX_MARK = b'\x06joints'
OPSET = 17  # of ONNX: old enough for most runtimes
LARGE = 4096  # numbers in a constant that the converter does not get to see


# --- earlier exports ------------------------------------------------------------------------------


def announce_replaced(out: str, names: Sequence[str] = (SAVED_MODEL, ONNX)) -> None:
    """Prints which earlier exports in the folder `out` will be replaced."""
    for name in names:
        if earlier := earlier_export(out, name):
            print(outputs.replacement_note(os.path.join(out, name), earlier))


def earlier_export(out: str, name: str) -> str:
    """What an earlier export of that name in `out` was made from; '' if there is none.

    InputError: there is something else of that name.
    """
    path = os.path.join(out, name)
    if not os.path.lexists(path):
        return ''
    origin = os.path.join(path, ORIGIN)
    if name == SAVED_MODEL and os.path.isfile(origin):
        with contextlib.suppress(OSError, ValueError, KeyError), open(origin) as file:
            return f'of {json.load(file)["checkpoint"]}'
    if name in (ONNX, MESSAGES) and os.path.isfile(path) and outputs.has_mark(path, ONNX_MARK):
        return outputs.describe_by_date(ONNX_MARK)(path)
    raise InputError(f'--out {out}: {name} is not from an earlier export: name another folder')


def origin_of(found: Checkpoint) -> str:
    """'RUN/step-N'."""
    return '/'.join(os.path.normpath(found.path).split(os.sep)[-2:])


# --- SavedModel -----------------------------------------------------------------------------------


def write_saved_model(path: str, frozen: Frozen, found: Checkpoint) -> None:
    """Writes the folder of a SavedModel, with signature serving_default; may raise OSError."""
    with tf.Graph().as_default() as graph, cpu_session() as session:
        tf.import_graph_def(frozen.graph_def, name='')
        inputs = {name: graph.get_tensor_by_name(f'{name}:0') for name in frozen.inputs}
        results = {name: graph.get_tensor_by_name(f'{name}:0') for name in frozen.outputs}
        try:
            tf.saved_model.simple_save(session, path, inputs, results)
        except tf.errors.OpError as error:
            raise OSError(short_message(error)) from error
    os.mkdir(os.path.join(path, 'assets.extra'))
    origin = {'checkpoint': origin_of(found), 'code': checkpoint.code_version()}
    checkpoint.write_json(os.path.join(path, ORIGIN), origin)


@contextlib.contextmanager
def saved_model(path: str) -> Iterator[Run]:
    """Yields a SavedModel as a function {input: array} -> {output: array}."""
    with tf.Graph().as_default(), cpu_session() as session:
        signature = tf.saved_model.load(session, ['serve'], path).signature_def['serving_default']
        results = {name: tensor.name for name, tensor in signature.outputs.items()}

        def run(inputs):
            feed = {signature.inputs[name].name: value for name, value in inputs.items()}
            return session.run(results, feed)

        yield run


# --- ONNX -----------------------------------------------------------------------------------------


def import_converter() -> tuple:
    """(onnx, tf2onnx), made quiet; InputError says what to install."""
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import tf2onnx
    except ImportError as error:
        raise InputError(
            f'{error}: {ONNX} needs `pip install -r requirements-export.txt`, --saved_model_only '
            'does not'
        ) from error
    logging.getLogger('tf2onnx').setLevel(logging.ERROR)
    return onnx, tf2onnx


def write_onnx(
    path: str, frozen: Frozen, converter: tuple, found: Checkpoint, joints: Sequence[str]
) -> None:
    """Writes the ONNX model; its metadata name the joints and the checkpoint.

    The converter copies every constant dozens of times (14 GB at full width).  So it gets large
    ones as inputs, and their values are put in afterwards.
    """
    onnx, tf2onnx = converter
    stripped, values = without_values(frozen.graph_def)
    inputs = (*frozen.inputs, *values)
    converted, _ = tf2onnx.convert.from_graph_def(
        stripped,
        name='pose',
        input_names=[f'{name}:0' for name in inputs],
        opset=OPSET,
        output_names=[f'{name}:0' for name in frozen.outputs],
        tensors_to_rename={f'{name}:0': name for name in (*inputs, *frozen.outputs)},
    )
    put_values(onnx, converted.graph, values)
    for value in (*converted.graph.input, *converted.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = 'n'
    metadata = {
        'joints': ' '.join(joints),
        'checkpoint': origin_of(found),
        'code': checkpoint.code_version(),
    }
    onnx.helper.set_model_props(converted, metadata)
    onnx.checker.check_model(converted)
    onnx.save(converted, path)


def without_values(graph_def: tf.GraphDef) -> tuple[tf.GraphDef, dict[str, np.ndarray]]:
    """(graph with a placeholder for each large float constant, {its name: value})."""
    stripped = tf.GraphDef(versions=graph_def.versions)
    values = {}
    for node in graph_def.node:
        if not is_large_constant(node):
            stripped.node.add().CopyFrom(node)
            continue
        tensor = node.attr['value'].tensor
        values[node.name] = tf.make_ndarray(tensor)
        placeholder = stripped.node.add(name=node.name, op='Placeholder')
        placeholder.attr['dtype'].type = tensor.dtype
        placeholder.attr['shape'].shape.CopyFrom(tensor.tensor_shape)
    return stripped, values


def is_large_constant(node) -> bool:
    """Whether a node of a GraphDef is a float constant of at least LARGE numbers."""
    if node.op != 'Const':
        return False
    tensor = node.attr['value'].tensor
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    return tensor.dtype == tf.float32.as_datatype_enum and np.prod(shape) >= LARGE


def put_values(onnx, graph, values: dict[str, np.ndarray]) -> None:
    """Makes these inputs of an ONNX graph constants.

    Filters are transposed here, so that calls need not.
    """
    values = dict(values)
    transposes = [node for node in graph.node if node.op_type == 'Transpose']
    for node in transposes:
        if node.input[0] in values:
            axes = node.attribute[0].ints
            values[node.output[0]] = values[node.input[0]].transpose(axes)
            graph.node.remove(node)
    for value in list(graph.input):
        if value.name in values:
            graph.input.remove(value)
    used = set()
    for node in graph.node:
        used.update(node.input)
    for name, value in values.items():
        if name in used:
            tensor = onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
            graph.initializer.append(tensor)


@contextlib.contextmanager
def onnx_model(path: str) -> Iterator[Run]:
    """Yields an ONNX model as a function {input: array} -> {output: array}."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    yield lambda inputs: dict(zip(names, session.run(names, inputs)))
