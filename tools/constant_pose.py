"""The floor of every system: one and the same pose in each given box, whatever the picture shows.

    python -m tools.constant_pose --data arrays            FLIC: a line for report/comparison.jsonl, on stdout
    python -m tools.constant_pose --data arrays_parse      LSP, PARSE, MPII: the data set's tables

The pose is the median of the training people in their box.  FLIC's is in heights of the `torsobox`
from its centre; of other data sets, whose box is that of the labelled joints, both axes are in
lengths of the box.  A test person gets it in their own box.  A network that finds no more than
this has not learned to look at the picture.  `--out constant.npz` also writes the joints as a file
for evaluate.py, which shows them beside those of networks.
"""

import json

import numpy as np

from jointpose import datasets
from jointpose.datasets import arrays
from jointpose.evaluation import detection_rates
from jointpose.evaluation.predictions import Predictions
from jointpose.utils.cli import Parser, run_script
from jointpose.utils.errors import InputError
from jointpose.utils.tables import markdown
from jointpose.vision import crops
from tools import stored_joints
from tools.compare import CONSTANT, rates_of


def centres_and_sizes(people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the (x, y) [n, 1, 2] of the people's boxes and the unit of each axis [n, 1, 2], pixels."""
    on_torso = 'torsobox' in people.dtype.names
    box = np.asarray(people['torsobox' if on_torso else 'box'], np.float64)  # [n, 4], x1 y1 x2 y2
    first = box[:, :2]
    last = box[:, 2:]
    size = last - first
    if on_torso:
        size = size[:, [1, 1]]
    return (first + last)[:, None] / 2, size[:, None]


def constant_pose(train: arrays.Split, test: arrays.Split, n_joints: int) -> np.ndarray:
    """Returns the training people's median pose in the test people's boxes: [n, k, 2] (x, y), pixels."""
    centre, size = centres_and_sizes(train.people)
    joints = np.where(is_labelled(train, n_joints), train.joints[:, :n_joints], np.nan)
    pose = np.nanmedian((joints - centre) / size, axis=0)  # [k, 2]
    centre, size = centres_and_sizes(test.people)
    return centre + size * pose


def is_labelled(split: arrays.Split, n_joints: int) -> np.ndarray:
    """Returns bool [n, k, 1].  FLIC's arrays keep no visibility: it follows from the joints."""
    if 'visible' in split.people.dtype.names:
        visible = split.people['visible']
    else:
        visible = crops.visibility(split.joints)
    return visible[:, :n_joints, None] > 0


def print_flic_line(data, manifest, data_set, test, found):
    """Prints FLIC's rates as a line of report/comparison.jsonl."""
    predictions = Predictions({CONSTANT: found}, data_set.joints, test.rows, 'test', '')
    truth = detection_rates.read_truth(data, manifest, 'test')
    print(json.dumps({'system': CONSTANT, 'updates': 0, **rates_of(predictions, truth)}))


def main():
    parser = Parser(description=__doc__)
    parser.add_argument(
        '--data',
        default='arrays',
        metavar='FOLDER',
        help='folder of data.py (default: %(default)s)',
    )
    parser.add_argument('--out', metavar='FILE.npz', help='also write the joints, for evaluate.py')
    args = parser.parse_args()
    data = args.data
    manifest = arrays.read_manifest(data)
    data_set = datasets.of_manifest(manifest)
    train, test = (arrays.load_split(data, split, manifest) for split in arrays.SPLITS)
    if data_set.name == 'coco':
        raise InputError(f'{data}: holds coco, whose people have no given boxes')
    found = constant_pose(train, test, len(data_set.joints))
    if args.out:
        stored_joints.write(args.out, manifest, test.rows, {CONSTANT: found})
    if data_set.name == 'flic':
        print_flic_line(data, manifest, data_set, test, found)
        return
    tables = data_set.tables({CONSTANT: found}, test.joints, test.people)
    print('\n\n'.join(markdown(table.header, table.rows) for table in tables))


if __name__ == '__main__':
    run_script(main)
