r"""What a person's score is worth: FLIC's people, and pictures without anybody.

    python -m tools.certainty --restore pretrained/flic --meta FLIC/examples.mat --images FLIC/images \
        --lsp_meta lspet/joints.mat --lsp_images lspet/images     fits --certainty; report/certainty.csv and .png
    python -m tools.certainty --again                             the same of the fields in report/certainty.csv
    python -m tools.certainty --restore pretrained/flic_quarter --table report/quarter/certainty.csv ...     another run

The logistic curve is fitted to every 80th of FLIC's training people and every other of the pictures without people,
both kinds weighing the same; what it is worth is measured on every 20th of the test people and the other pictures.  A
person's field is the highest of somebody found within 0.35 torsos of the annotated torso.  Without people: noise,
white and blurred by 2 to 64 pixels, black, 3x3 pixels, and the largest part of every 17th LSP picture that the person
does not touch, of which spectators may be a part.  Where nobody is found, the field counts as NOBODY.  Clicks, on test
people, are on the annotated torso, and a quarter of a torso beside it.
"""

import csv
import os

import numpy as np
import scipy.ndimage
import scipy.optimize

from jointpose.datasets import flic
from jointpose.inference import api
from jointpose.media import images
from jointpose.systems.tompson import people_search
from jointpose.utils import cli, files, mat_files
from jointpose.utils.errors import InputError

EVERY, EVERY_LSP, NOBODY = {'train': 80, 'test': 20}, 17, -9.0
TABLE = os.path.join('report', 'certainty.csv')


def main():
    args = parse_options()
    if not args.again:
        write(measure(args), args.table)
    fields = read(args.table)
    if len(fields) < 4:
        raise InputError(f'--table {args.table}: wants train and test, people and nobody')
    curve = [
        round(float(value), 2)
        for value in fit(fields['train', 'people'], fields['train', 'nobody'])
    ]
    print('fit: --certainty {} {}'.format(*curve))
    draw(
        fields['test', 'people'],
        fields['test', 'nobody'],
        curve,
        os.path.splitext(args.table)[0] + '.png',
    )


def measure(args):
    """[(part, kind, field), ...]"""
    with api.load(args.restore, '--threshold', '0') as find:
        rows = [
            ('train', 'people', field_near(find(image), joints_xy))
            for image, joints_xy in flic_people(args.meta, args.images, 'train')
        ]
        clicks = []
        for image, joints_xy in flic_people(args.meta, args.images, 'test'):
            rows.append(('test', 'people', field_near(find(image), joints_xy)))
            clicks.append(
                [rate(find(image, [xy])[0].joints_xy, joints_xy) for xy in clicks_on(joints_xy)]
            )
        for i, image in enumerate(empty_pictures(args.lsp_meta, args.lsp_images)):
            rows.append((('train', 'test')[i % 2], 'nobody', highest(find(image))))
    exact, beside = 100 * np.mean(clicks, axis=0)
    print(
        f'% of joints within 10 % after a click on the torso of {len(clicks)} people {exact:.1f}, a quarter of a '
        f'torso beside it {beside:.1f}'
    )
    return rows


def write(rows, path):
    with (
        files.atomic_write(path) as partial,
        open(partial, 'w', newline='', encoding='utf-8') as file,
    ):
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(('part', 'kind', 'field'))
        writer.writerows((part, kind, f'{field:.4f}') for part, kind, field in rows)


def read(path=TABLE):
    """{(part, kind): fields [n]}"""
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
        '--again', action='store_true', help='fit and draw what --table holds, measure nothing'
    )
    parser.add_argument(
        '--table',
        default=TABLE,
        help='the fields; the chart lies beside them (default: %(default)s)',
    )
    measured = [
        parser.add_argument('--restore', metavar='RUN', help='whose scores'),
        parser.add_argument('--meta', metavar='FILE', help="FLIC's examples.mat"),
        parser.add_argument('--images', metavar='FOLDER', help="FLIC's frames"),
        parser.add_argument('--lsp_meta', metavar='FILE', help="LSP's joints.mat"),
        parser.add_argument('--lsp_images', metavar='FOLDER', help="LSP's pictures"),
    ]
    args = parser.parse_args()
    if not args.again and not all(getattr(args, action.dest) for action in measured):
        raise InputError(
            f'say {", ".join(action.option_strings[0] for action in measured)}, or --again'
        )
    return args


def flic_people(meta, images, split):
    """(picture, joints_xy [10, 2]) of some of the people of a split."""
    annotations = flic.read_annotations(meta)
    for row in np.flatnonzero(annotations.split == split)[5 :: EVERY[split]]:
        yield (
            images.read_picture(os.path.join(images, annotations.file[row])),
            annotations.joints_xy[row],
        )


