"""The page in build/page: page/'s files, the networks, priors and sample pictures, onnxruntime-web.

    python export.py --restore pretrained/flic --messages --out build/messages
    npm ci --prefix page
    python -m tools.build_page --model build/messages/messages.onnx
    python -m tools.build_page --keep_start arrays             page/start_priors.png, from the arrays' histograms

`make page` runs the first three.  Any static host serves the folder, for instance
python3 -m http.server --directory build/page.  docs/page.md says more.
"""

import json
import os
import shutil
import zlib

import cv2
import numpy as np

from jointpose import pairwise_distr, spatial_model
from jointpose.checkpoints import checkpoint, checkpoint_variables
from jointpose.datasets import flic
from jointpose.datasets.synthetic import flic_set
from jointpose.utils import cli
from jointpose.utils.errors import InputError
from jointpose.utils.files import atomic_write
from jointpose.vision import palette
from jointpose.vision.heatmaps import STRIDE
from jointpose.vision.joints import coco_name

SOURCE = 'page'
PARTS = ('index.html', 'style.css', 'icon.svg', 'js')
RUNTIME = os.path.join(SOURCE, 'node_modules', 'onnxruntime-web', 'dist')
RUNTIME_SCRIPT = 'ort.wasm.bundle.min.mjs'
RUNTIME_BINARY = 'ort-wasm-simd-threaded.wasm'
START_PRIORS = os.path.join(SOURCE, 'start_priors.png')
ATLAS = 9, 9  # rows (joints) and columns (senders) of START_PRIORS
FLOOR = 1e-4  # prior below which codes are 0, as a share of the pair's largest
CUT = 'part_detector_maps'  # where the model is cut in two: a click needs its second half only
SEED = 0  # of the drawn pictures
SAMPLES = {  # index in the set: what the page calls it
    2: 'Two drawn people',
    6: 'A drawn person before another one',
    18: 'A drawn person, arms down',
    16: 'A drawn person whose left arm goes wrong',
}


def main():
    options = parse_options()
    if options.keep_start:
        keep_start_priors(options.keep_start)
        return
    if not os.path.isfile(os.path.join(RUNTIME, RUNTIME_SCRIPT)):
        raise InputError(f'{RUNTIME}: no {RUNTIME_SCRIPT}: run npm ci --prefix {SOURCE} first')
    clear(options.out)
    copy_parts(options.out)
    split(options.model, os.path.join(options.out, 'model'))
    write_priors(options.restore, os.path.join(options.out, 'model'))
    samples = write_samples(options.out)
    write_description(options.out, samples)
    print(f'{options.out}: python3 -m http.server --directory {options.out}')


def parse_options():
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        '--model',
        default=os.path.join('build', 'messages', 'messages.onnx'),
        metavar='FILE',
        help='of export.py --messages (default: %(default)s)',
    )
    parser.add_argument(
        '--restore',
        default='pretrained/flic',
        metavar='RUN',
        help='the run that the model was made from, for its priors (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        default=os.path.join('build', 'page'),
        metavar='FOLDER',
        help='the page (default: %(default)s)',
    )
    parser.add_argument(
        '--keep_start',
        metavar='ARRAYS',
        help=f"write {START_PRIORS} from these arrays' histograms, and nothing else",
    )
    return parser.parse_args()


# --- the folder ---------------------------------------------------------------------------------------------------


def clear(out):
    """Removes an earlier page; InputError where there is something else."""
    if os.path.isdir(out) and os.listdir(out):
        if not os.path.isfile(os.path.join(out, 'model', 'model.json')):
            raise InputError(f'--out {out}: holds something other than a page: name another folder')
        shutil.rmtree(out)
    for folder in ('model', 'samples', 'vendor'):
        os.makedirs(os.path.join(out, folder), exist_ok=True)


def copy_parts(out):
    for name in PARTS:
        copy = shutil.copytree if os.path.isdir(os.path.join(SOURCE, name)) else shutil.copy
        copy(os.path.join(SOURCE, name), os.path.join(out, name))
    for name in (RUNTIME_SCRIPT, RUNTIME_BINARY):
        shutil.copy(os.path.join(RUNTIME, name), os.path.join(out, 'vendor', name))
    with open(
        os.path.join(out, '.nojekyll'), 'w'
    ):  # GitHub Pages then serves the files as they are
        pass


def split(model, folder):
    """messages.onnx -> detector.onnx and spatial_model.onnx, whose nodes are its own."""
    import onnx

    if not os.path.isfile(model):
        raise InputError(f'--model {model}: no such file: run export.py --messages first')
    maps = [CUT, 'part_detector_joints']
    answer = ['messages', 'heat_maps', 'joints']
    onnx.utils.extract_model(model, os.path.join(folder, 'detector.onnx'), ['image'], maps)
    onnx.utils.extract_model(
        model, os.path.join(folder, 'spatial_model.onnx'), [CUT, 'torso_xy'], answer
    )


