"""The published weights of HRNet (its authors' PyTorch code) as variables of systems/hrnet.py.

Their names map one to one: 292 convolutions with batch norm, and the last convolution with its
bias.  Two things differ.  PyTorch keeps filters as [outputs, inputs, rows, columns], TensorFlow as
[rows, columns, inputs, outputs].  Its batch norm adds 1e-5 to the variance, ours `EPSILON`; the
difference is taken off the moving variance, so that both compute the same.

Source: lib/models/pose_hrnet.py of deep-high-resolution-net.pytorch.
"""

import re

import numpy as np

from jointpose.nn.layers import EPSILON

THEIR_EPSILON = 1e-5
HEAD = 'final_layer'  # the maps' convolution; its size is the number of joints
IGNORED = 'num_batches_tracked'  # a counter of PyTorch's batch norm
# Their name of a layer, a convolution or its batch norm -> ours.  Groups a, b, ... count from 0 with
# them and from 1 with us; groups A, B, ... are alike.
LAYERS = (
    (r'(?:conv|bn)(?P<A>\d+)', 'stem/conv{A}'),
    (r'layer1\.(?P<a>\d+)\.(?:conv|bn)(?P<B>\d+)', 'stage1/block{a}/conv{B}'),
    (r'layer1\.(?P<a>\d+)\.downsample\.[01]', 'stage1/block{a}/shortcut'),
    (r'transition(?P<a>\d+)\.(?P<b>\d+)(?:\.0)?\.[01]', 'stage{a}/transition{b}'),
    (
        r'stage(?P<A>\d+)\.(?P<b>\d+)\.branches\.(?P<c>\d+)\.(?P<d>\d+)\.(?:conv|bn)(?P<E>\d+)',
        'stage{A}/module{b}/branch{c}/block{d}/conv{E}',
    ),
    (
        r'stage(?P<A>\d+)\.(?P<b>\d+)\.fuse_layers\.(?P<d>\d+)\.(?P<c>\d+)\.[01]',
        'stage{A}/module{b}/fuse{c}_{d}',
    ),
    (
        r'stage(?P<A>\d+)\.(?P<b>\d+)\.fuse_layers\.(?P<d>\d+)\.(?P<c>\d+)\.(?P<e>\d+)\.[01]',
        'stage{A}/module{b}/fuse{c}_{d}/conv{e}',
    ),
    (HEAD, 'maps'),
)


def our_name(layer: str) -> str | None:
    """Our name of one of their layers; None if HRNet has no such layer."""
    for pattern, template in LAYERS:
        if found := re.fullmatch(pattern, layer):
            numbers = {}
            for group, text in found.groupdict().items():
                numbers[group] = int(text) + group.islower()
            return template.format(**numbers)
    return None


def convert(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{variable of ours: float32 array} of a state dict with their names.

    Raises ValueError if a name is not of HRNet.
    """
    values = {}
    for name, array in state.items():
        layer, kind = name.rpartition('.')[::2]
        if kind == IGNORED:
            continue
        ours = our_name(layer)
        if ours is None:
            raise ValueError(f'{name} is no array of HRNet')
        variable, value = _variable(layer, kind, array)
        values[f'{ours}/{variable}'] = np.asarray(value, np.float32)
    return values


def _variable(layer, kind, array):
    """(last part of our variable's name, its value) for an array of a layer."""
    if array.ndim == 4:
        return 'weights', array.transpose(2, 3, 1, 0)
    if kind == 'running_var':
        return 'moving_variance', array.astype(float) + THEIR_EPSILON - EPSILON
    if kind == 'running_mean':
        return 'moving_mean', array
    if layer == HEAD:
        return 'bias', array
    return {'weight': 'scale', 'bias': 'offset'}[kind], array
