"""MoveNet and BlazePose on FLIC's test people: their joints stored, and a table of them beside ours.

    python -m tools.peers                           the table, from the joints in report/predictions
    python -m tools.peers --measure NAME ...        finds and stores the joints anew; its NAMEs: below
    python -m tools.peers --choose NAME --people 100    rates by crop, on training people; stores nothing

Both get a square around the centre of FLIC's `torsobox`, `crop` box heights to each side.
BlazePose may look again, as MediaPipe does from frame to frame of a video: at the square that its
own two auxiliary landmarks describe.  Joints are stored with left and right as the networks say
them, which is the person's own: `python evaluate.py report/predictions/NAME.npz --sides annotated`
scores them.

--cache gets environments of their own, with pinned versions, 350 MB: Node.js packages (`npm` has to
be installed) and a Python one.  Nothing of theirs becomes part of this project.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import numpy as np

from jointpose.datasets import arrays, flic
from jointpose.evaluation import detection_rates, predictions
from jointpose.metrics.key_points import detection_rate
from jointpose.utils import files, progress
from jointpose.utils.cli import Parser, positive_int, run_script
from jointpose.utils.errors import InputError
from jointpose.utils.tables import markdown
from jointpose.vision import affine, crops
from jointpose.vision.affine import transform_points, warp_image
from tools import rate_tables

TOOLS = os.path.dirname(os.path.abspath(__file__))
NODE_PACKAGES = (
    '@mediapipe/pose@0.5.1675469404',
    '@vladmandic/human@3.3.6',
    '@tensorflow/tfjs-core@4.22.0',
    '@tensorflow/tfjs-converter@4.22.0',
    '@tensorflow/tfjs-backend-wasm@4.22.0',
)
PYTHON_PACKAGES = ('ai-edge-litert==2.3.0',)
INSTALLED = 'installed.json'  # in --cache, written last: what it holds
EXPECTED = {'node': list(NODE_PACKAGES), 'python': list(PYTHON_PACKAGES)}

# BlazePose's auxiliary landmarks, and how much larger than their circle MediaPipe's square is.
HIP_CENTRE, CIRCLE, MARGIN = 33, 34, 1.25


class Peer(NamedTuple):
    """A network that somebody else has trained."""

    title: str
    model: str  # below node_modules
    sha256: dict[str, str]  # of the files beside `model` that are read
    size: int  # of its input, pixels: a square
    values: tuple[int, int]  # of its output: points, values of each
    xy: tuple[int, int]  # columns of x and y
    unit: float  # pixels of the input in what x and y are given in
    joints: tuple[int, ...]  # its points that are flic.JOINTS, in order


MOVENET = Peer(
    title='MoveNet Lightning',
    model='@vladmandic/human/models/movenet-lightning.json',
    sha256={
        'movenet-lightning.json': 'df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9',
        'movenet-lightning.bin': 'bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34',
    },
    size=192,
    values=(17, 3),
    xy=(1, 0),
    unit=192,
    joints=(5, 7, 9, 6, 8, 10, 11, 12, 0),
)
BLAZEPOSE = Peer(
    title='BlazePose heavy',
    model='@mediapipe/pose/pose_landmark_heavy.tflite',
    sha256={
        'pose_landmark_heavy.tflite': '59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe',
    },
    size=256,
    values=(39, 5),
    xy=(0, 1),
    unit=1,
    joints=(11, 13, 15, 12, 14, 16, 23, 24, 0),
)


class Run(NamedTuple):
    """How a peer is given people."""

    peer: Peer
    crop: float  # half the square's side, in heights of the torsobox
    looks: int = 1  # the second and later ones at squares of BlazePose's own

    @property
    def how(self) -> str:
        """As the stored file says it."""
        return f'a square of {self.crop:g} box heights to each side, looks: {self.looks}'


RUNS = {
    'movenet_lightning': Run(MOVENET, 1.5),
    'movenet_lightning_chosen': Run(MOVENET, 1.25),
    'blazepose_heavy': Run(BLAZEPOSE, 1.5),
    'blazepose_heavy_chosen': Run(BLAZEPOSE, 2, 2),
}
CROPS = (1, 1.25, 1.5, 1.75, 2, 2.5, 3)  # of --choose
OURS = ('quarter_single', 'quarter_single_torsobox')  # of rate_tables.ROWS, for the table


# ---------------------------------------------------------------- where a peer looks, what it says


class Square(NamedTuple):
    """A square region of a picture."""

    centre: np.ndarray  # (x, y), pixels
    side: float  # pixels
    degrees: float = 0  # by which the picture turns clockwise, to be upright in it

    def matrix(self, size: int) -> np.ndarray:
        """[2, 3]: from pixels of the picture to those of a crop of size x size."""
        return crops.crop_matrix(self.centre, (self.side, self.side), (size, size), self.degrees)


def first_square(torsobox, crop: float) -> Square:
    """The square around the centre of a torsobox (x1 y1 x2 y2), `crop` heights to each side."""
    x1, y1, x2, y2 = (float(side) for side in torsobox)
    centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    return Square(centre, 2 * crop * (y2 - y1))


def next_square(points_xy) -> Square:
    """MediaPipe's region for the next look, of all of BlazePose's points [39, 2] in the picture.

    One auxiliary landmark is between the hips.  The other lies above the head, on the circle about
    the whole body.
    """
    centre = points_xy[HIP_CENTRE]
    x, y = points_xy[CIRCLE] - centre
    lean = np.degrees(np.arctan2(x, -y))  # of the body, clockwise from upright
    return Square(centre, 2 * MARGIN * float(np.hypot(x, y)), -lean)


def points_of(peer: Peer, output, square: Square) -> np.ndarray:
    """A network's output, flat, as points [k, 2] (x, y), pixels of the picture."""
    values = np.reshape(output, peer.values).astype(np.float64)
    in_crop = values[:, list(peer.xy)] * peer.unit
    return transform_points(affine.invert(square.matrix(peer.size)), in_crop)


