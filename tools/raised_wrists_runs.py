"""Makes what raised_wrists.py measures: spatial models trained on half of FLIC's training people.

    python -m tools.raised_wrists_runs maps --restore pretrained/flic    the detector's maps of both halves
    python -m tools.raised_wrists_runs exact rotated                     spatial models on the first half's maps

All in models_ex/raised_wrists.  The detector has seen the people of both halves, and is frozen; the
spatial models have seen those of one half only.  The halves are stretches of FLIC's order, in which
the frames of a shot follow each other.  No test person is read.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import scipy.ndimage

from jointpose import pairwise_distr, spatial_model
from jointpose.datasets import arrays, flic
from jointpose.datasets.flic_plus import film_and_frame
from jointpose.datasets.person_frames import PersonFrame
from jointpose.nn import test_time_augmentation
from jointpose.utils import cli, files
from jointpose.vision import affine, heatmaps
from jointpose.vision.crops import person_from_row
from tools.analysis import SHOULDERS, WRISTS

FOLDER = os.path.join('models_ex', 'raised_wrists')
STRETCHES = 50  # of which every second is held out
APART = 100  # frames: held-out people nearer to a trained frame of the film are left out
N_OTHERS = 300  # people without raised wrists who are measured
PARTS = (
    'train',
    'single',
    'multi',
)  # files of maps: augmented people; held-out ones, and at eight scales
SPACING = 2  # every second person of the first half, whose maps also serve mirrored
BATCH = 14
RATE = 0.003  # of Adam, decaying to 0 along a cosine

ANGLES = (-45, -30, -15, 0, 15, 30, 45)  # degrees, of 'rotated'
ARMS = ((0, (1, 2)), (3, (4, 5)))  # rows of a shoulder, of its elbow and wrist
BLUR = 3  # cells, standard deviation, of 'blurred'
FLOOR = 0.05  # of 'floor', for spatial_model.PRIOR_FLOOR


# --- people ---------------------------------------------------------------------------------------


def halves(split: arrays.Split) -> tuple[arrays.Split, arrays.Split]:
    """The people of every other stretch, to train on, and the rest."""
    n = len(split.images)
    is_held = np.arange(n) * STRETCHES // n % 2 == 1
    return arrays.select(split, np.flatnonzero(~is_held)), arrays.select(
        split, np.flatnonzero(is_held)
    )


def raised(joints_xy: np.ndarray) -> np.ndarray:
    """Whether each wrist is above the shoulder of its side: [n, 10, 2] -> bool [n, 2]."""
    return joints_xy[:, WRISTS, 1] < joints_xy[:, SHOULDERS, 1]


def measured_people(trained: arrays.Split, held: arrays.Split) -> tuple[arrays.Split, np.ndarray]:
    """Those held out with a raised wrist, and N_OTHERS of the others, none near a trained frame.

    Returns:
        (the people, how many people each stands for [n])
    """
    of_trained = [film_and_frame(file) for file in trained.people['file']]
    of_held = [film_and_frame(file) for file in held.people['file']]
    is_apart = np.array(
        [
            all(abs(frame - n) > APART for name, n in of_trained if name == film)
            for film, frame in of_held
        ]
    )
    is_raised = raised(held.joints).any(axis=1)
    others = np.flatnonzero(is_apart & ~is_raised)
    chosen = np.random.default_rng(0).choice(others, N_OTHERS, replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(is_apart & is_raised), chosen]))
    weights = np.where(is_raised[rows], 1, len(others) / N_OTHERS)
    return arrays.select(held, rows), weights


# --- priors ---------------------------------------------------------------------------------------


def rotated(points_xy: np.ndarray) -> np.ndarray:
    """The people [n, m, 2], each rotated about the frame's middle by all ANGLES; NaN outside it."""
    size = (flic.WIDTH, flic.HEIGHT)
    turned = [affine.transform_points(affine.rotate(angle, size), points_xy) for angle in ANGLES]
    turned = np.concatenate(turned)
    is_inside = ((turned >= 0) & (turned < size)).all(axis=-1)
    return np.where(is_inside[..., None], turned, np.nan)


def arms_raised(points_xy: np.ndarray) -> np.ndarray:
    """The people [n, m, 2], and every fourth again with the arms mirrored above the shoulders."""
    mirrored = points_xy[::4].copy()
    for shoulder, arm in ARMS:
        height = mirrored[:, shoulder, None, 1]
        mirrored[:, arm, 1] = height - np.abs(mirrored[:, arm, 1] - height)
    mirrored = np.where(mirrored[..., 1:] >= 0, mirrored, np.nan)
    return np.concatenate([points_xy, mirrored])


