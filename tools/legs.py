"""Counts detections on legs, trousers taken for a second person, before and after suppression.

    python -m tools.legs --restore pretrained/flic_quarter --shared FOLDER
                                    detects; writes report/legs.jsonl and prints the table
    python -m tools.legs            prints the table of report/legs.jsonl

FOLDER has the data sets as flic/, lspet/, parse/ and coco_sample/.  Pictures: of LSP-extended
every 16th of the first 240 and of the 501st to 1000th; PARSE's training people; every other one of
FLIC's training frames with two people a torso or more apart; COCO's.  Some of them were looked at
while people_search.on_legs was made ('tuned'), the others were not ('held out').

A detection with a score of at least 0.3 is a `person` if its torso is within half a torso of an
annotated one, `again` if another detection was there already, `legs` if it is within 0.4 torsos of
an annotated thigh or shin, else `other`: people without annotation, spectators above all, or
nobody.  The table is for `--threshold` 0.5, the default, and 0.3.
"""

import collections
import json
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import jointpose
from jointpose.datasets import coco, flic, lsp
from jointpose.systems.tompson import people_search
from jointpose.utils import cli, files
from jointpose.utils.errors import InputError

TABLE = os.path.join('report', 'legs.jsonl')
THRESHOLDS = (0.5, 0.3)  # of the table; the last is the lowest score that is kept
NEAR_TORSO = 0.5  # torsos
NEAR_LEG = 0.4  # torsos
KINDS = ('person', 'legs', 'again', 'other')


class Annotated(NamedTuple):
    """A person whose shoulders and hips are labelled; pixels of the picture."""

    torso_xy: np.ndarray  # [2]
    length: float  # of the torso
    legs: list[tuple[np.ndarray, np.ndarray]]  # ends of the labelled thighs and shins


class Picture(NamedTuple):
    """A picture of the measurement."""

    part: str  # 'tuned' or 'held out'
    set: str  # name of the data set
    path: str
    people: list[Annotated]


def main():
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--restore', metavar='RUN', help='network that detects')
    parser.add_argument('--shared', metavar='FOLDER', help='folder of the data sets')
    parser.add_argument('--table', default=TABLE, help='the detections (default: %(default)s)')
    args = parser.parse_args()
    if args.restore and args.shared:
        write(measure(args.restore, args.shared), args.table)
    rows = read(args.table)
    for threshold in THRESHOLDS:
        print(f'--threshold {threshold}\n\n{table(rows, threshold)}\n')


def measure(run: str, shared: str) -> list[dict]:
    """What table() counts, one entry a picture."""
    rows = []
    with jointpose.load(run, '--threshold', THRESHOLDS[-1]) as model:
        kept = people_search.BELOW_HIPS
        people_search.BELOW_HIPS = 0  # no one is suppressed
        for picture in pictures(shared):
            people = model(jointpose.read(picture.path))
            trunks = [people_search.trunk(person.joints_xy, person.score) for person in people]
            rows.append((picture, trunks))
        people_search.BELOW_HIPS = kept
    return [row(picture, trunks) for picture, trunks in rows]


def row(picture: Picture, trunks: list[people_search.Trunk]) -> dict:
    """A picture and its detections as the table has them."""
    clear = [trunk for trunk in trunks if trunk.score >= THRESHOLDS[-1]]
    detections = []
    for trunk, kind in zip(clear, kinds(picture.people, clear)):
        score = round(trunk.score, 4)
        detections.append({'score': score, 'kind': kind, 'under': under(trunk, clear)})
    return {
        'part': picture.part,
        'set': picture.set,
        'image': os.path.basename(picture.path),
        'people': len(picture.people),
        'detections': detections,
    }


def under(trunk, trunks) -> float | None:
    """The highest score of those on whose legs a Trunk may be, or None.

    The Trunk is suppressed where one of them is shown.
    """
    scores = [round(other.score, 4) for other in trunks if people_search.on_legs(trunk, other)]
    return max(scores, default=None)


