"""Writes a trained network as a TensorFlow SavedModel and as an ONNX model, both checked against the network itself.

    python export.py --restore pretrained/flic              exported/saved_model/, exported/model.onnx
    python export.py --restore RUN --out FOLDER --saved_model_only
    python export.py --restore pretrained/flic --messages   exported/messages.onnx: inference step by step

Neither needs anything of this project.  Inputs, for any number n of pictures, of Tompson's network:
    image               uint8   [n, 480, 720, 3]  RGB
    torso_map           float32 [n, 60, 90, 1]    which of several people is meant: the torso (mean of shoulders and
                                                  hips; of a run with --torso_from torsobox, the centre of that box) as
                                                  heatmaps.render_targets draws it; only with a spatial model
Outputs, at one scale:
    joints              float32 [n, 9, 2]         (x, y) pixels in the order of flic.JOINTS, found as by heatmaps.decode
    heat_maps           float32 [n, 60, 90, 9]    the spatial model's, or without one the part detector's
    part_detector_maps  float32 [n, 60, 90, 9]
The inputs and outputs of messages.onnx are in jointpose/inference/messages.py.
Other systems: the image alone, of their input_size, a crop of one person or the whole picture; joints in its pixels and
in the order of the data set's JOINTS, where one person is to be found; and what their `portable` says.

Before the files get their names they are run on test people of --data, or on drawn ones where there are no arrays, and
compared with the checkpoint in the graph that main.py evaluates: maps must agree within 1e-4 of the highest cell (else
exit code 1).
Frames are taken as they are; main.py's single scale with --data_augm is 1 / 0.95 of that.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

import argparse
import contextlib
import json
import logging
import os
import sys
import time

import numpy as np

from jointpose import datasets, systems
from jointpose.datasets import arrays, flic, synthetic
from jointpose.inference import messages, pose_estimator
from jointpose.nn import fft_conv
from jointpose.nn.tf1 import tf
from jointpose.training import batches, checkpoint, towers
from jointpose.training import options as command_line
from jointpose.utils import cli, folders, outputs
from jointpose.utils.errors import InputError

SAVED_MODEL, ONNX, MESSAGES = 'saved_model', 'model.onnx', 'messages.onnx'
ORIGIN = 'assets.extra/origin.json'  # of a SavedModel: which checkpoint it was made from
ONNX_MARK = (
    b'\x06joints'  # the name of one of the metadata of write_onnx, as protocol buffers have it
)
TOLERANCE = 1e-4  # of heat maps, as a share of their highest cell, which is at most 1
FRAMES = 4  # to compare on
OPSET = 17  # of ONNX: old enough for most runtimes
LARGE = 4096  # numbers in a constant that the converter does not get to see


def main():
    args = parse_options()
    converter = None if args.saved_model_only else import_converter()
    found = checkpoint.find(args.model_path, args.restore)
    system, options = settings_of(found)
    if args.messages:
        messages.require_spatial_model(found, system, options)
    inputs, source = inputs_to_check(system, options, args.data, FRAMES)
    print(f'{found.path} on {source}:', flush=True)
    build = messages.build if args.messages else plain_graph
    names = file_names(args)
    say_replaced(args.out, names)
    with folders.staging(args.out, replaced=names) as folder:
        graph_def, input_names, output_names = freeze(found, system, options, build)
        if args.messages:
            inputs = messages.inputs_of(inputs)
        inputs = {name: inputs[name] for name in input_names}
        with live_network(found, system, options, build) as run:
            expected, seconds = run(inputs), seconds_a_frame(run, inputs)
        print(f'  {"network":13}{"":11}{seconds:8.3f} s a frame', flush=True)
        if SAVED_MODEL in names:
            path = os.path.join(folder, SAVED_MODEL)
            write_saved_model(path, graph_def, input_names, output_names)
            write_origin(path, found)
            check(path, saved_model(path), inputs, expected)
        if converter:
            path = os.path.join(folder, names[-1])
            joints = datasets.load(options.dataset).JOINTS
            write_onnx(path, graph_def, input_names, output_names, converter, found, joints)
            check(path, onnx_model(path), inputs, expected)
    print(f'{args.out}: {", ".join(names)}')


def file_names(args):
    """What is written: tuple of names within --out."""
    if args.messages:
        return (MESSAGES,)
    return (SAVED_MODEL,) if args.saved_model_only else (SAVED_MODEL, ONNX)


def parse_options():
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        '--restore',
        required=True,
        metavar='RUN_OR_CHECKPOINT',
        help="a checkpoint's folder; or a run's folder or name: its newest checkpoint",
    )
    parser.add_argument(
        '--out',
        default='exported',
        metavar='FOLDER',
        help='where to; an earlier export there is replaced (default: %(default)s)',
    )
    parser.add_argument(
        '--data',
        metavar='FOLDER',
        help='arrays of data.py to check on (default: those of the run; without any, drawn people)',
    )
    parser.add_argument(
        '--model_path', default='models_ex', help='folder of all runs (default: %(default)s)'
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument('--saved_model_only', action='store_true', help=f'no {ONNX}')
    only.add_argument(
        '--messages',
        action='store_true',
        help=f'write {MESSAGES} instead: detector maps, messages by joint and sender, joint maps, '
        'joints; takes a torso point',
    )
    return parser.parse_args()


def import_converter():
    """(onnx, tf2onnx), quiet; InputError says what to install."""
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import tf2onnx
    except ImportError as error:
        raise InputError(
            f'{error}: {ONNX} takes `pip install -r requirements-export.txt`, and --saved_model_only '
            'does without'
        ) from error
    logging.getLogger('tf2onnx').setLevel(logging.ERROR)
    return onnx, tf2onnx


def settings_of(found):
    """(system, options) of a checkpoint's run, as main.py --restore has them."""
    settings = found.state['settings']
    system = systems.load(settings.get('system', command_line.DEFAULT_SYSTEM))
    options, explicit = command_line.parse(system, systems.names(), ['--restore'])
    command_line.merge_restored(options, explicit, settings, found.path, system, systems.names())
    return system(options), options


