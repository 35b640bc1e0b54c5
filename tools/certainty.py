r"""Fits the score calibration of a network, and measures what the scores are worth.

    python -m tools.certainty --restore pretrained/flic --meta FLIC/examples.mat \
        --images FLIC/images --lsp_meta lspet/joints.mat --lsp_images lspet/images
                                    fits --certainty; writes report/certainty.csv and .png
    python -m tools.certainty --again
                                    the same from the fields in report/certainty.csv
    python -m tools.certainty --restore pretrained/flic_quarter \
        --table report/quarter/certainty.csv ...
                                    another network

The logistic curve is fitted to every 80th of FLIC's training people and every other picture
without people, both kinds weighing the same.  It is measured on every 20th of the test people and
the other pictures.

A person's field is the highest one found within 0.35 torsos of the annotated torso.  Pictures
without people are noise, white and blurred by 2 to 64 pixels, a black one, one of 3x3 pixels, and
the largest part of every 17th LSP picture that the person does not touch; that part may show
spectators.  Where nobody is found, the field counts as NOBODY.  Point prompts, on test people, are
the annotated torso, and a point a quarter of a torso beside it.
"""

import csv
import os
from collections.abc import Iterator

import numpy as np
import scipy.ndimage
import scipy.optimize

import jointpose
from jointpose.datasets import flic
from jointpose.media import images
from jointpose.systems.tompson import people_search
from jointpose.utils import cli, files, mat_files
from jointpose.utils.errors import InputError

EVERY = {'train': 80, 'test': 20}  # FLIC's people of a split, one of so many
EVERY_LSP = 17
NOBODY = -9.0  # the field where nobody is found
TABLE = os.path.join('report', 'certainty.csv')
THRESHOLDS = (0.3, 0.5, 0.7, 0.9)  # of the printed lines

Row = tuple[str, str, float]  # split, 'people' or 'nobody', field
Fields = dict[tuple[str, str], np.ndarray]  # {(split, kind): [n]}


def main():
    args = parse_options()
    if not args.again:
        write(measure(args), args.table)
    fields = read(args.table)
    if len(fields) < 4:
        raise InputError(f'--table {args.table}: wants train and test, people and nobody')
    midpoint, slope = fit(fields['train', 'people'], fields['train', 'nobody'])
    curve = (round(float(midpoint), 2), round(float(slope), 2))
    print(f'fit: --certainty {curve[0]} {curve[1]}')
    shown = fields['test', 'people']
    without = fields['test', 'nobody']
    draw(shown, without, curve, os.path.splitext(args.table)[0] + '.png')
    print_rates(shown, without, curve)


def measure(args) -> list[Row]:
    """Fields of people and of pictures without people; prints what point prompts find."""
    rows = []
    prompted = []  # rates of each person's two prompts
    with jointpose.load(args.restore, '--threshold', '0') as model:
        for image, joints_xy in flic_people(args.meta, args.images, 'train'):
            rows.append(('train', 'people', field_near(model(image), joints_xy)))
        for image, joints_xy in flic_people(args.meta, args.images, 'test'):
            rows.append(('test', 'people', field_near(model(image), joints_xy)))
            prompted.append(rates_of_prompts(model, image, joints_xy))
        for i, image in enumerate(empty_pictures(args.lsp_meta, args.lsp_images)):
            split = ('train', 'test')[i % 2]
            rows.append((split, 'nobody', highest(model(image))))
    exact, beside = 100 * np.mean(prompted, axis=0)
    print(
        f'% of joints within 10 % of {len(prompted)} people: {exact:.1f} prompted by the torso, '
        f'{beside:.1f} by a point a quarter of a torso beside it'
    )
    return rows


def write(rows: list[Row], path: str) -> None:
    """Writes the table of fields."""
    with (
        files.atomic_write(path) as partial,
        open(partial, 'w', newline='', encoding='utf-8') as file,
    ):
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(('part', 'kind', 'field'))
        for split, kind, field in rows:
            writer.writerow((split, kind, f'{field:.4f}'))


