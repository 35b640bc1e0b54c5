"""Weights that other programs trained, for --init.

A PyTorch state dict (.pth), or an .npz file with two arrays for each layer:

    conv1/W, conv1/b    as tensorpack writes them; _ instead of / and other letters, see NAMES, too

Filters are [rows, columns, channels, outputs], matrices [inputs, outputs].
"""

import re

import numpy as np

from jointpose.nn import torch_file
from jointpose.utils.errors import InputError
from jointpose.utils.numpy_files import read_npz

NAMES = re.compile(r'(.+?)[/_](W|w|weights|0|b|bias|biases|1)(:0)?')
WEIGHTS = ('W', 'w', 'weights', '0')
TORCH = '.pth'  # PyTorch's state dicts (torch_file.py)
MAX_SIZE = 1 << 31  # bytes of a file, unpacked: VGG-19 has 0.6 GB

Layers = dict[str, tuple[np.ndarray, np.ndarray]]  # {layer: (weights, bias)}, float32


def is_weights_file(path: str | None) -> bool:
    """Whether --init names such a file, not a checkpoint."""
    return path is not None and path.endswith(('.npz', TORCH))


def variables(path: str, system) -> dict[str, np.ndarray]:
    """{variable: array}: what a System takes of a file's weights; InputError says what is wrong."""
    try:
        if not path.endswith(TORCH):
            return system.convert_weights(load(path))
        found = system.convert_state_dict(torch_file.read_state_dict(path))
    except ValueError as error:
        raise InputError(f'--init {path}: {error}') from error
    if not found:
        raise InputError(f'--init {path}: --system {system.name()} takes no {TORCH} file')
    return found


def load(path: str) -> Layers:
    """The layers of a file; InputError says what is wrong with it."""
    try:
        layers = by_layer(read_npz(path, MAX_SIZE))
    except OSError as error:
        raise InputError(f'--init {path}: {error.strerror or error}') from error
    except ValueError as error:
        raise InputError(f'--init {path}: not the weights of layers: {error}') from error
    if not layers:
        raise InputError(f'--init {path}: no weights of layers: no arrays LAYER/W and LAYER/b')
    return layers


def by_layer(arrays: dict[str, np.ndarray]) -> Layers:
    """Groups {name: array}; arrays of other names are left out."""
    weights = {}
    biases = {}
    for name, array in arrays.items():
        found = NAMES.fullmatch(name)
        if not found:
            continue
        if array.dtype.kind not in 'iuf':
            raise ValueError(f'{name}: holds {array.dtype}, expected numbers')
        parts = weights if found[2] in WEIGHTS else biases
        parts[found[1]] = np.asarray(array, np.float32)
    layers = sorted(weights.keys() & biases.keys())
    return {layer: (weights[layer], biases[layer]) for layer in layers}