def inputs_to_check(system, options, folder, n):
    """({name: array [n, ...]} of what the network takes, what they are): n test people of the arrays, or n drawn ones
    if folder is None and there are no arrays of the run's data set."""
    system = type(system)(argparse.Namespace(**{**vars(options), 'data_augm': False}))
    given = folder or options.data or arrays.default_folder(options.dataset)
    manifest = (
        arrays.read_manifest(given)
        if folder or os.path.exists(os.path.join(given, arrays.MANIFEST))
        else {}
    )
    if folder and manifest['dataset'] != options.dataset:
        raise InputError(
            f'--data {folder}: holds {manifest["dataset"]}, the run is of {options.dataset}'
        )
    if manifest.get('dataset') == options.dataset:
        people = arrays.system_samples(
            arrays.load_split(given, 'test', manifest), system.MAX_PEOPLE
        )
        if not len(people.images):
            raise InputError(f'--data {given}: no test people')
        people = arrays.evenly_spaced(people, n)
        batch = batches.plain_batch(system, people, range(len(people.images)))
        source = f'{len(people.images)} test people of {given}'
    else:
        drawn = [synthetic.render(0, index) for index in range(n)]
        people = [
            pose_estimator.whole_image_person(system, one.image, torso_of(one)) for one in drawn
        ]
        batch = batches.collate(
            system,
            range(n),
            [person.norm_length for person in people],
            [system.test_sample(one.image, person) for one, person in zip(drawn, people)],
        )
        source = f'{n} people of synthetic.py'
    return {
        'image': batch.images,
        **{name: batch.targets[name] for name in system.EXTRA_INPUTS},
    }, source


def torso_of(drawn):
    """Middle of the torso of a drawn picture's first person, pixels."""
    columns = [synthetic.COLUMNS[joint] for joint in flic.JOINTS]
    return flic.add_torso(drawn.people[0][:, columns].T)[-1]


# --- the graph ----------------------------------------------------------------------------------------------------


def inputs_of(system, options):
    """{name: placeholder}: the image, and what else the network is given."""
    shapes = system.target_shapes()
    return {
        'image': tf.placeholder(tf.uint8, [None, *system.input_size, 3], 'image'),
        **{
            name: tf.placeholder(tf.float32, [None, *shapes[name]], name)
            for name in system.EXTRA_INPUTS
            if system.takes_prompts
        },
    }


def network(system, inputs, options, portable):
    """The network that training builds too; portable: by operations that every format has."""
    return towers.build_network(system, inputs['image'], inputs, training=False, portable=portable)


def plain_graph(system, options, portable):
    """({name: placeholder}, {name: tensor}, the maps that `joints` are decoded from)."""
    inputs = inputs_of(system, options)
    built = network(system, inputs, options, portable)
    return inputs, system.export_outputs(built), list(built.outputs.values())[-1]


