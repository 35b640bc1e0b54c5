"""Stores joints of test people as small .npz files, which evaluate.py reads like those of main.py.

    python -m tools.stored_joints predictions.mat --data arrays_lsp --out joints.npz
    python evaluate.py joints.npz --data arrays_lsp

Only what an evaluation needs is kept: the joints as float32 pixels, and of whom they are.
`--models` keeps some of the models.
"""

import numpy as np

from jointpose.datasets import arrays
from jointpose.evaluation import predictions
from jointpose.utils import files
from jointpose.utils.cli import Parser, run_script
from jointpose.utils.errors import InputError


def write(path: str, manifest: dict, rows, joints_xy: dict[str, np.ndarray], how: str = '') -> None:
    """Writes the joints of test people.

    Args:
        manifest: of the arrays with these people.
        rows: [n], of the test split.
        joints_xy: {title: [n, k, 2]}, pixels of the pictures.
        how: the options by which they were found, if any.
    """
    dataset = manifest['dataset']
    variables = {'split': 'test', 'data_id': manifest['id'], 'index': rows, 'found_with': how}
    for number, (title, found) in enumerate(joints_xy.items()):
        variables[f'{dataset}_pred_{number}'] = found.transpose(2, 1, 0).astype(np.float32)
        variables[f'{dataset}_title_{number}'] = title
    with files.atomic_write(path) as partial, open(partial, 'wb') as file:
        np.savez_compressed(file, **variables)


def main():
    """Stores the joints of a file of main.py."""
    parser = Parser(description=__doc__)
    parser.add_argument('predictions', metavar='predictions.mat', help='what main.py wrote')
    parser.add_argument(
        '--data', default='arrays', metavar='FOLDER', help='arrays (default: %(default)s)'
    )
    parser.add_argument('--out', required=True, metavar='FILE.npz', help='file to write')
    parser.add_argument(
        '--models', nargs='+', metavar='TITLE', help='models to keep (default: all)'
    )
    args = parser.parse_args()
    manifest = arrays.read_manifest(args.data)
    found = predictions.read(args.predictions, manifest)
    if found.split != 'test':
        raise InputError(f'{args.predictions}: holds people of the {found.split} split')
    titles = args.models or list(found.models)
    if absent := [title for title in titles if title not in found.models]:
        there = ', '.join(map(repr, found.models))
        raise InputError(f'{args.predictions}: has no {absent[0]!r}, but {there}')
    joints_xy = {title: found.models[title] for title in titles}
    write(args.out, manifest, found.rows, joints_xy, found.how)
    print(f'{args.out}: {len(found.rows)} people, {", ".join(titles)}')


if __name__ == '__main__':
    run_script(main)
