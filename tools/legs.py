"""Trousers that are taken for a second person: how many there are, and how many people their suppression costs.

    python -m tools.legs --restore pretrained/flic_quarter --shared FOLDER    looks; report/legs.jsonl and the table
    python -m tools.legs                                                      the table of what is in report/legs.jsonl

FOLDER has the data sets as flic/, lspet/, parse/ and coco_sample/.  Pictures: of LSP-extended every 16th of the
first 240 and of the 501st to 1000th; PARSE's training people; FLIC's training frames with two people a torso or more
apart, every other; COCO's.  A first part of them was looked at while crowd.on_legs was made ('tuned'), the rest was
not ('held out').

A detection with a score of at least 0.3 is a `person` if its torso is within half a torso of an annotated one, `again`
if another detection was there already, `legs` if it is within 0.4 torsos of an annotated thigh or shin, else `other`:
people without annotation, spectators above all, or nobody.  The table is for `--threshold` 0.5, the default, and 0.3.
"""

import collections
import json
import os

import numpy as np

from jointpose.datasets import coco, flic, lsp
from jointpose.inference import api
from jointpose.systems.tompson import people_search
from jointpose.utils import cli, files
from jointpose.utils.errors import InputError

TABLE = os.path.join('report', 'legs.jsonl')
THRESHOLDS = (0.5, 0.3)  # of the table; the last is the lowest score that is kept
NEAR_TORSO, NEAR_LEG = 0.5, 0.4  # torsos

# torso_xy [2], length of the torso; legs: [(xy, xy), ...], thighs and shins that are labelled; pixels.
Annotated = collections.namedtuple('Annotated', 'torso_xy length legs')
# part: 'tuned' or 'held out'; people: [Annotated, ...]
Picture = collections.namedtuple('Picture', 'part set path people')


def main():
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--restore', metavar='RUN', help='whose detections')
    parser.add_argument('--shared', metavar='FOLDER', help='the data sets')
    parser.add_argument('--table', default=TABLE, help='what was found (default: %(default)s)')
    args = parser.parse_args()
    if args.restore and args.shared:
        write(measure(args.restore, args.shared), args.table)
    rows = read(args.table)
    for threshold in THRESHOLDS:
        print(f'--threshold {threshold}\n\n{table(rows, threshold)}\n')


def measure(run, shared):
    """What table() counts, one a picture."""
    with api.load(run, '--threshold', THRESHOLDS[-1]) as find:
        kept, people_search.BELOW_HIPS = people_search.BELOW_HIPS, 0  # nobody is suppressed
        found = [(picture, find(api.read(picture.path))) for picture in pictures(shared)]
        people_search.BELOW_HIPS = kept
    return [
        row(picture, [people_search.trunk(one.joints_xy, one.score) for one in people])
        for picture, people in found
    ]


def row(picture, trunks):
    """A picture and its detections as the table has them."""
    clear = [one for one in trunks if one.score >= THRESHOLDS[-1]]
    detections = [
        {'score': round(one.score, 4), 'kind': kind, 'under': under(one, clear)}
        for one, kind in zip(clear, kinds(picture.people, clear))
    ]
    return {
        'part': picture.part,
        'set': picture.set,
        'image': os.path.basename(picture.path),
        'people': len(picture.people),
        'detections': detections,
    }


def under(one, trunks):
    """The highest score of those on whose legs a Trunk may be, or None: it is suppressed where one of them is shown."""
    return max(
        (round(other.score, 4) for other in trunks if people_search.on_legs(one, other)),
        default=None,
    )


def kinds(people, trunks):
    """The kind of each detection."""
    taken, found = set(), []
    for one in trunks:
        xy = (one.shoulders_xy + one.hips_xy) / 2
        apart = [np.linalg.norm(xy - person.torso_xy) / person.length for person in people]
        nearest = int(np.argmin(apart)) if apart else None
        if apart and apart[nearest] < NEAR_TORSO:
            found.append('again' if nearest in taken else 'person')
            taken.add(nearest)
        else:
            found.append('legs' if any(near_leg(xy, person) for person in people) else 'other')
    return found


def near_leg(xy, person):
    return any(distance(xy, *leg) < NEAR_LEG * person.length for leg in person.legs)


def distance(xy, first, last):
    """Of a point from a line between two others."""
    along = last - first
    part = np.clip((xy - first) @ along / max(along @ along, 1e-9), 0, 1)
    return np.linalg.norm(xy - first - part * along)


def annotated(joints_xy, visible, joints):
    """The Annotated of a person with joints named `joints`; None: shoulders or hips are not labelled."""
    xy = {name: at for name, at, seen in zip(joints, np.asarray(joints_xy, float), visible) if seen}
    if not {'lsho', 'rsho', 'lhip', 'rhip'} <= set(xy):
        return None
    shoulders, hips = (xy['lsho'] + xy['rsho']) / 2, (xy['lhip'] + xy['rhip']) / 2
    length = max(np.linalg.norm(shoulders - hips), 0.8 * np.linalg.norm(xy['lsho'] - xy['rhip']))
    bones = [
        (side + first, side + last)
        for side in 'lr'
        for first, last in (('hip', 'kne'), ('kne', 'ank'))
    ]
    return Annotated(
        (shoulders + hips) / 2, length, [(xy[a], xy[b]) for a, b in bones if a in xy and b in xy]
    )


