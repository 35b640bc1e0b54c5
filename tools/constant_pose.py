"""The floor of every system: one and the same pose in each given box, whatever the picture shows.

    python -m tools.constant_pose --data arrays            FLIC: the rates of each joint
    python -m tools.constant_pose --data arrays_parse      LSP, PARSE, MPII: the data set's tables

The pose is the median of the training people in their box.  FLIC's is in heights of the `torsobox`
from its centre; of other data sets, whose box is that of the labelled joints, both axes are in
lengths of the box.  A test person gets it in their own box.  A network that finds no more than
this has not learned to look at the picture.  `--out constant.npz` also writes the joints as a file
for evaluate.py, which shows them beside those of networks.
"""

import numpy as np

from jointpose import datasets
from jointpose.datasets import arrays, flic
from jointpose.evaluation import detection_rates
from jointpose.evaluation.predictions import Predictions
from jointpose.utils.cli import Parser, run_script
from jointpose.utils.errors import InputError
from jointpose.utils.tables import markdown
from jointpose.vision import crops
from tools import stored_joints

TITLE = 'constant pose'


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


def of_flic(data: str, manifest: dict) -> Predictions:
    """Returns the constant pose of FLIC's test people, as evaluate.py's predictions.

    data: folder of the arrays with this manifest.
    """
    train, test = (arrays.load_split(data, split, manifest) for split in arrays.SPLITS)
    found = constant_pose(train, test, flic.N_JOINTS)
    return Predictions({TITLE: found}, flic.JOINTS, test.rows, 'test', '')


def flic_tables(data: str, manifest: dict) -> list[str]:
    """Returns the tables of evaluate.py, by the torso's diagonal and by that of its box."""
    found = of_flic(data, manifest)
    truth = detection_rates.read_truth(data, manifest, 'test')
    tables = []
    for normaliser in ('lhip-rsho', 'torsobox'):
        errors = detection_rates.score(found, truth, normaliser)
        tables.append(
            detection_rates.rate_table(errors, found.joints, normaliser, detection_rates.SIDES[0])
        )
    return tables


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
        stored_joints.write(args.out, manifest, test.rows, {TITLE: found})
    if data_set.name == 'flic':
        tables = flic_tables(data, manifest)
    else:
        tables = data_set.tables({TITLE: found}, test.joints, test.people)
        tables = [markdown(table.header, table.rows) for table in tables]
    print('\n\n'.join(tables))


if __name__ == '__main__':
    run_script(main)