def read(path: str = TABLE) -> Fields:
    """The table of fields; InputError says what is wrong with it."""
    fields = {}
    try:
        with open(path, newline='', encoding='utf-8') as file:
            for row in csv.DictReader(file):
                fields.setdefault((row['part'], row['kind']), []).append(float(row['field']))
    except OSError as error:
        raise InputError(f'--table {path}: {error.strerror}') from error
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f'--table {path}: not a table of this program: {error!r}') from error
    return {key: np.array(values) for key, values in fields.items()}


def parse_options():
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        '--again', action='store_true', help='fit and draw the fields in --table, measure nothing'
    )
    parser.add_argument(
        '--table',
        default=TABLE,
        help='table of fields; the chart is written next to it (default: %(default)s)',
    )
    measured = [
        parser.add_argument('--restore', metavar='RUN', help='network to calibrate'),
        parser.add_argument('--meta', metavar='FILE', help="FLIC's examples.mat"),
        parser.add_argument('--images', metavar='FOLDER', help="FLIC's frames"),
        parser.add_argument('--lsp_meta', metavar='FILE', help="LSP's joints.mat"),
        parser.add_argument('--lsp_images', metavar='FOLDER', help="LSP's pictures"),
    ]
    args = parser.parse_args()
    if not args.again and not all(getattr(args, action.dest) for action in measured):
        names = ', '.join(action.option_strings[0] for action in measured)
        raise InputError(f'needs {names}, or --again')
    return args


def flic_people(meta: str, folder: str, split: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (picture, joints_xy [10, 2]) of some of the people of a split."""
    annotations = flic.read_annotations(meta)
    for row in np.flatnonzero(annotations.split == split)[5 :: EVERY[split]]:
        image = images.read_image(os.path.join(folder, annotations.file[row]))
        yield image, annotations.joints_xy[row]


def torso_length(joints_xy: np.ndarray) -> float:
    """From the middle of the shoulders to that of the hips, pixels."""
    shoulders_xy = joints_xy[[0, 3]].mean(axis=0)
    hips_xy = joints_xy[[6, 7]].mean(axis=0)
    return np.linalg.norm(shoulders_xy - hips_xy)


def prompts_of(joints_xy: np.ndarray) -> list[np.ndarray]:
    """Points on the torso, and a quarter of a torso beside it, in any direction."""
    torso_xy = joints_xy[flic.N_JOINTS]
    angle = torso_xy.sum()
    direction = np.array([np.cos(angle), np.sin(angle)])
    beside_xy = torso_xy + 0.25 * torso_length(joints_xy) * direction
    return [flic.clamp_to_frame(torso_xy), flic.clamp_to_frame(beside_xy)]


def rates_of_prompts(model: jointpose.Model, image, joints_xy: np.ndarray) -> list[float]:
    """The rate of the person found at each of prompts_of."""
    return [
        rate(model(image, torsos=[point_xy])[0].joints_xy, joints_xy)
        for point_xy in prompts_of(joints_xy)
    ]


def field_near(people, joints_xy: np.ndarray) -> float:
    """The highest field of the Results near a person's torso."""
    reach = 0.35 * torso_length(joints_xy)
    torso_xy = joints_xy[flic.N_JOINTS]
    return highest(
        [person for person in people if np.linalg.norm(person.torso_xy - torso_xy) < reach]
    )


def rate(found_xy: np.ndarray, joints_xy: np.ndarray) -> float:
    """The fraction of joints within 10 % of the normaliser."""
    errors = np.linalg.norm(found_xy - joints_xy[: flic.N_JOINTS], axis=1)
    return np.mean(errors <= 0.1 * np.linalg.norm(flic.normaliser(joints_xy)))


def highest(people) -> float:
    """The highest field of Results."""
    return max((person.torso_score for person in people), default=NOBODY)


def empty_pictures(lsp_meta: str, lsp_images: str) -> Iterator[np.ndarray]:
    """Yields pictures without people, RGB uint8."""
    yield from synthetic_pictures()
    joints = mat_files.load_mat(lsp_meta)['joints']  # 14 x 3 x n
    for i in range(3, 1000, EVERY_LSP):
        image = images.read_image(os.path.join(lsp_images, f'im{i + 1:05d}.jpg'))
        part = beside_person(image, joints[:, :2, i])
        if min(part.shape[:2]) >= 70:
            yield np.ascontiguousarray(part)


def synthetic_pictures() -> Iterator[np.ndarray]:
    """Yields noise, white and blurred, a black picture and a tiny one."""
    rng = np.random.default_rng(0)
    shape = (480, 720, 3)
    yield from rng.integers(0, 256, (4, *shape), np.uint8)
    for sigma in 2 * [2, 4, 8, 16, 32, 64]:
        noise = scipy.ndimage.gaussian_filter(rng.normal(size=shape), (sigma, sigma, 0))
        yield np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)
    yield np.zeros(shape, np.uint8)
    yield rng.integers(0, 256, (3, 3, 3), np.uint8)


