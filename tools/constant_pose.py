"""The floor of every system: one and the same pose in each given box, whatever the picture shows.

    python -m tools.constant_pose --data arrays                    a line for report/comparison.jsonl, on stdout

The pose is the median of FLIC's training people, in heights of their `torsobox` from its centre.  A test person gets it
at their own `torsobox`.  A network that finds no more than this has not learnt to look at the picture.
"""

import json

import numpy as np

from jointpose.datasets import arrays, flic
from jointpose.evaluation import detection_rates
from jointpose.evaluation.predictions import Predictions
from jointpose.utils.cli import Parser, run_script
from tools.compare import CONSTANT, rates_of


def centres_and_heights(split: arrays.Split) -> tuple[np.ndarray, np.ndarray]:
    """Of the people's torso boxes: (x, y) [n, 1, 2] and height [n, 1, 1], pixels."""
    box = np.asarray(split.people['torsobox'], np.float64)  # [n, 4], x1 y1 x2 y2
    centre = (box[:, :2] + box[:, 2:]) / 2
    height = box[:, 3] - box[:, 1]
    return centre[:, None], height[:, None, None]


def constant_pose(train: arrays.Split, test: arrays.Split) -> np.ndarray:
    """The training people's median pose in the test people's boxes: [n, 9, 2] (x, y), pixels of the frames."""
    centre, height = centres_and_heights(train)
    relative = (train.joints[:, : flic.N_JOINTS] - centre) / height  # [m, 9, 2]
    pose = np.nanmedian(relative, axis=0)  # NaN: not labelled
    centre, height = centres_and_heights(test)
    return centre + height * pose


def main():
    parser = Parser(description=__doc__)
    parser.add_argument(
        '--data', default='arrays', metavar='FOLDER', help="FLIC's arrays (default: %(default)s)"
    )
    data = parser.parse_args().data
    manifest = arrays.read_manifest(data)
    train, test = (arrays.load_split(data, split, manifest) for split in arrays.SPLITS)
    found = Predictions({CONSTANT: constant_pose(train, test)}, flic.JOINTS, test.rows, 'test', '')
    truth = detection_rates.read_truth(data, manifest, 'test')
    print(json.dumps({'system': CONSTANT, 'updates': 0, **rates_of(found, truth)}))


if __name__ == '__main__':
    run_script(main)
