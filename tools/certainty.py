"""What a person's score is worth: FLIC's test people, and pictures without anybody.

    python -m tools.certainty --restore pretrained/flic --meta FLIC/examples.mat --images FLIC/images \
        --lsp_meta lspet/joints.mat --lsp_images lspet/images          report/certainty.png, and the fit for crowd.py

With people: every 20th of FLIC's test people, where somebody is found within 0.35 torsos of the annotated torso.
Without: noise, white and blurred by 2 to 64 pixels, black, 3x3 pixels, and the largest part of every 17th LSP picture
that the person does not touch, of which spectators may be a part; where nobody at all is found, the field counts as
NOBODY.  The logistic curve is fitted with both kinds weighing the same.  Clicks are on the annotated torso, and a
quarter of a torso beside it.
"""
import argparse
import os

import numpy as np
import scipy.ndimage
import scipy.optimize

import crowd
import datasets
import main
from datasets import flic
from engine import checkpoint, convolution, files, pictures, sources, towers
from engine.tf1 import tf

EVERY, EVERY_LSP, NOBODY = 20, 17, -9.0
FIGURE = os.path.join('report', 'certainty.png')


def measure():
    args = parse_options()
    options, system, found, _ = main.understand(['--restore', args.restore, '--predict', '-', '--threshold', '0'])
    graph = pictures.build_graph(system, options)
    with tf.Session(config=towers.session_config(options.gpus)) as session:
        checkpoint.restore(session, graph.saver, found)
        with convolution.spectra(session, graph.spectra):
            finder = pictures.Finder(session, graph, system, datasets.load(options.dataset), options)
            with_people = [of_person(finder, *one) for one in flic_people(args.meta, args.images)]
            without = [highest(finder.find(image)) for image in empty_pictures(args.lsp_meta, args.lsp_images)]
    shown, exact, beside = map(np.array, zip(*with_people))
    print(f'{len(shown)} people, {len(without)} pictures without; % of joints within 10 % after a click on the torso '
          f'{100 * exact.mean():.1f}, a quarter of a torso beside it {100 * beside.mean():.1f}')
    shown, without = field(shown), field(np.array(without))
    print('fit: EVEN {:.2f}, STEEPNESS {:.2f}'.format(*fit(shown, without)))
    draw(shown, without, FIGURE)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ('restore', 'meta', 'images', 'lsp_meta', 'lsp_images'):
        parser.add_argument(f'--{name}', required=True)
    return parser.parse_args()


def flic_people(meta, images):
    """(picture, joints_xy [10, 2]) of every 20th test person."""
    annotations = flic.read_annotations(meta)
    for row in np.flatnonzero(annotations.split == 'test')[5::EVERY]:
        yield sources.read_picture(os.path.join(images, annotations.file[row])), annotations.joints_xy[row]


def of_person(finder, image, joints_xy):
    """(score where nobody said who is meant, rate after an exact click, rate after one a quarter of a torso off)."""
    torso_xy = joints_xy[flic.N_JOINTS]
    length = np.linalg.norm(joints_xy[[0, 3]].mean(axis=0) - joints_xy[[6, 7]].mean(axis=0))
    near = [one for one in finder.find(image) if np.linalg.norm(one.torso_xy - torso_xy) < 0.35 * length]
    angle = torso_xy.sum()                                              # any
    beside = torso_xy + 0.25 * length * np.array([np.cos(angle), np.sin(angle)])
    clicks = [flic.clamp_to_frame(xy) for xy in (torso_xy, beside)]
    return highest(near), *(rate(finder.find(image, [xy])[0].joints_xy, joints_xy) for xy in clicks)


def rate(found_xy, joints_xy):
    end, beginning = (joints_xy[flic.JOINTS.index(joint)] for joint in flic.NORMALISER)
    errors = np.linalg.norm(found_xy - joints_xy[:flic.N_JOINTS], axis=1)
    return np.mean(errors <= 0.1 * np.linalg.norm(end - beginning))


def highest(found):
    return max((one.score for one in found), default=crowd.certainty(NOBODY))


def field(scores):
    """The inverse of crowd.certainty."""
    return crowd.EVEN + np.log(scores / (1 - scores)) / crowd.STEEPNESS


def empty_pictures(lsp_meta, lsp_images):
    rng, shape = np.random.default_rng(0), (480, 720, 3)
    yield from rng.integers(0, 256, (4, *shape), np.uint8)
    for sigma in 2 * [2, 4, 8, 16, 32, 64]:
        noise = scipy.ndimage.gaussian_filter(rng.normal(size=shape), (sigma, sigma, 0))
        yield np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)
    yield np.zeros(shape, np.uint8)
    yield rng.integers(0, 256, (3, 3, 3), np.uint8)
    joints = files.load_mat(lsp_meta)['joints']                         # 14 x 3 x n
    for i in range(3, 1000, EVERY_LSP):
        image = sources.read_picture(os.path.join(lsp_images, f'im{i + 1:05d}.jpg'))
        part = beside_person(image, joints[:, :2, i])
        if min(part.shape[:2]) >= 70:
            yield np.ascontiguousarray(part)


def beside_person(image, joints_xy):
    """The largest of the four strips around a person and a third of their size more."""
    height, width = image.shape[:2]
    margin = 0.35 * np.ptp(joints_xy, axis=0).max()
    (left, top), (right, bottom) = (np.clip(edge, 0, (width, height)).astype(int) for edge in (
        joints_xy.min(axis=0) - margin, joints_xy.max(axis=0) + margin))
    return max((image[:, :left], image[:, right:], image[:top], image[bottom:]),
               key=lambda part: min(part.shape[1], 1.5 * part.shape[0]))


def fit(shown, without):
    """(EVEN, STEEPNESS) of highest likelihood."""
    def loss(parameters):
        even, steepness = parameters
        return (np.logaddexp(0, -steepness * (shown - even)).mean()
                + np.logaddexp(0, steepness * (without - even)).mean())
    return scipy.optimize.minimize(loss, [crowd.EVEN, crowd.STEEPNESS], method='Nelder-Mead').x


def draw(shown, without, path):
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot as plt
    thresholds = np.linspace(0.05, 0.95, 91)
    figure, axes = plt.subplots(figsize=(7, 4))
    for fields, label, style in ((shown, f'{len(shown)} people of FLIC\'s test set shown', 'C0-'),
                                 (without, f'of {len(without)} pictures without people, those with somebody', 'C1--')):
        certainty = np.array([crowd.certainty(value) for value in fields])
        axes.plot(thresholds, [100 * np.mean(certainty >= least) for least in thresholds], style, label=label)
    axes.set(xlabel='--threshold', ylabel='%', xlim=(0, 1), ylim=(0, 100), title='Who is shown')
    axes.legend()
    axes.grid(alpha=0.3)
    with files.atomic(path) as partial:
        figure.savefig(partial, format='png', dpi=110, bbox_inches='tight')
    for least in (0.3, 0.5, 0.7, 0.9):
        rates = [100 * np.mean([crowd.certainty(value) >= least for value in fields]) for fields in (shown, without)]
        print('--threshold {:.1f}: {:.0f} % of the people, somebody in {:.0f} % of the others'.format(least, *rates))


if __name__ == '__main__':
    files.run_script(measure)
