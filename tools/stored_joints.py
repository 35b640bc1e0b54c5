"""Writes joints as the .npz files that evaluate.py reads (evaluation/predictions.py)."""

import numpy as np

from jointpose.utils import files


def write(path: str, manifest: dict, rows, joints_xy: dict[str, np.ndarray]) -> None:
    """Writes the joints of test people.

    Args:
        manifest: of the arrays with these people.
        rows: [n], of the test split.
        joints_xy: {title: [n, k, 2]}, pixels of the pictures.
    """
    dataset = manifest['dataset']
    variables = {'split': 'test', 'data_id': manifest['id'], 'index': rows}
    for number, (title, found) in enumerate(joints_xy.items()):
        variables[f'{dataset}_pred_{number}'] = found.transpose(2, 1, 0).astype(np.float32)
        variables[f'{dataset}_title_{number}'] = title
    with files.atomic_write(path) as partial, open(partial, 'wb') as file:
        np.savez_compressed(file, **variables)
