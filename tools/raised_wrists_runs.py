"""Makes what raised_wrists.py measures: spatial models trained on half of FLIC's training people.

    python -m tools.raised_wrists_runs maps                       the detector's maps of both halves
    python -m tools.raised_wrists_runs exact longer arms_raised   spatial models on the first half's maps

The detector has seen the people of both halves, and is frozen; the spatial models have seen those
of one half only.  The halves are stretches of FLIC's order, in which the frames of a shot follow
each other.  No test person is read.
"""

import contextlib
import os
from collections.abc import Iterator

import numpy as np

from jointpose import pairwise_distr, spatial_model
from jointpose.datasets import arrays, flic
from jointpose.datasets.flic_plus import film_and_frame
from jointpose.datasets.person_frames import PersonFrame
from jointpose.nn.test_time_augmentation import scaled_images
from jointpose.utils import cli, files
from jointpose.vision import affine, heatmaps
from jointpose.vision.crops import person_from_row
from tools.analysis import SHOULDERS, WRISTS

FOLDER = os.path.join('models_ex', 'raised_wrists')
RUN = os.path.join('pretrained', 'flic')  # the detector
STRETCHES = 50  # of which every second is held out
APART = 100  # frames: held-out people nearer to a trained frame of the film are left out
N_OTHERS = 300  # people without raised wrists who are measured
SPACING = 2  # every second person of the first half, whose maps also serve mirrored
BATCH = 14
RATE = 0.003  # of Adam, decaying to 0 along a cosine
EPOCHS = {'exact': 1, 'longer': 3, 'arms_raised': 1}  # of the spatial models
ARMS = ((0, (1, 2)), (3, (4, 5)))  # rows of a shoulder, of its elbow and wrist


# --- people ---------------------------------------------------------------------------------------


def halves(split: arrays.Split) -> tuple[arrays.Split, arrays.Split]:
    """The people of every other stretch, to train on, and the rest."""
    n = len(split.images)
    is_held = np.arange(n) * STRETCHES // n % 2 == 1
    first, second = (np.flatnonzero(chosen) for chosen in (~is_held, is_held))
    return arrays.select(split, first), arrays.select(split, second)


def raised(joints_xy: np.ndarray) -> np.ndarray:
    """Whether each wrist is above the shoulder of its side: [n, >= 9, 2] -> bool [n, 2]."""
    return joints_xy[:, WRISTS, 1] < joints_xy[:, SHOULDERS, 1]


def measured_people(trained: arrays.Split, held: arrays.Split) -> tuple[arrays.Split, np.ndarray]:
    """Those held out with a raised wrist, and N_OTHERS of the others, none near a trained frame.

    Also returns how many people each stands for [n].
    """
    frames = {}  # {film: numbers of its trained frames}
    for film, number in map(film_and_frame, trained.people['file']):
        frames.setdefault(film, []).append(number)
    is_apart = [
        all(abs(number - other) > APART for other in frames.get(film, ()))
        for film, number in map(film_and_frame, held.people['file'])
    ]
    is_raised = raised(held.joints).any(axis=1)
    others = np.flatnonzero(is_apart & ~is_raised)
    chosen = np.random.default_rng(0).choice(others, N_OTHERS, replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(is_apart & is_raised), chosen]))
    return arrays.select(held, rows), np.where(is_raised[rows], 1, len(others) / N_OTHERS)


# --- the detector's maps --------------------------------------------------------------------------


def store_maps(folder: str, data: str) -> None:
    """Writes trained.npz and held_out.npz: the part detector's maps of people, and their joints.

    detector: float32 [n, 60, 90, 9], of frames zoomed by `scale`; joints_xy: [n, 10, 2] pixels of
    the frame; names: [n] files; weights: [n].
    """
    trained, held = halves(arrays.load_split(data, 'train', arrays.read_manifest(data)))
    measured, weights = measured_people(trained, held)
    trained = arrays.select(trained, np.arange(0, len(trained.rows), SPACING))
    with part_detector() as (system, detect):
        (scale,) = system.scales
        zoomed = (scaled_images(image, [scale])[0] for image in measured.images)
        ones = np.ones(len(trained.rows))
        for name, people, zoom, n_meant, frames in (
            ('held_out', measured, scale, weights, zip(zoomed, measured.joints)),
            ('trained', trained, 1.0, ones, augmented(trained, system)),
        ):
            maps, joints_xy = map(np.stack, zip(*((detect(frame), xy) for frame, xy in frames)))
            named = {'detector': maps, 'scale': zoom, 'joints_xy': joints_xy, 'weights': n_meant}
            save(folder, name, **named, names=people.people['file'])


