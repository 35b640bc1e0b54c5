"""Which messages of the spatial model count: that of the given map, those of the joints, or all.

    python -m tools.kept_messages --run pretrained/flic --data arrays --out messages.npz
    python evaluate.py messages.npz --intervals

The logits of a joint are the sum of its own detector map and of one message from each other map
(spatial_model.py).  One of these maps is given: with FLIC the torso's, elsewhere the middle of the
person's box.  Here a trained network finds the test people's joints, at one scale, with some
messages silenced: their bias, which the message is added to under the logarithm, becomes so large
that nothing else is left.  Nothing is trained again, so that the result is what a message is worth
to weights that were trained with all of them.
"""

from collections.abc import Callable

import numpy as np

from jointpose import spatial_model
from jointpose.datasets import arrays
from jointpose.nn.layers import AVERAGE_SUFFIX
from jointpose.nn.tf1 import tf
from jointpose.utils import progress
from jointpose.utils.cli import Parser, run_script
from jointpose.utils.errors import InputError
from jointpose.vision.affine import transform_points
from tools import stored_joints
from tools.trained_network import TrainedNetwork, restored

SILENCE = 1e9  # a bias beside which a float32 message is lost
BATCH = 4
# Whether a message is kept: whether its sender is the map that is given -> bool.
KEPT: dict[str, Callable[[bool], bool]] = {
    'no messages': lambda is_given: False,
    'message of the given map': lambda is_given: is_given,
    'messages of the joints': lambda is_given: not is_given,
    'all messages': lambda is_given: True,
}


def silenced(biases: np.ndarray, k: int, is_kept: Callable[[bool], bool]) -> np.ndarray:
    """Biases [k * k, h, w] that leave only the messages that are kept; k: number of joints."""
    result = biases.copy()
    for pair, (_, sender) in enumerate(spatial_model.pairs_to(k, k + 1)):
        if not is_kept(sender == k):
            result[pair] = SILENCE
    return result


def find_joints(network: TrainedNetwork, people: arrays.Split) -> np.ndarray:
    """The joint model's joints: [n, k, 2], pixels of the pictures."""
    n = len(people.rows)
    starts = range(0, n, BATCH)
    found = []
    for start in progress.track(starts, len(starts), 'people', 'batch'):
        outputs, _, back = network.outputs(people, range(start, min(start + BATCH, n)))
        for joints_xy, matrix in zip(network.system.locate(outputs['sm']), back):
            found.append(transform_points(matrix, joints_xy))
    return np.stack(found)


def name_of(variable: tf.Variable) -> str:
    """A variable's name; of a moving average (--average_weights) that of the variable."""
    return variable.op.name.removesuffix(AVERAGE_SUFFIX)


def joints_by_messages(network: TrainedNetwork, people: arrays.Split) -> dict[str, np.ndarray]:
    """{one of KEPT: joints [n, k, 2]}."""
    variables = {name_of(variable): variable for variable in tf.global_variables()}
    biases = variables['spatial_model/biases']
    trained = network.session.run(biases)
    k = len(network.system.joints)
    if len(trained) != k * k:
        raise InputError('the network has self-connections, or no map that is given')
    found = {}
    for name, is_kept in KEPT.items():
        biases.load(silenced(trained, k, is_kept), network.session)
        found[name] = find_joints(network, people)
    return found


def main():
    """Writes the joints that each selection of messages gives."""
    parser = Parser(description=__doc__)
    parser.add_argument('--run', required=True, help='folder of a run with the spatial model')
    parser.add_argument(
        '--data', default='arrays', metavar='FOLDER', help="the run's arrays (default: %(default)s)"
    )
    parser.add_argument(
        '--people', type=int, metavar='N', help='only N test people, evenly spaced (default: all)'
    )
    parser.add_argument(
        '--out',
        default='messages.npz',
        metavar='FILE.npz',
        help='file to write (default: %(default)s)',
    )
    args = parser.parse_args()
    manifest = arrays.read_manifest(args.data)
    test = arrays.load_split(args.data, 'test', manifest)
    test = arrays.evenly_spaced(test, args.people)
    with restored(args.run, '--data', args.data, '--scales', 'single') as network:
        if not network.options.use_sm:
            raise InputError(f'--run {args.run}: trained without the spatial model')
        joints_xy = joints_by_messages(network, test)
    stored_joints.write(args.out, manifest, test.rows, joints_xy, '--scales single')
    print(f'{args.out}: {len(test.rows)} people; now: python evaluate.py {args.out} --intervals')


if __name__ == '__main__':
    run_script(main)