def freeze(found, system, options, build=plain_graph):
    """(GraphDef without variables, names of the inputs it takes, names of its outputs)."""
    with tf.Graph().as_default() as graph, cpu_session() as session:
        inputs, outputs, _ = build(system, options, portable=True)
        for name, tensor in outputs.items():
            tf.identity(tensor, name)
        checkpoint.restore(session, tf.train.Saver(), found)
        frozen = tf.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), list(outputs)
        )
    return fold(frozen, list(outputs)), tuple(inputs), tuple(outputs)


def fold(graph_def, outputs):
    """Computes whatever depends on no input (batch norm's factors, the priors' spectra) and puts the values there."""
    with tf.Graph().as_default() as graph, cpu_session() as session:
        tf.import_graph_def(graph_def, name='')
        fixed, needed = set(), {}
        for op in graph.get_operations():  # inputs come before what takes them
            if op.type != 'Placeholder' and all(x.op in fixed for x in op.inputs):
                fixed.add(op)
            else:
                needed.update(
                    {x.name: x for x in op.inputs if x.op in fixed and x.op.type != 'Const'}
                )
        values = session.run(needed)
    with tf.Graph().as_default() as graph:
        constants = {name: tf.constant(value) for name, value in values.items()}
        tf.import_graph_def(graph_def, constants, name='')
        return tf.graph_util.extract_sub_graph(graph.as_graph_def(), outputs)


def cpu_session():
    """Comparisons are made on the CPU: a GPU may round to fewer digits."""
    return tf.Session(config=tf.ConfigProto(device_count={'GPU': 0}))


# --- the files ----------------------------------------------------------------------------------------------------


def write_saved_model(path, graph_def, names, outputs):
    """Raises OSError, as a file would."""
    with tf.Graph().as_default() as graph, cpu_session() as session:
        tf.import_graph_def(graph_def, name='')
        inputs, outputs = (
            {name: graph.get_tensor_by_name(f'{name}:0') for name in some}
            for some in (names, outputs)
        )
        try:
            tf.saved_model.simple_save(
                session, path, inputs, outputs
            )  # as signature serving_default
        except tf.errors.OpError as error:
            raise OSError(checkpoint.short_message(error)) from error


def write_origin(path, found):
    """assets.extra/origin.json of a SavedModel: the checkpoint it was made from."""
    os.mkdir(os.path.join(path, 'assets.extra'))
    origin = {'checkpoint': origin_of(found), 'code': checkpoint.code_version()}
    checkpoint.write_json(os.path.join(path, ORIGIN), origin)


def origin_of(found):
    """'RUN/step-N'"""
    return '/'.join(os.path.normpath(found.path).split(os.sep)[-2:])


def say_replaced(out, names=(SAVED_MODEL, ONNX)):
    for name in names:
        if former := former_of(out, name):
            print(outputs.replacement_note(os.path.join(out, name), former))


def former_of(out, name):
    """What an earlier export of that name in the folder `out` was made from, '' if there is none.  InputError: there is
    something else of that name."""
    path = os.path.join(out, name)
    if not os.path.lexists(path):
        return ''
    if name == SAVED_MODEL and os.path.isfile(os.path.join(path, ORIGIN)):
        with (
            contextlib.suppress(OSError, ValueError, KeyError),
            open(os.path.join(path, ORIGIN)) as file,
        ):
            return f'of {json.load(file)["checkpoint"]}'
    if name in (ONNX, MESSAGES) and os.path.isfile(path) and outputs.has_mark(path, ONNX_MARK):
        return outputs.describe_by_date(ONNX_MARK)(path)
    raise InputError(f'--out {out}: {name} there is none of an earlier export: name another folder')