def blurred(histograms: np.ndarray) -> np.ndarray:
    """Histograms [pairs, 2h, 2w] convolved with a Gaussian."""
    return scipy.ndimage.gaussian_filter(histograms, (0, BLUR, BLUR))


def floored(histograms: np.ndarray) -> np.ndarray:
    """Histograms [pairs, 2h, 2w], each at least FLOOR times its largest cell."""
    return np.maximum(histograms, FLOOR * histograms.max(axis=(1, 2), keepdims=True))


class Prior(NamedTuple):
    """How a spatial model starts and is trained."""

    people: Callable = np.asarray  # [n, m, 2] points -> those that the histograms are of
    histograms: Callable = np.asarray  # [pairs, 2h, 2w] -> those that the energies start from
    decay: float = 0  # weight decay of energies and biases, as --energy_decay
    epochs: int = 1


PRIORS = {
    'exact': Prior(),
    'longer': Prior(epochs=3),
    'rotated': Prior(people=rotated),
    'arms_raised': Prior(people=arms_raised),
    'blurred': Prior(histograms=blurred),
    'floor': Prior(histograms=floored),
    'decay': Prior(decay=0.001),
}


# --- the detector's maps --------------------------------------------------------------------------


@contextlib.contextmanager
def part_detector(restore: str, scales: str) -> Iterator[tuple]:
    """Yields (system, function from frames uint8 [S, 480, 720, 3] to maps [S, 60, 90, 9])."""
    from jointpose import run_options
    from jointpose.checkpoints import checkpoint, checkpoint_variables
    from jointpose.inference import pose_estimator
    from jointpose.nn import spectrum_cache
    from jointpose.nn.tf1 import tf

    found = checkpoint.find('', restore, '--restore')
    options, system, *_ = run_options.resolve_options(['--restore', found.path, '--scales', scales])
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.get_or_create_global_step()  # restored too
        graph = pose_estimator.build_graph(system, options)
        checkpoint_variables.restore(session, graph.saver, found)
        images = graph.evaluation.batch.images
        maps = graph.evaluation.inference.outputs['pd']
        with spectrum_cache.filled(session, graph.spectra):
            yield system, lambda frames: session.run(maps, {images: frames})


def store_maps(data: str, restore: str, part: str) -> None:
    """Writes FOLDER/PART.npz: the part detector's maps of people, and where their joints are.

    detector: float32 [n, S, 60, 90, 9], one for each of `scales`; joints_xy: [n, 10, 2] pixels of
    the frame; names: [n] files; weights: [n].
    """
    trained, held = halves(arrays.load_split(data, 'train', arrays.read_manifest(data)))
    people, weights = measured_people(trained, held)
    if part == 'multi':
        people = arrays.select(people, np.flatnonzero(raised(people.joints).any(axis=1)))
        weights = np.ones(len(people.rows))
    if part == 'train':
        people = arrays.select(trained, np.arange(0, len(trained.rows), SPACING))
        weights = np.ones(len(people.rows))
    joints_xy = people.joints.copy()
    detector = []
    with part_detector(restore, 'multi' if part == 'multi' else 'single') as (system, detect):
        for row in range(len(people.rows)):
            if part == 'train':
                rng = np.random.default_rng([0, row])
                person = person_from_row(people, row)
                sample = system.training_sample(people.images[row], person, rng)
                joints_xy[row] = sample.joints_xy
                frames = sample.image[None]
            else:
                frames = test_time_augmentation.scaled_images(people.images[row], system.scales)
            detector.append(detect(frames))
    path = os.path.join(FOLDER, f'{part}.npz')
    with files.atomic_write(path) as partial, open(partial, 'wb') as file:
        np.savez(
            file,
            detector=np.stack(detector),
            scales=system.scales,
            joints_xy=joints_xy,
            names=people.people['file'],
            weights=weights,
        )


# --- training -------------------------------------------------------------------------------------


