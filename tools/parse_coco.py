"""PARSE's people as COCO writes key points: the custom data that docs/own_data.md was measured with.

    python -m tools.parse_coco PARSE_FOLDER --out FOLDER    # FOLDER/train.json (100 people), FOLDER/test.json (205)
    python data.py --coco FOLDER/train.json FOLDER/test.json --images PARSE_FOLDER --out arrays_own

PARSE (Ramanan 2006) has one person a picture, and LSP's fourteen joints.  They have no nose: the
middle between the neck and the top of the head stands for it.
"""

import json
import os

import numpy as np

from jointpose.datasets import flic, lsp
from jointpose.media.images import read_image
from jointpose.utils import cli, files
from jointpose.vision.joints import coco_name

LABELLED = 2  # COCO's visibility of a joint that is labelled and seen


def nine_joints(joints_xy):
    """PARSE's joints [n, 14, 2] -> FLIC's [n, 9, 2], pixels."""
    xy = dict(zip(lsp.JOINTS, np.moveaxis(joints_xy, 1, 0)))
    xy['nose'] = (xy['neck'] + xy['head']) / 2
    return np.stack([xy[name] for name in flic.JOINTS], axis=1)


def coco(part, folder):
    """An Annotated of PARSE (datasets/records.py) -> the content of a file of COCO's."""
    images = []
    for i, file in enumerate(part.pictures['file'].tolist()):
        height, width = read_image(os.path.join(folder, file)).shape[:2]
        images.append({'id': i, 'file_name': file, 'width': width, 'height': height})

    annotations = []
    for i, xy in enumerate(nine_joints(part.joints)):
        labelled = np.full((len(xy), 1), LABELLED)
        points = np.concatenate([xy.round(2), labelled], axis=1, dtype=np.float64)
        annotations.append(
            {
                'id': i,
                'image_id': int(part.people['picture'][i]),
                'category_id': 1,
                'keypoints': points.ravel().round(2).tolist(),
            }
        )

    category = {
        'id': 1,
        'name': 'person',
        'keypoints': [coco_name(joint) for joint in flic.JOINTS],
    }
    return {'images': images, 'annotations': annotations, 'categories': [category]}


def main():
    parser = cli.Parser(description=__doc__)
    parser.add_argument('parse', help="PARSE's folder: labels.mat, im0001.jpg ...")
    parser.add_argument('--out', required=True, help='folder for train.json and test.json')
    options = parser.parse_args()
    _, splits = lsp.Lsp().read([os.path.join(options.parse, 'labels.mat')], [options.parse])
    os.makedirs(options.out, exist_ok=True)
    for split, part in splits.items():
        content = coco(part, options.parse)
        path = os.path.join(options.out, f'{split}.json')
        with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
            json.dump(content, file)
        print(f'{path}: {len(content["annotations"])} people')


if __name__ == '__main__':
    cli.run_script(main)