def kinds(people: list[Annotated], trunks) -> list[str]:
    """The kind of each detection."""
    taken = set()
    found = []
    for trunk in trunks:
        xy = (trunk.shoulders_xy + trunk.hips_xy) / 2
        distances = [np.linalg.norm(xy - person.torso_xy) / person.length for person in people]
        nearest = int(np.argmin(distances)) if distances else None
        if distances and distances[nearest] < NEAR_TORSO:
            found.append('again' if nearest in taken else 'person')
            taken.add(nearest)
        elif any(near_leg(xy, person) for person in people):
            found.append('legs')
        else:
            found.append('other')
    return found


def near_leg(xy: np.ndarray, person: Annotated) -> bool:
    """Whether a point is near one of a person's legs."""
    return any(distance(xy, *leg) < NEAR_LEG * person.length for leg in person.legs)


def distance(xy: np.ndarray, first: np.ndarray, last: np.ndarray) -> float:
    """Of a point from the line between two others."""
    along = last - first
    part = np.clip((xy - first) @ along / max(along @ along, 1e-9), 0, 1)
    return np.linalg.norm(xy - first - part * along)


def annotated(joints_xy, visible, joints) -> Annotated | None:
    """A person with joints named `joints`; None: shoulders or hips are not labelled."""
    joints_xy = np.asarray(joints_xy, float)
    xy = {name: point for name, point, seen in zip(joints, joints_xy, visible) if seen}
    if not {'lsho', 'rsho', 'lhip', 'rhip'} <= set(xy):
        return None
    shoulders = (xy['lsho'] + xy['rsho']) / 2
    hips = (xy['lhip'] + xy['rhip']) / 2
    diagonal = np.linalg.norm(xy['lsho'] - xy['rhip'])
    length = max(np.linalg.norm(shoulders - hips), 0.8 * diagonal)
    legs = []
    for side in 'lr':
        for upper, lower in (('hip', 'kne'), ('kne', 'ank')):
            if side + upper in xy and side + lower in xy:
                legs.append((xy[side + upper], xy[side + lower]))
    return Annotated((shoulders + hips) / 2, length, legs)


# --- which pictures -----------------------------------------------------------------------------------------------


def pictures(shared: str) -> Iterator[Picture]:
    """Yields all pictures of the measurement."""
    lspet = os.path.join(shared, 'lspet')
    root, people = lsp.Lsp().read(
        [os.path.join(lspet, 'joints.mat')], [os.path.join(lspet, 'images')]
    )
    for i in (*range(0, 240, 16), *range(500, 1000, 16)):
        part = 'tuned' if i < 500 else 'held out'
        yield picture_of(part, 'LSP-extended', people['train'], i, root)
    parse = os.path.join(shared, 'parse')
    root, people = lsp.Lsp().read([os.path.join(parse, 'labels.mat')], [parse])
    for i in range(100):
        part = 'tuned' if i < 56 or i % 4 == 0 else 'held out'
        yield picture_of(part, 'PARSE', people['train'], i, root)
    yield from flic_frames(os.path.join(shared, 'flic'))
    yield from coco_pictures(os.path.join(shared, 'coco_sample'))


def picture_of(part: str, name: str, people, i: int, folder: str) -> Picture:
    """The picture of one person of a data set."""
    person = annotated(people.joints[i], people.people['visible'][i], lsp.JOINTS)
    path = os.path.join(folder, people.people['file'][i])
    return Picture(part, name, path, [person] if person else [])