def train(name: str, data: str) -> None:
    """Trains a spatial model on train.npz, from its priors -> FOLDER/NAME.npz, {variable: array}."""
    from jointpose.nn import layers
    from jointpose.nn.tf1 import tf
    from jointpose.systems.tompson.system import cross_entropy

    detector, joints_xy = training_samples()
    steps = PRIORS[name].epochs * (len(detector) // BATCH)
    tf.set_random_seed(0)
    maps = tf.placeholder(tf.float32, [BATCH, *flic.MAP_SIZE, flic.N_MAPS])
    targets = tf.placeholder(tf.float32, [BATCH, *flic.MAP_SIZE, flic.N_JOINTS])
    unary, statistics = layers.batch_norm(maps, training=True)
    model = spatial_model.build(unary)
    loss = tf.reduce_mean(cross_entropy(model.logits, targets))
    decayed = [tf.nn.l2_loss(weights) for weights in (model.energies, model.biases)]
    loss_and_decay = loss + PRIORS[name].decay * sum(decayed)
    step = tf.train.get_or_create_global_step()
    rate = tf.train.cosine_decay(RATE, step, steps)
    optimiser = tf.train.AdamOptimizer(rate)
    update = optimiser.minimize(loss_and_decay, step)
    averages = [mean.assign_sub(0.1 * (mean - value)) for mean, value in statistics.items()]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        model.energies.load(initial_energies(name, data), session)
        for number, rows in enumerate(batches(len(detector), steps)):
            drawn = heatmaps.render_targets(joints_xy[rows], flic.MAP_SIZE)
            torso = drawn[..., flic.N_JOINTS :]
            fed = {
                maps: np.concatenate([detector[rows], torso], axis=-1),
                targets: drawn[..., : flic.N_JOINTS],
            }
            value, *_ = session.run([loss, update, *averages], fed)
            if number % 20 == 0:
                print(f'{name}: step {number} of {steps}, loss {value:.3f}', flush=True)
        values = {v.op.name: session.run(v) for v in tf.global_variables() if '/' not in v.op.name}
    path = os.path.join(FOLDER, f'{name}.npz')
    with files.atomic_write(path) as partial, open(partial, 'wb') as file:
        np.savez(file, **values)


def training_samples() -> tuple[np.ndarray, np.ndarray]:
    """The detector's maps [n, 60, 90, 9] of train.npz and their mirror images, and points [n, 10, 2]."""
    stored = np.load(os.path.join(FOLDER, 'train.npz'))
    detector, joints_xy = stored['detector'][:, 0], stored['joints_xy']
    flip = list(PersonFrame(flic.Flic()).flip)
    mirrored_xy = affine.transform_points(affine.mirror((flic.WIDTH, flic.HEIGHT)), joints_xy)
    mirrored = detector[:, :, ::-1, flip[:-1]]
    return np.concatenate([detector, mirrored]), np.concatenate([joints_xy, mirrored_xy[:, flip]])


def initial_energies(name: str, data: str) -> np.ndarray:
    """The energies' first values, from the people of the first half: [81, 120, 180]."""
    split, _ = halves(arrays.load_split(data, 'train', arrays.read_manifest(data)))
    points_xy = PRIORS[name].people(PersonFrame(flic.Flic()).points_of_split(split))
    histograms = pairwise_distr.pairwise_histograms(points_xy, flic.MAP_SIZE)
    pairs = len(spatial_model.PAIRS_TO_JOINTS)
    return spatial_model.initial_energies(PRIORS[name].histograms(histograms[:pairs]))


def batches(n: int, steps: int) -> Iterator[np.ndarray]:
    """The rows of each step's batch: all n in a random order, again and again."""
    rng = np.random.default_rng(0)
    order = np.concatenate([rng.permutation(n) for _ in range(1 + steps * BATCH // n)])
    for step in range(steps):
        yield order[step * BATCH : (step + 1) * BATCH]


def main():
    parser = cli.Parser(description=__doc__)
    parser.add_argument('what', nargs='+', choices=('maps', *PRIORS), help='what to make')
    parser.add_argument('--data', default='arrays', metavar='FOLDER', help="FLIC's arrays")
    parser.add_argument(
        '--restore', default=os.path.join('pretrained', 'flic'), help='the detector'
    )
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=PARTS, help='of the maps')
    args = parser.parse_args()
    os.makedirs(FOLDER, exist_ok=True)
    for name in args.what:
        if name == 'maps':
            for part in args.parts:
                store_maps(args.data, args.restore, part)
        else:
            train(name, args.data)


if __name__ == '__main__':
    cli.run_script(main)