def write_samples(out):
    """[{file, title}] of the drawn pictures."""
    samples = []
    for index, title in SAMPLES.items():
        name = f'samples/{index}.jpg'
        flic_set.write_jpeg(os.path.join(out, name), flic_set.render(SEED, index).image)
        samples.append({'file': name, 'title': title})
    return samples


def write_description(out, samples):
    """model/model.json: what the page has to know of the networks."""
    files = [
        'vendor/' + RUNTIME_BINARY,
        *(
            f'model/{name}'
            for name in (
                'detector.onnx',
                'spatial_model.onnx',
                'priors_start.bin',
                'priors_learned.bin',
            )
        ),
    ]
    height, width = pairwise_distr.prior_size(flic.MAP_SIZE)
    description = {
        'frame': {'width': flic.WIDTH, 'height': flic.HEIGHT},
        'map': {'rows': flic.MAP_HEIGHT, 'columns': flic.MAP_WIDTH, 'stride': STRIDE},
        'joints': points(flic.JOINTS),
        'points': points(flic.MAPS),
        'limbs': limbs(),
        'torsoCorners': flic.TORSO_CORNERS,
        'prior': {
            'rows': height,
            'columns': width,
            'floor': FLOOR,
            'pairs': spatial_model.PAIRS_TO_JOINTS,
        },
        'files': [
            {'path': name, 'bytes': os.path.getsize(os.path.join(out, name))} for name in files
        ],
        'samples': samples,
    }
    with (
        atomic_write(os.path.join(out, 'model', 'model.json')) as partial,
        open(partial, 'w') as file,
    ):
        json.dump(description, file, indent=1)


def points(names):
    """[{name, title, colour}] of joints, and the torso."""
    colours = palette.joint_colours(names)
    return [
        {'name': name, 'title': coco_name(name).replace('_', ' '), 'colour': colours[name]}
        for name in names
    ]


def limbs():
    """[{ends, colour}]"""
    return [
        {'ends': ends, 'colour': palette.side_colour(*(flic.MAPS[end] for end in ends))}
        for ends in flic.Flic().limb_indices
    ]


# --- the priors ---------------------------------------------------------------------------------------------------


def write_priors(run, folder):
    """priors_start.bin and priors_learned.bin, for page/js/priors.js."""
    store(os.path.join(folder, 'priors_start.bin'), start_codes())
    store(os.path.join(folder, 'priors_learned.bin'), encode(learned_priors(run)))


def learned_priors(run):
    """The priors of a run's newest checkpoint: float64 [81, 120, 180], positive."""
    weights = checkpoint_variables.read_weights(checkpoint.find('', run).path)
    name = next((name for name in weights if name.startswith('spatial_model/energies')), None)
    if name is None:
        raise InputError(f'--restore {run}: trained without the spatial model')
    return spatial_model.numpy_softplus(weights[name].astype(np.float64))


def encode(priors):
    """Positive [81, 120, 180] -> uint8: 255 is the pair's largest value, 0 is FLOOR of it, logarithmic in between."""
    relative = priors / priors.max(axis=(1, 2), keepdims=True)
    codes = 255 * (1 - np.log(relative) / np.log(FLOOR))
    return np.clip(np.rint(codes), 0, 255).astype(np.uint8)


def store(path, codes):
    """Deflated differences along the rows, modulo 256."""
    differences = np.diff(codes, axis=2, prepend=np.uint8(0))
    with atomic_write(path) as partial, open(partial, 'wb') as file:
        file.write(zlib.compress(differences.tobytes(), 9))


def keep_start_priors(arrays):
    """Writes START_PRIORS: the priors that training starts from, one tile a pair."""
    histograms = pairwise_distr.load(os.path.join(arrays, pairwise_distr.FILE))
    histograms = histograms[: len(spatial_model.PAIRS_TO_JOINTS)]
    energies = spatial_model.initial_energies(histograms).astype(np.float64)
    codes = encode(spatial_model.numpy_softplus(energies))
    height, width = pairwise_distr.prior_size(flic.MAP_SIZE)
    rows, columns = ATLAS
    atlas = (
        codes.reshape(rows, columns, height, width)
        .swapaxes(1, 2)
        .reshape(rows * height, columns * width)
    )
    cv2.imwrite(START_PRIORS, atlas, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(START_PRIORS)


def start_codes():
    """START_PRIORS read back: uint8 [81, 120, 180]."""
    atlas = cv2.imread(START_PRIORS, cv2.IMREAD_GRAYSCALE)
    height, width = pairwise_distr.prior_size(flic.MAP_SIZE)
    rows, columns = ATLAS
    return atlas.reshape(rows, height, columns, width).swapaxes(1, 2).reshape(-1, height, width)


if __name__ == '__main__':
    cli.run_script(main)