def flic_frames(folder: str) -> Iterator[Picture]:
    """Yields training frames with two people who are apart."""
    labels = flic.read_annotations(os.path.join(folder, 'examples.mat'))
    frames = collections.defaultdict(list)
    for file, split, joints_xy in zip(labels.file, labels.split, labels.joints_xy):
        if split == 'train':
            frames[file].append(joints_xy)
    two = [file for file in sorted(frames) if len(frames[file]) == 2 and far_apart(*frames[file])]
    for i, file in enumerate(two[::2]):
        people = []
        for joints_xy in frames[file]:
            people.append(annotated(joints_xy, np.ones(len(joints_xy)), flic.MAPS))
        part = 'held out' if i % 2 else 'tuned'
        path = os.path.join(folder, 'images', file)
        yield Picture(part, 'FLIC, two people', path, people)


def far_apart(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two people's torsos are about a torso or more apart."""
    norm = max(np.linalg.norm(flic.normaliser(joints_xy)) for joints_xy in (one, other))
    return np.linalg.norm(one[flic.N_JOINTS] - other[flic.N_JOINTS]) > 0.9 * norm


def coco_pictures(folder: str) -> Iterator[Picture]:
    """Yields the pictures of COCO's sample."""
    people = coco.read_json(os.path.join(folder, 'test_coco.json'), os.path.join(folder, ''), '')
    for name in sorted(set(people.people['file'].tolist())):
        found = []
        for i in np.flatnonzero(people.people['file'] == name):
            found.append(annotated(people.joints[i], people.people['visible'][i], coco.JOINTS))
        labelled = [person for person in found if person]
        yield Picture('tuned', 'COCO', os.path.join(folder, name), labelled)


# --- the table ----------------------------------------------------------------------------------------------------


def write(rows: list[dict], path: str) -> None:
    """Writes the detections, a picture a line."""
    with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
        file.writelines(json.dumps(entry) + '\n' for entry in rows)


def read(path: str) -> list[dict]:
    """The detections of a file; InputError says what is wrong with it."""
    try:
        with open(path, encoding='utf-8') as file:
            return [json.loads(line) for line in file]
    except (OSError, ValueError) as error:
        raise InputError(f'--table {path}: not a table of this program: {error}') from error


def table(rows: list[dict], threshold: float) -> str:
    """Markdown: detections of each kind at a --threshold, before and after the suppression.

    recall: annotated people found; precision: those among detections on annotated people, `other`
    left out.
    """
    lines = [
        '| part | pictures | people | found | legs | found again | other '
        '| recall, % | precision, % |',
        '|---|---:|---:|---:|---:|---:|---:|---:|---:|',
    ]
    groups = collections.defaultdict(list)
    for entry in rows:
        groups[f'{entry["part"]}, {entry["set"]}'].append(entry)
    for title, group in groups.items():
        lines.append(table_line(title, group, threshold))
    lines.append(table_line('all', rows, threshold))
    return '\n'.join(lines)


def table_line(title: str, rows: list[dict], threshold: float) -> str:
    """A line of the table."""
    people = sum(entry['people'] for entry in rows)
    before = collections.Counter()
    after = collections.Counter()
    for entry in rows:
        for detection in entry['detections']:
            if detection['score'] >= threshold:
                before[detection['kind']] += 1
                is_shown = (detection['under'] or 0) < threshold
                after[detection['kind']] += is_shown
    cells = [title, str(len(rows)), str(people)]
    cells += [change(before[kind], after[kind]) for kind in KINDS]
    for rate_before, rate_after in zip(rates(before, people), rates(after, people)):
        cells.append(change(rate_before, rate_after))
    return f'| {" | ".join(cells)} |'


def rates(counts: collections.Counter, people: int) -> tuple[str, str]:
    """Recall and precision as text, %; '' without people or detections."""
    found = counts['person']
    on_people = found + counts['legs'] + counts['again']
    recall = f'{100 * found / people:.1f}' if people else ''
    precision = f'{100 * found / on_people:.1f}' if on_people else ''
    return recall, precision


def change(before: object, after: object) -> str:
    """'8' or '8 → 6'."""
    return f'{before}' if before == after else f'{before} → {after}'


if __name__ == '__main__':
    cli.run_script(main)