def write_onnx(path, graph_def, names, outputs, converter, found, joints):
    """The ONNX model; its metadata name the joints and the checkpoint.

    The converter copies every constant dozens of times (14 GB at full width): it gets large ones as inputs, and their
    values are put in afterwards.
    """
    onnx, tf2onnx = converter
    stripped, values = without_values(graph_def)
    inputs = (*names, *values)
    converted, _ = tf2onnx.convert.from_graph_def(
        stripped,
        name='pose',
        input_names=[f'{name}:0' for name in inputs],
        opset=OPSET,
        output_names=[f'{name}:0' for name in outputs],
        tensors_to_rename={f'{name}:0': name for name in (*inputs, *outputs)},
    )
    put_values(onnx, converted.graph, values)
    for value in (*converted.graph.input, *converted.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = 'n'
    onnx.helper.set_model_props(
        converted,
        {
            'joints': ' '.join(joints),
            'checkpoint': origin_of(found),
            'code': checkpoint.code_version(),
        },
    )
    onnx.checker.check_model(converted)
    onnx.save(converted, path)


def without_values(graph_def):
    """(GraphDef with a placeholder for each large float constant, {its name: value})."""
    stripped, values = tf.GraphDef(versions=graph_def.versions), {}
    for node in graph_def.node:
        tensor = node.attr['value'].tensor if node.op == 'Const' else None
        if (
            tensor is not None
            and tensor.dtype == tf.float32.as_datatype_enum
            and np.prod(_shape(tensor)) >= LARGE
        ):
            values[node.name] = tf.make_ndarray(tensor)
            placeholder = stripped.node.add(name=node.name, op='Placeholder')
            placeholder.attr['dtype'].type = tensor.dtype
            placeholder.attr['shape'].shape.CopyFrom(tensor.tensor_shape)
        else:
            stripped.node.add().CopyFrom(node)
    return stripped, values


def _shape(tensor):
    return [dim.size for dim in tensor.tensor_shape.dim]


def put_values(onnx, graph, values):
    """Makes these inputs of an ONNX graph constants; filters are turned here, not in every call."""
    values = dict(values)
    for node in [
        node for node in graph.node if node.op_type == 'Transpose' and node.input[0] in values
    ]:
        values[node.output[0]] = values[node.input[0]].transpose(node.attribute[0].ints)
        graph.node.remove(node)
    for value in [value for value in graph.input if value.name in values]:
        graph.input.remove(value)
    used = {name for node in graph.node for name in node.input}
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
        for name, value in values.items()
        if name in used
    )


# --- the comparison -----------------------------------------------------------------------------------------------
# Each of these yields a function {input: array} -> {output: array}.


@contextlib.contextmanager
def live_network(found, system, options, build=plain_graph):
    """The checkpoint in the graph that main.py evaluates, its joints by the system's `decode`."""
    with tf.Graph().as_default(), cpu_session() as session:
        given, outputs, answer = build(system, options, portable=False)
        spectra = fft_conv.spectrum_ops()
        checkpoint.restore(session, tf.train.Saver(), found)

        def run(inputs):
            values, joints = session.run(
                [outputs, answer], {given[name]: x for name, x in inputs.items()}
            )
            if 'joints' in outputs:
                values['joints'] = np.stack([poses[0].joints_xy for poses in system.decode(joints)])
            return values

        with fft_conv.cached_spectra(session, spectra):
            yield run


@contextlib.contextmanager
def saved_model(path):
    with tf.Graph().as_default(), cpu_session() as session:
        signature = tf.saved_model.load(session, ['serve'], path).signature_def['serving_default']
        outputs = {name: tensor.name for name, tensor in signature.outputs.items()}
        yield lambda inputs: session.run(
            outputs, {signature.inputs[name].name: x for name, x in inputs.items()}
        )


@contextlib.contextmanager
def onnx_model(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    yield lambda inputs: dict(zip(names, session.run(names, inputs)))


def first(inputs):
    return {name: x[:1] for name, x in inputs.items()}


def seconds_a_frame(run, inputs):
    """Of the best of three runs on the first frame alone, after one for warming up."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        run(first(inputs))
        times.append(time.perf_counter() - start)
    return min(times[1:])


def check(path, opened, inputs, expected):
    """Prints a file's size, speed and differences, on all frames together and on the first alone; exits if they are
    too large."""
    with opened as run:
        pairs = [(run(inputs), expected), (run(first(inputs)), first(expected))]
        seconds = seconds_a_frame(run, inputs)
    maps = [
        (np.abs(got[name] - want[name]).max(), np.abs(want[name]).max())
        for got, want in pairs
        for name in want
        if not name.endswith('joints')
    ]
    joints = [
        np.abs(got['joints'] - want['joints']).max() for got, want in pairs if 'joints' in want
    ]
    name = os.path.basename(path)
    print(
        f'  {name:13}{size(path) / 1e6:8.1f} MB{seconds:8.3f} s a frame; maps within '
        f'{max(difference for difference, _ in maps):.1e}'
        + (f', joints within {max(joints):.4f} pixels' if joints else ''),
        flush=True,
    )
    if not all(difference <= TOLERANCE * highest for difference, highest in maps):  # NaN too
        sys.exit(
            f"export.py: error: {name}: its maps differ from the network's by more than {TOLERANCE:.0e} of "
            'their highest cell: nothing was exported'
        )


def size(path):
    """Bytes of a file, or of all files of a folder."""
    files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    return sum(map(os.path.getsize, files or [path]))


if __name__ == '__main__':
    cli.run_script(main)
