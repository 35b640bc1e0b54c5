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
# Our name of a convolution -> theirs, and their batch norm's.  {a}, {b} ... are the groups' numbers minus 1.
PATTERNS = (
    (r'stem/conv(\d+)', 'conv{A}', 'bn{A}'),
    (r'stage1/block(\d+)/conv(\d+)', 'layer1.{a}.conv{B}', 'layer1.{a}.bn{B}'),
    (r'stage1/block(\d+)/shortcut', 'layer1.{a}.downsample.0', 'layer1.{a}.downsample.1'),
    (
        r'stage(\d+)/module(\d+)/branch(\d+)/block(\d+)/conv(\d+)',
        'stage{A}.{b}.branches.{c}.{d}.conv{E}',
        'stage{A}.{b}.branches.{c}.{d}.bn{E}',
    ),
    (
        r'stage(\d+)/module(\d+)/fuse(\d+)_(\d+)/conv(\d+)',
        'stage{A}.{b}.fuse_layers.{d}.{c}.{e}.0',
        'stage{A}.{b}.fuse_layers.{d}.{c}.{e}.1',
    ),
    (
        r'stage(\d+)/module(\d+)/fuse(\d+)_(\d+)',
        'stage{A}.{b}.fuse_layers.{d}.{c}.0',
        'stage{A}.{b}.fuse_layers.{d}.{c}.1',
    ),
)
TRANSITION = re.compile(r'stage(\d+)/transition(\d+)')


def official_names(layer: str) -> tuple[str, str]:
    """Their names of a convolution and of its batch norm, for our name of the layer."""
    if found := TRANSITION.fullmatch(layer):
        stage, branch = int(found[1]), int(found[2])
        new = branch == stage  # a branch that begins here is a sequence of one
        name = f'transition{stage - 1}.{branch - 1}' + '.0' * new
        return f'{name}.0', f'{name}.1'
    for pattern, convolution, norm in PATTERNS:
        if found := re.fullmatch(pattern, layer):
            numbers = {}
            for letter, text in zip('ABCDE', found.groups()):
                numbers[letter] = int(text)
                numbers[letter.lower()] = int(text) - 1
            return convolution.format(**numbers), norm.format(**numbers)
    raise KeyError(layer)


def is_official(state: dict[str, np.ndarray]) -> bool:
    """Whether a state dict has the layout of HRNet's authors."""
    return {'conv1.weight', 'layer1.0.conv1.weight', 'stage4.0.fuse_layers.0.1.0.weight'} <= set(
        state
    )


def convert(state: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]):
    """{variable: float32 array} of a network with variables of these names and shapes.

    The head is left out, and starts anew, where the numbers of joints differ.  Raises ValueError
    where an array is missing or has another shape.
    """
    values = {}
    for variable, shape in shapes.items():
        layer, kind = variable.rsplit('/', 1)
        name, value = _value(state, layer, kind)
        if layer == 'maps' and value.shape != shape:
            continue
        if value.shape != shape:
            raise ValueError(f'{name} has shape {value.shape}, {variable} has {shape}')
        values[variable] = value
    return values


def _value(state, layer, kind):
    """(their name, float32 array in our layout) of one variable."""
    convolution, norm = (HEAD, HEAD) if layer == 'maps' else official_names(layer)
    name = {
        'weights': f'{convolution}.weight',
        'bias': f'{convolution}.bias',
        'scale': f'{norm}.weight',
        'offset': f'{norm}.bias',
        'moving_mean': f'{norm}.running_mean',
        'moving_variance': f'{norm}.running_var',
    }[kind]
    if name not in state:
        raise ValueError(f'it has no {name}')
    value = state[name]
    if kind == 'weights':
        value = value.transpose(2, 3, 1, 0)
    if kind == 'moving_variance':
        value = value.astype(float) + THEIR_EPSILON - EPSILON
    return name, np.asarray(value, np.float32)