def beside_person(image: np.ndarray, joints_xy: np.ndarray) -> np.ndarray:
    """The largest of the four strips around a person and a third of their size more."""
    size = image.shape[1::-1]
    margin = 0.35 * np.ptp(joints_xy, axis=0).max()
    first = np.clip(joints_xy.min(axis=0) - margin, 0, size)
    last = np.clip(joints_xy.max(axis=0) + margin, 0, size)
    left, top = first.astype(int)
    right, bottom = last.astype(int)
    strips = (image[:, :left], image[:, right:], image[:top], image[bottom:])
    return max(strips, key=lambda strip: min(strip.shape[1], 1.5 * strip.shape[0]))


def fit(shown: np.ndarray, without: np.ndarray) -> np.ndarray:
    """The curve (midpoint, slope) of the highest likelihood.

    shown: fields of people; without: of pictures without people.
    """

    def loss(parameters):
        midpoint, slope = parameters
        of_people = np.logaddexp(0, -slope * (shown - midpoint)).mean()
        return of_people + np.logaddexp(0, slope * (without - midpoint)).mean()

    return scipy.optimize.minimize(loss, [-5, 1], method='Nelder-Mead').x


def percentages(fields: np.ndarray, curve: tuple[float, float], thresholds) -> list[float]:
    """The share of fields whose score reaches each threshold, %."""
    scores = np.array([people_search.detection_probability(field, curve) for field in fields])
    return [100 * np.mean(scores >= threshold) for threshold in thresholds]


def draw(shown, without, curve: tuple[float, float], path: str) -> None:
    """The chart of both percentages over the threshold."""
    from matplotlib.figure import Figure

    thresholds = np.linspace(0.05, 0.95, 91)
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    label = f"{len(shown)} people of FLIC's test set shown"
    axes.plot(thresholds, percentages(shown, curve, thresholds), 'C0-', label=label)
    label = f'of {len(without)} pictures without people, those with somebody'
    axes.plot(thresholds, percentages(without, curve, thresholds), 'C1--', label=label)
    axes.set(xlabel='--threshold', ylabel='%', xlim=(0, 1), ylim=(0, 100), title='Who is shown')
    axes.legend()
    axes.grid(alpha=0.3)
    with files.atomic_write(path) as partial:
        figure.savefig(partial, format='png', dpi=110, bbox_inches='tight')


def print_rates(shown, without, curve: tuple[float, float]) -> None:
    """Prints both percentages at THRESHOLDS."""
    found = percentages(shown, curve, THRESHOLDS)
    false = percentages(without, curve, THRESHOLDS)
    for threshold, people, others in zip(THRESHOLDS, found, false):
        print(
            f'--threshold {threshold:.1f}: {people:.0f} % of the people, '
            f'somebody in {others:.0f} % of the others'
        )


if __name__ == '__main__':
    cli.run_script(main)
