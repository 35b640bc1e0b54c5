"""VGG-19's ImageNet weights, for `main.py --train --system cpm --init vgg19.npz`.

    python -m tools.vgg_weights --out vgg19.npz

Keras downloads them (80 MB).  They are the ones that VGG's authors trained with Caffe: filters of
blue, green, red in 0..255 less a mean.  Written are the ten layers with which CPM begins, two arrays
each: conv1_1/W [rows, columns, inputs, outputs] and conv1_1/b.
"""

from collections.abc import Sequence

import numpy as np

from jointpose.utils.cli import Parser, run_script
from jointpose.utils.files import atomic_write

LAYERS = (2, 2, 4, 2)  # convolutions taken from each block


def arrays_of(model) -> dict[str, np.ndarray]:
    """A Keras VGG19 -> {LAYER/W, LAYER/b: array} of its first ten layers, by Caffe's names."""
    arrays = {}
    for block, n_layers in enumerate(LAYERS, 1):
        for i in range(1, n_layers + 1):
            filters, bias = model.get_layer(f'block{block}_conv{i}').get_weights()
            arrays[f'conv{block}_{i}/W'] = filters
            arrays[f'conv{block}_{i}/b'] = bias
    return arrays


def main(arguments: Sequence[str] | None = None) -> None:
    """Downloads the weights and writes the file."""
    parser = Parser(prog='python -m tools.vgg_weights', description=__doc__)
    parser.add_argument('--out', default='vgg19.npz', metavar='FILE', help='output file')
    options = parser.parse_args(arguments)
    from keras.applications import VGG19  # which --help does not need

    arrays = arrays_of(VGG19(weights='imagenet', include_top=False))
    with atomic_write(options.out) as partial, open(partial, 'wb') as file:
        np.savez(file, **arrays)
    print(f'{options.out}: {len(arrays) // 2} layers')


if __name__ == '__main__':
    run_script(main)
