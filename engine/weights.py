"""Weights that other programs trained, as --init takes them: an .npz file of a network's layers, by their names.

    conv1               object array [weights, bias] or {'weights': ..., 'biases': ...}: what a dict of layers becomes,
                        as bvlc_alexnet.npy holds one
    conv1/W, conv1/b    tensorpack's; _ instead of / and other letters, see NAMES, are as good

Filters are [rows, columns, channels, outputs], matrices [inputs, outputs].  Object arrays are pickles, which could run
anything: here they may make arrays, and nothing else.
"""
import pickle
import re
import zipfile

import numpy as np

from engine.files import InputError, check_regular

NAMES = re.compile(r'(.+?)[/_](W|w|weights|0|b|bias|biases|1)(:0)?')
WEIGHTS = ('W', 'w', 'weights', '0')
HARMLESS = {('numpy', 'ndarray'), ('numpy', 'dtype'), ('_codecs', 'encode')} | {
    (f'numpy.{core}.{module}', name) for core in ('core', '_core')
    for module, name in (('multiarray', '_reconstruct'), ('multiarray', 'scalar'), ('numeric', '_frombuffer'))}


class ArraysOnly(pickle.Unpickler):
    """Refuses whatever an array does not consist of."""

    def find_class(self, module, name):
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f'it wants {module}.{name}, which is no part of an array')
        return super().find_class(module, name)


def is_foreign(path):
    """Whether --init names such a file, not a checkpoint."""
    return path is not None and path.endswith('.npz')


def load(path):
    """{layer: (weights float32, bias float32)} of a file; InputError says what is wrong with it."""
    check_regular(path)
    try:
        with zipfile.ZipFile(path) as file:
            arrays = {name.removesuffix('.npy'): read(file, name) for name in file.namelist()}
        layers = by_layer(arrays)
    except OSError as error:
        raise InputError(f'--init {path}: {error.strerror or error}') from error
    except Exception as error:                                  # a damaged or foreign file raises nearly anything
        raise InputError(f'--init {path}: not the weights of layers: {error}') from error
    if not layers:
        raise InputError(f'--init {path}: no weights of layers there')
    return layers


def read(archive, name):
    """One array of an .npz file."""
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        if not header(file)[2].hasobject:
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
        return ArraysOnly(file, encoding='latin1').load()


def by_layer(arrays):
    """{name: array} -> {layer: (weights, bias)}; names of neither are left out."""
    parts = {}
    for name, array in arrays.items():
        if array.dtype.hasobject:
            value = array.item() if array.ndim == 0 else list(array)
            parts.update({(name, i): part for i, part in enumerate(
                (value['weights'], value['biases']) if isinstance(value, dict) else value)})
        elif found := NAMES.fullmatch(name):
            parts[found[1], 0 if found[2] in WEIGHTS else 1] = array
    layers = {layer for layer, _ in parts if (layer, 0) in parts and (layer, 1) in parts}
    return {layer: tuple(np.asarray(parts[layer, i], np.float32) for i in (0, 1)) for layer in sorted(layers)}
