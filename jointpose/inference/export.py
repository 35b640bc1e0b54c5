"""Exports a trained network as a TensorFlow SavedModel and as an ONNX model, and checks both.

    python export.py --restore pretrained/flic              exported/saved_model/, exported/model.onnx
    python export.py --restore RUN --out FOLDER --saved_model_only
    python export.py --restore pretrained/flic --messages   exported/messages.onnx: step by step

Neither needs anything of this project.  Inputs of Tompson's network, for n pictures:
    image               uint8   [n, 480, 720, 3]  RGB
    torso_map           float32 [n, 60, 90, 1]    the target person's torso, the mean of shoulders
                                                  and hips, as heatmaps.render_targets draws it (of
                                                  a run with --torso_from torsobox, the centre of
                                                  that box); only with a spatial model
Outputs, at one scale:
    joints              float32 [n, 9, 2]         (x, y) pixels in the order of flic.JOINTS, found
                                                  as by heatmaps.decode
    heat_maps           float32 [n, 60, 90, 9]    the spatial model's; without one the detector's
    part_detector_maps  float32 [n, 60, 90, 9]
jointpose/export/messages.py has the inputs and outputs of messages.onnx.

Other systems take the image alone, of their input_size: a crop of one person or the whole picture.
Their outputs are those of `export_outputs`; joints are in the image's pixels and in the order of
the data set's joints, where the system finds one person.

Frames are taken as they are.  main.py's single scale of a run with --data_augm enlarges them by
1 / 0.95, so its joints differ a little.

Before the files get their names, they are run on test people of --data, or on drawn people where
there are no arrays, and compared with the checkpoint in the graph that main.py evaluates.  Maps
must agree within 1e-4 of the highest cell, else the exit code is 1.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

import argparse
import os

from jointpose.checkpoints import checkpoint
from jointpose.export import comparison, formats, messages, network
from jointpose.export.formats import MESSAGES, ONNX, SAVED_MODEL
from jointpose.utils import cli, folders

FRAMES = 4  # to compare on


def main() -> None:
    args = parse_options()
    converter = None if args.saved_model_only else formats.import_converter()
    found = checkpoint.find(args.model_path, args.restore)
    system, options = network.settings_of(found)
    if args.messages:
        messages.require_spatial_model(found, system, options)
    inputs, source = comparison.inputs_to_check(system, options, args.data, FRAMES)
    print(f'{found.path} on {source}:', flush=True)
    build = messages.build if args.messages else network.plain_graph
    names = file_names(args)
    formats.announce_replaced(args.out, names)
    with folders.staging(args.out, replaced=names) as folder:
        exported = network.freeze(found, system, options, build)
        if args.messages:
            inputs = messages.inputs_of(inputs)
        inputs = {name: inputs[name] for name in exported.inputs}
        with network.live_network(found, system, options, build) as run:
            expected = run(inputs)
            seconds = comparison.seconds_a_frame(run, inputs)
        print(f'  {"network":13}{"":11}{seconds:8.3f} s a frame', flush=True)
        if SAVED_MODEL in names:
            path = os.path.join(folder, SAVED_MODEL)
            formats.write_saved_model(path, exported, found)
            comparison.check(path, formats.saved_model(path), inputs, expected)
        if converter:
            path = os.path.join(folder, names[-1])
            joints = system.dataset.joints
            formats.write_onnx(path, exported, converter, found, joints)
            comparison.check(path, formats.onnx_model(path), inputs, expected)
    print(f'{args.out}: {", ".join(names)}')


def file_names(args: argparse.Namespace) -> tuple[str, ...]:
    """Names of what is written into --out."""
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


if __name__ == '__main__':
    cli.run_script(main)