class Network:
    """A peer's process: takes crops, gives outputs."""

    def __init__(self, peer: Peer, cache: str):
        self.peer = peer
        self.count = int(np.prod(peer.values))
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self.process = subprocess.Popen(
            command(peer, cache), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.errors.close()

    def __call__(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
        """A crop uint8 [size, size, 3] -> (output [count], processor seconds that it took)."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(crop.tobytes())
            self.process.stdin.flush()
        wanted = 4 * (self.count + 1)
        answer = self.process.stdout.read(wanted)
        if len(answer) < wanted:
            raise InputError(f'{self.peer.title}: its process ended: {self.last_words()}')
        values = np.frombuffer(answer, np.float32)
        return values[:-1], float(values[-1])

    def last_words(self) -> str:
        """What the process printed last on standard error."""
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors='replace').split('\n')
        return next((line for line in reversed(lines) if line.strip()), 'it does not say why')


def find(network: Network, image, torsobox, run: Run) -> tuple[np.ndarray, float]:
    """(joints [9, 2] as flic.JOINTS, pixels; processor seconds, crops included) of one person."""
    points, seconds = look(network, image, first_square(torsobox, run.crop))
    for _ in range(run.looks - 1):
        points, took = look(network, image, next_square(points))
        seconds += took
    return points[list(run.peer.joints)], seconds


def look(network: Network, image, square: Square) -> tuple[np.ndarray, float]:
    """(points [k, 2], pixels of the picture; processor seconds) of what is in a square."""
    peer = network.peer
    began = time.process_time()
    crop = warp_image(image, square.matrix(peer.size), (peer.size, peer.size))
    cut = time.process_time() - began
    output, took = network(crop)
    return points_of(peer, output, square), cut + took


def find_all(network: Network, split: arrays.Split, rows, run: Run, what: str):
    """(joints [n, 9, 2], processor seconds a person) of those rows of a split."""
    found = []
    seconds = []
    for row in progress.track(rows, len(rows), what, 'person'):
        joints, took = find(network, split.images[row], split.people['torsobox'][row], run)
        found.append(joints)
        seconds.append(took)
    return np.stack(found), float(np.mean(seconds))


# ---------------------------------------------------------------- environments of their own


def install(cache: str) -> None:
    """Makes the environments in `cache`, unless they are there."""
    stamp = os.path.join(cache, INSTALLED)
    if os.path.exists(stamp) and files.load_json(stamp) == EXPECTED:
        return
    os.makedirs(cache, exist_ok=True)
    print(f'installing the peers into {cache}: 350 MB', file=sys.stderr)
    call(
        'npm',
        'install',
        '--prefix',
        cache,
        '--ignore-scripts',
        '--no-audit',
        '--no-fund',
        '--save-exact',
        *NODE_PACKAGES,
    )
    environment = os.path.join(cache, 'python')
    call(sys.executable, '-m', 'venv', '--clear', environment)
    call(python_of(cache), '-m', 'pip', 'install', '--disable-pip-version-check', *PYTHON_PACKAGES)
    with files.atomic_write(stamp) as partial, open(partial, 'w', encoding='utf-8') as file:
        json.dump(EXPECTED, file, indent=1)


def call(program: str, *arguments: str) -> None:
    """Runs a program; InputError with its last line where it fails."""
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise InputError(
            f'{program}: not found: the peers need Node.js (18 or later, with npm) '
            'and Python with venv'
        ) from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().split('\n')
        raise InputError(f'{" ".join([program, *arguments])}: failed: {lines[-1]}')


def python_of(cache: str) -> str:
    """The Python of the peers' own environment."""
    return os.path.join(cache, 'python', 'bin', 'python')


def command(peer: Peer, cache: str) -> list[str]:
    """What runs a network's side program on its model."""
    model = os.path.join(cache, 'node_modules', peer.model)
    if peer is MOVENET:
        return ['node', os.path.join(TOOLS, 'peer_movenet.js'), cache, model]
    return [python_of(cache), os.path.join(TOOLS, 'peer_blazepose.py'), model]


def check_model(peer: Peer, cache: str) -> None:
    """InputError unless the files of a model are those that were measured."""
    folder = os.path.dirname(os.path.join(cache, 'node_modules', peer.model))
    for name, expected in peer.sha256.items():
        path = os.path.join(folder, name)
        try:
            with open(path, 'rb') as file:
                found = hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            raise InputError(
                f'{path}: cannot be read: {error.strerror}: delete {cache}, '
                'and it is installed again'
            ) from None
        if found != expected:
            raise InputError(
                f'{path}: SHA-256 {found}, expected {expected}: delete {cache}, '
                'and it is installed again'
            )


# ---------------------------------------------------------------- measuring


def measure(name: str, args) -> str:
    """Finds all test people's joints; returns the path of the file that holds them now."""
    run = RUNS[name]
    manifest = read_flic(args.data)
    test = arrays.load_split(args.data, 'test', manifest)
    with Network(run.peer, args.cache) as network:
        joints, seconds = find_all(network, test, test.rows, run, name)
    return store(args.folder, name, joints, seconds, manifest)


def store(folder: str, name: str, joints, seconds: float, manifest) -> str:
    """Writes joints [n, 9, 2] in the form of predictions.py, and processor seconds a person."""
    variables = {
        'split': 'test',
        'data_id': manifest['id'],
        'found_with': RUNS[name].how,
        'cpu_seconds': np.float32(seconds),
        f'flic_pred_{name}': np.transpose(joints, (2, 1, 0)).astype(np.float32),
        f'flic_title_{name}': RUNS[name].peer.title,
    }
    os.makedirs(folder, exist_ok=True)
    path = rate_tables.stored_path(folder, name)
    with files.atomic_write(path) as partial, open(partial, 'wb') as file:
        np.savez_compressed(file, **variables)
    return path


def choose(name: str, args) -> str:
    """Markdown: rates of a peer on training people, for each crop and number of looks."""
    peer = RUNS[name].peer
    manifest = read_flic(args.data)
    train = arrays.load_split(args.data, 'train', manifest)
    rows = np.linspace(0, len(train.rows) - 1, min(args.people, len(train.rows))).astype(int)
    truth = detection_rates.read_truth(args.data, manifest, 'train', 'annotated')
    table = []
    with Network(peer, args.cache) as network:
        for run in tried(peer):
            joints, _ = find_all(network, train, rows, run, run.how)
            found = predictions.Predictions({name: joints}, flic.JOINTS, rows, 'train', '')
            errors = detection_rates.score(found, truth, rate_tables.NORMALISER)[name]
            table.append((f'{run.crop:g}', run.looks, *cells(errors)))
    return markdown(('crop', 'passes', *COLUMNS), table)


def tried(peer: Peer) -> list[Run]:
    """What --choose compares."""
    looks = (1, 2) if peer is BLAZEPOSE else (1,)
    return [Run(peer, crop, n) for crop in CROPS for n in looks]


def read_flic(folder: str) -> dict:
    """The manifest of FLIC's arrays; InputError for another data set's."""
    manifest = arrays.read_manifest(folder)
    if manifest['dataset'] != 'flic':
        raise InputError(f'--data {folder}: holds {manifest["dataset"]}, expected FLIC')
    return manifest


# ---------------------------------------------------------------- table

COLUMNS = ('wrist', 'elbow', 'shoulder', 'nose', 'hip', 'mean of 9', 'without hips')
HEADER = (
    '',
    'crop',
    'passes',
    'CPU seconds',
    'sides',
    *COLUMNS,
    'mean, other sides',
    'PCK@0.2 elbow',
    'wrist',
)


def cells(errors) -> list[str]:
    """Cells of COLUMNS, from errors [n, 9] in % of the normaliser."""
    rates = detection_rate(errors, rate_tables.RADIUS)
    groups = dict(detection_rates.row_groups(flic.JOINTS))
    upper = [column for column in range(len(flic.JOINTS)) if column not in groups['hip']]
    groups['without hips'] = upper
    return [f'{rates[groups[label]].mean():.1f}' for label in COLUMNS]


def pck_cells(errors) -> list[str]:
    """PCK@0.2 of elbows and wrists, from errors in % of the torsobox's diagonal."""
    rates = detection_rate(errors, 20)
    groups = dict(detection_rates.row_groups(flic.JOINTS))
    return [f'{rates[groups[label]].mean():.1f}' for label in ('elbow', 'wrist')]


def scored(found, model: str, truths: dict, sides: str) -> list[str]:
    """A row's cells from `sides` on; truths: {sides: detection_rates.Truth}."""
    (other,) = set(truths) - {sides}
    errors = {
        key: detection_rates.score(found, truths[key], rate_tables.NORMALISER)[model]
        for key in truths
    }
    pck = detection_rates.score(found, truths[sides], 'torsobox')[model]
    other_mean = cells(errors[other])[COLUMNS.index('mean of 9')]
    return [sides, *cells(errors[sides]), other_mean, *pck_cells(pck)]


def peer_row(path: str, name: str, manifest, truths: dict) -> list[str]:
    """The table's row of stored joints."""
    run = RUNS[name]
    found = predictions.read(path, manifest)
    if found.how != run.how:
        raise InputError(f'{path}: found with {found.how!r}, expected {run.how!r}')
    seconds = float(predictions.load_variables(path)['cpu_seconds'])
    return [
        run.peer.title,
        f'{run.crop:g}',
        str(run.looks),
        f'{seconds:.2f}',
        *scored(found, run.peer.title, truths, 'annotated'),
    ]


def our_row(path: str, name: str, manifest, truths: dict) -> list[str]:
    """The row of ours: no square, since it sees the whole frame."""
    found = predictions.read(path, manifest)
    row = next(row for row in rate_tables.ROWS if row.name == name)
    title = f'{row.weights} {row.options}'
    return [title, '', '', '', *scored(found, predictions.TITLES[row.output], truths, 'swapped')]


def read_truths(data: str, manifest) -> dict:
    """{sides: detection_rates.Truth} of the test people."""
    return {
        sides: detection_rates.read_truth(data, manifest, 'test', sides)
        for sides in detection_rates.SIDES
    }


def table(folder: str, data: str) -> str:
    """Markdown of all runs that are stored."""
    manifest = read_flic(data)
    truths = read_truths(data, manifest)
    rows = []
    for names, row_of in ((RUNS, peer_row), (OURS, our_row)):
        for name in names:
            path = rate_tables.stored_path(folder, name)
            if os.path.exists(path):
                rows.append(row_of(path, name, manifest, truths))
            else:
                print(f'{path}: not there, left out', file=sys.stderr)
    return markdown(HEADER, rows)


def hips_off(found_xy, truth_xy) -> tuple[float, float]:
    """How far hips lie (inwards, down) of the annotated ones, medians in % of ||lhip - rsho||.

    found_xy, truth_xy: [n, 9, 2] as flic.JOINTS.  Inwards: towards the other annotated hip.
    """
    hips = [flic.JOINTS.index('lhip'), flic.JOINTS.index('rhip')]
    shift = found_xy[:, hips] - truth_xy[:, hips]  # [n, 2, 2]
    across = truth_xy[:, hips[::-1]] - truth_xy[:, hips]
    across = across / np.linalg.norm(across, axis=-1, keepdims=True)
    length = np.linalg.norm(flic.normaliser(truth_xy, flic.NORMALISER), axis=-1)[:, None]
    inwards = 100 * (shift * across).sum(axis=-1) / length
    down = 100 * shift[..., 1] / length
    return float(np.median(inwards)), float(np.median(down))


def hip_lines(folder: str, data: str) -> list[str]:
    """A line for each stored run: where its hips are."""
    manifest = read_flic(data)
    truth = detection_rates.read_truth(data, manifest, 'test', 'annotated')
    lines = []
    for name in RUNS:
        path = rate_tables.stored_path(folder, name)
        if os.path.exists(path):
            (found_xy,) = predictions.read(path, manifest).models.values()
            inwards, down = hips_off(found_xy, truth.joints_xy)
            lines.append(
                f'{name}: hips {inwards:.1f} % of ‖{rate_tables.NORMALISER}‖ further in '
                f'than annotated, {down:.1f} % further down (medians)'
            )
    return lines


# ---------------------------------------------------------------- command line


def parse_arguments():
    parser = Parser(description=__doc__)
    parser.add_argument(
        '--measure',
        nargs='+',
        choices=RUNS,
        metavar='NAME',
        help=f'find and store the joints of {", ".join(RUNS)}',
    )
    parser.add_argument(
        '--choose',
        choices=RUNS,
        metavar='NAME',
        help='rates of its network by crop, on training people',
    )
    parser.add_argument(
        '--people',
        type=positive_int,
        default=100,
        help='training people of --choose (default: %(default)s)',
    )
    parser.add_argument('--data', default='arrays', metavar='FOLDER', help="FLIC's arrays")
    parser.add_argument('--folder', default=rate_tables.FOLDER, help='of the stored joints')
    parser.add_argument(
        '--cache',
        default='.peers',
        metavar='FOLDER',
        help="of the peers' environments; may be deleted at any time",
    )
    return parser.parse_args()


def main():
    args = parse_arguments()
    names = [*(args.measure or ()), *([args.choose] if args.choose else ())]
    if names:
        read_flic(args.data)  # before the installation
        install(args.cache)
        for name in names:
            check_model(RUNS[name].peer, args.cache)
    for name in args.measure or ():
        print(measure(name, args))
    if args.choose:
        print(choose(args.choose, args))
        return
    print(table(args.folder, args.data))
    print('\n'.join(['', *hip_lines(args.folder, args.data)]))


if __name__ == '__main__':
    run_script(main)