def torso_length(joints_xy):
    return np.linalg.norm(joints_xy[[0, 3]].mean(axis=0) - joints_xy[[6, 7]].mean(axis=0))


def clicks_on(joints_xy):
    """On the torso, and a quarter of a torso beside it, in any direction."""
    torso_xy = joints_xy[flic.N_JOINTS]
    angle = torso_xy.sum()
    beside = torso_xy + 0.25 * torso_length(joints_xy) * np.array([np.cos(angle), np.sin(angle)])
    return [flic.clamp_to_frame(xy) for xy in (torso_xy, beside)]


def field_near(found, joints_xy):
    """The highest field of those found near a person's torso."""
    reach, torso_xy = 0.35 * torso_length(joints_xy), joints_xy[flic.N_JOINTS]
    return highest([one for one in found if np.linalg.norm(one.torso_xy - torso_xy) < reach])


def rate(found_xy, joints_xy):
    errors = np.linalg.norm(found_xy - joints_xy[: flic.N_JOINTS], axis=1)
    return np.mean(errors <= 0.1 * np.linalg.norm(flic.normaliser(joints_xy)))


def highest(found):
    """The field of the clearest of people Found."""
    return max((one.sought.seen.score for one in found), default=NOBODY)


def empty_pictures(lsp_meta, lsp_images):
    rng, shape = np.random.default_rng(0), (480, 720, 3)
    yield from rng.integers(0, 256, (4, *shape), np.uint8)
    for sigma in 2 * [2, 4, 8, 16, 32, 64]:
        noise = scipy.ndimage.gaussian_filter(rng.normal(size=shape), (sigma, sigma, 0))
        yield np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)
    yield np.zeros(shape, np.uint8)
    yield rng.integers(0, 256, (3, 3, 3), np.uint8)
    joints = mat_files.load_mat(lsp_meta)['joints']  # 14 x 3 x n
    for i in range(3, 1000, EVERY_LSP):
        image = images.read_image(os.path.join(lsp_images, f'im{i + 1:05d}.jpg'))
        part = beside_person(image, joints[:, :2, i])
        if min(part.shape[:2]) >= 70:
            yield np.ascontiguousarray(part)


def beside_person(image, joints_xy):
    """The largest of the four strips around a person and a third of their size more."""
    height, width = image.shape[:2]
    margin = 0.35 * np.ptp(joints_xy, axis=0).max()
    (left, top), (right, bottom) = (
        np.clip(edge, 0, (width, height)).astype(int)
        for edge in (joints_xy.min(axis=0) - margin, joints_xy.max(axis=0) + margin)
    )
    return max(
        (image[:, :left], image[:, right:], image[:top], image[bottom:]),
        key=lambda part: min(part.shape[1], 1.5 * part.shape[0]),
    )


def fit(shown, without):
    """The curve (even, steepness) of highest likelihood."""

    def loss(parameters):
        even, steepness = parameters
        return (
            np.logaddexp(0, -steepness * (shown - even)).mean()
            + np.logaddexp(0, steepness * (without - even)).mean()
        )

    return scipy.optimize.minimize(loss, [-5, 1], method='Nelder-Mead').x


def draw(shown, without, curve, path):
    from matplotlib.figure import Figure

    thresholds = np.linspace(0.05, 0.95, 91)
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    for fields, label, style in (
        (shown, f"{len(shown)} people of FLIC's test set shown", 'C0-'),
        (without, f'of {len(without)} pictures without people, those with somebody', 'C1--'),
    ):
        certainty = np.array([people_search.certainty(value, curve) for value in fields])
        axes.plot(
            thresholds,
            [100 * np.mean(certainty >= least) for least in thresholds],
            style,
            label=label,
        )
    axes.set(xlabel='--threshold', ylabel='%', xlim=(0, 1), ylim=(0, 100), title='Who is shown')
    axes.legend()
    axes.grid(alpha=0.3)
    with files.atomic_write(path) as partial:
        figure.savefig(partial, format='png', dpi=110, bbox_inches='tight')
    for least in (0.3, 0.5, 0.7, 0.9):
        rates = [
            100 * np.mean([people_search.certainty(value, curve) >= least for value in fields])
            for fields in (shown, without)
        ]
        print(
            '--threshold {:.1f}: {:.0f} % of the people, somebody in {:.0f} % of the others'.format(
                least, *rates
            )
        )


if __name__ == '__main__':
    cli.run_script(main)