def augmented(people: arrays.Split, system) -> Iterator[tuple]:
    """(frame, joints [10, 2] in its pixels) of a training sample of each person."""
    for row, image in enumerate(people.images):
        rng = np.random.default_rng([0, row])
        sample = system.training_sample(image, person_from_row(people, row), rng)
        yield sample.image, sample.joints_xy


@contextlib.contextmanager
def part_detector() -> Iterator[tuple]:
    """Yields (system, function from a frame uint8 [480, 720, 3] to maps [60, 90, 9])."""
    from tools import trained_network

    with trained_network.restored(RUN, '--scales', 'single') as network:
        images = network.evaluation.batch.images
        maps = network.evaluation.inference.outputs['pd']
        yield network.system, lambda frame: network.session.run(maps, {images: frame[None]})[0]


def save(folder: str, name: str, **named) -> None:
    """Writes arrays to NAME.npz in the folder."""
    path = os.path.join(folder, f'{name}.npz')
    with files.atomic_write(path) as partial, open(partial, 'wb') as file:
        np.savez(file, **named)


# --- training -------------------------------------------------------------------------------------


def train(name: str, folder: str, data: str) -> None:
    """Trains a spatial model on trained.npz, from its priors -> NAME.npz, {variable: array}."""
    from jointpose.nn import layers
    from jointpose.nn.tf1 import tf
    from jointpose.systems.tompson.system import cross_entropy

    detector, joints_xy = training_samples(folder)
    steps = EPOCHS[name] * (len(detector) // BATCH)
    tf.set_random_seed(0)
    maps = tf.placeholder(tf.float32, [BATCH, *flic.MAP_SIZE, flic.N_MAPS])
    targets = tf.placeholder(tf.float32, [BATCH, *flic.MAP_SIZE, flic.N_JOINTS])
    unary, statistics = layers.batch_norm(maps, training=True)
    model = spatial_model.build(unary)
    loss = tf.reduce_mean(cross_entropy(model.logits, targets))
    step = tf.train.get_or_create_global_step()
    optimiser = tf.train.AdamOptimizer(tf.train.cosine_decay(RATE, step, steps))
    update = optimiser.minimize(loss, step)
    averages = [mean.assign_sub(0.1 * (mean - value)) for mean, value in statistics.items()]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        model.energies.load(initial_energies(name, data), session)
        rng = np.random.default_rng(0)
        order = np.concatenate([rng.permutation(len(detector)) for _ in range(EPOCHS[name])])
        for number in range(steps):
            rows = order[number * BATCH :][:BATCH]
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
    save(folder, name, **values)


def training_samples(folder: str) -> tuple[np.ndarray, np.ndarray]:
    """The detector's maps [n, 60, 90, 9] of trained.npz and their mirror images, and points [n, 10, 2]."""
    stored = np.load(os.path.join(folder, 'trained.npz'))
    detector, joints_xy = stored['detector'], stored['joints_xy']
    flip = list(PersonFrame(flic.Flic()).flip)
    mirrored_xy = affine.transform_points(affine.mirror((flic.WIDTH, flic.HEIGHT)), joints_xy)
    mirrored = detector[:, :, ::-1, flip[:-1]]
    return np.concatenate([detector, mirrored]), np.concatenate([joints_xy, mirrored_xy[:, flip]])


def initial_energies(name: str, data: str) -> np.ndarray:
    """The energies' first values, from the people of the first half: [81, 120, 180]."""
    split, _ = halves(arrays.load_split(data, 'train', arrays.read_manifest(data)))
    points_xy = PersonFrame(flic.Flic()).points_of_split(split)
    if name == 'arms_raised':
        points_xy = arms_raised(points_xy)
    histograms = pairwise_distr.pairwise_histograms(points_xy, flic.MAP_SIZE)
    return spatial_model.initial_energies(histograms[: len(spatial_model.PAIRS_TO_JOINTS)])


def arms_raised(points_xy: np.ndarray) -> np.ndarray:
    """The people [n, m, 2], and every fourth again with the arms mirrored above the shoulders."""
    mirrored = points_xy[::4].copy()
    for shoulder, arm in ARMS:
        height = mirrored[:, shoulder, None, 1]
        mirrored[:, arm, 1] = height - np.abs(mirrored[:, arm, 1] - height)
    mirrored = np.where(mirrored[..., 1:] >= 0, mirrored, np.nan)
    return np.concatenate([points_xy, mirrored])


def main():
    parser = cli.Parser(description=__doc__)
    parser.add_argument('what', nargs='+', choices=('maps', *EPOCHS), help='what to make')
    parser.add_argument('--data', default='arrays', metavar='FOLDER', help="FLIC's arrays")
    parser.add_argument('--folder', default=FOLDER, help='where to write')
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    for name in args.what:
        if name == 'maps':
            store_maps(args.folder, args.data)
        else:
            train(name, args.folder, args.data)


if __name__ == '__main__':
    cli.run_script(main)