# --- which pictures -----------------------------------------------------------------------------------------------


def pictures(shared):
    """All Pictures of the measurement."""
    folder = os.path.join(shared, '{}', '').format
    lspet_root, lspet = lsp.Lsp().read(
        [folder('lspet') + 'joints.mat'], [folder('lspet') + 'images']
    )
    parse_root, parse = lsp.Lsp().read([folder('parse') + 'labels.mat'], [folder('parse')])
    for i in (*range(0, 240, 16), *range(500, 1000, 16)):
        yield of_row(
            'tuned' if i < 500 else 'held out', 'LSP-extended', lspet['train'], i, lspet_root
        )
    for i in range(100):
        yield of_row(
            'tuned' if i < 56 or i % 4 == 0 else 'held out', 'PARSE', parse['train'], i, parse_root
        )
    yield from flic_frames(folder('flic'))
    yield from coco_pictures(folder('coco_sample'))


def of_row(part, name, people, i, folder):
    one = annotated(people.joints[i], people.people['visible'][i], lsp.JOINTS)
    return Picture(part, name, os.path.join(folder, people.people['file'][i]), [one] if one else [])


def flic_frames(folder):
    """Training frames with two people who are apart."""
    labels = flic.read_annotations(folder + 'examples.mat')
    frames = collections.defaultdict(list)
    for file, split, joints_xy in zip(labels.file, labels.split, labels.joints_xy):
        if split == 'train':
            frames[file].append(joints_xy)
    two = [file for file in sorted(frames) if len(frames[file]) == 2 and far_apart(*frames[file])]
    for i, file in enumerate(two[::2]):
        people = [
            annotated(joints_xy, np.ones(len(joints_xy)), flic.MAPS) for joints_xy in frames[file]
        ]
        yield Picture(
            'held out' if i % 2 else 'tuned', 'FLIC, two people', folder + 'images/' + file, people
        )


def far_apart(one, other):
    norm = max(np.linalg.norm(flic.normaliser(joints_xy)) for joints_xy in (one, other))
    return np.linalg.norm(one[flic.N_JOINTS] - other[flic.N_JOINTS]) > 0.9 * norm


def coco_pictures(folder):
    people = coco.read_json(folder + 'test_coco.json', folder, '')
    for name in sorted(set(people.people['file'].tolist())):
        rows = np.flatnonzero(people.people['file'] == name)
        found = [
            annotated(people.joints[i], people.people['visible'][i], coco.JOINTS) for i in rows
        ]
        yield Picture('tuned', 'COCO', folder + name, [one for one in found if one])


# --- the table ----------------------------------------------------------------------------------------------------


def write(rows, path):
    with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
        file.writelines(json.dumps(one) + '\n' for one in rows)


def read(path):
    try:
        with open(path, encoding='utf-8') as file:
            return [json.loads(one) for one in file]
    except (OSError, ValueError) as error:
        raise InputError(f'--table {path}: not a table of this program: {error}') from error


def table(rows, threshold):
    """Markdown: detections of each kind at a --threshold, before and after the suppression.

    recall: annotated people found; precision: those among detections on annotated people, `other` left out.
    """
    lines = [
        '| part | pictures | people | found | legs | found again | other | recall, % | precision, % |',
        '|---|---:|---:|---:|---:|---:|---:|---:|---:|',
    ]
    for part, name in dict.fromkeys((one['part'], one['set']) for one in rows):
        lines.append(
            line(
                f'{part}, {name}',
                [one for one in rows if (one['part'], one['set']) == (part, name)],
                threshold,
            )
        )
    lines.append(line('all', rows, threshold))
    return '\n'.join(lines)


def line(title, rows, threshold):
    people = sum(one['people'] for one in rows)
    detections = [one for row_ in rows for one in row_['detections'] if one['score'] >= threshold]
    before = collections.Counter(one['kind'] for one in detections)
    after = collections.Counter(
        one['kind'] for one in detections if (one['under'] or 0) < threshold
    )
    cells = [change(before[kind], after[kind]) for kind in ('person', 'legs', 'again', 'other')]
    recall, precision = zip(*(rates(counts, people) for counts in (before, after)))
    return f'| {title} | {len(rows)} | {people} | {" | ".join([*cells, change(*recall), change(*precision)])} |'


def rates(counts, people):
    """Recall and precision as text, %."""
    return tuple(
        f'{100 * counts["person"] / n:.1f}' if n else ''
        for n in (people, counts['person'] + counts['legs'] + counts['again'])
    )


def change(before, after):
    return f'{before}' if before == after else f'{before} → {after}'


if __name__ == '__main__':
    cli.run_script(main)
