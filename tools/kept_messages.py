"""Which messages of the spatial model count: the torso's alone, the joints' alone, or all.

    python -m tools.kept_messages --run pretrained/flic --data arrays --out messages.npz
    python evaluate.py messages.npz --intervals

The logits of a joint are the sum of its own detector map and of one message from each other map,
the given torso among them (spatial_model.py).  Here a trained network finds FLIC's test people's
joints, at one scale, with some messages silenced: their bias, which the message is added to under
the logarithm, becomes so large that nothing else is left.  Nothing is trained again, so that the
result is what a message is worth to weights that were trained with all of them.
"""

from collections.abc import Callable

import numpy as np

from jointpose import spatial_model
from jointpose.datasets import arrays, flic
from jointpose.nn.tf1 import tf
from jointpose.utils import progress
from jointpose.utils.cli import Parser, run_script
from jointpose.utils.errors import InputError
from jointpose.vision.affine import transform_points
from tools import stored_joints
from tools.trained_network import TrainedNetwork, restored

SILENCE = 1e9  # a bias beside which a float32 message is lost
BATCH = 4
TORSO = flic.N_JOINTS  # index of its map
KEPT: dict[str, Callable[[int], bool]] = {
    'no messages': lambda sender: False,
    "torso's message": lambda sender: sender == TORSO,
    "joints' messages": lambda sender: sender != TORSO,
    'all messages': lambda sender: True,
}


def silenced(biases: np.ndarray, is_kept: Callable[[int], bool]) -> np.ndarray:
    """Biases [81, 60, 90] that leave only the messages of the senders that are kept."""
    result = biases.copy()
    for pair, (_, sender) in enumerate(spatial_model.PAIRS_TO_JOINTS):
        if not is_kept(sender):
            result[pair] = SILENCE
    return result


def find_joints(network: TrainedNetwork, people: arrays.Split) -> np.ndarray:
    """The joint model's joints: [n, 9, 2], pixels of the frames."""
    n = len(people.rows)
    starts = range(0, n, BATCH)
    found = []
    for start in progress.track(starts, len(starts), 'people', 'batch'):
        outputs, _, back = network.outputs(people, range(start, min(start + BATCH, n)))
        for joints_xy, matrix in zip(network.system.locate(outputs['sm']), back):
            found.append(transform_points(matrix, joints_xy))
    return np.stack(found)


def joints_by_messages(network: TrainedNetwork, people: arrays.Split) -> dict[str, np.ndarray]:
    """{one of KEPT: joints [n, 9, 2]}."""
    variables = {variable.op.name: variable for variable in tf.global_variables()}
    biases = variables['spatial_model/biases']
    trained = network.session.run(biases)
    found = {}
    for name, is_kept in KEPT.items():
        biases.load(silenced(trained, is_kept), network.session)
        found[name] = find_joints(network, people)
    return found


def main():
    """Writes the joints that each selection of messages gives."""
    parser = Parser(description=__doc__)
    parser.add_argument('--run', required=True, help='folder of a run with the spatial model')
    parser.add_argument(
        '--data', default='arrays', metavar='FOLDER', help="FLIC's arrays (default: %(default)s)"
    )
    parser.add_argument(
        '--people', type=int, metavar='N', help='only N test people, evenly spaced (default: all)'
    )
    parser.add_argument(
        '--out', default='messages.npz', metavar='FILE.npz', help='(default: %(default)s)'
    )
    args = parser.parse_args()
    manifest = arrays.read_manifest(args.data)
    test = arrays.load_split(args.data, 'test', manifest)
    test = arrays.evenly_spaced(test, args.people)
    with restored(args.run, '--data', args.data, '--scales', 'single') as network:
        if not network.options.use_sm:
            raise InputError(f'--run {args.run}: trained without the spatial model')
        joints_xy = joints_by_messages(network, test)
    stored_joints.write(args.out, manifest, test.rows, joints_xy)
    print(f'{args.out}: {len(test.rows)} people; now: python evaluate.py {args.out} --intervals')


if __name__ == '__main__':
    run_script(main)
