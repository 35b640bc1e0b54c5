"""Trousers that are taken for a second person: how many there are, and how many people their suppression costs.

    python -m tools.legs --restore pretrained/flic_quarter --shared FOLDER    looks; report/legs.jsonl and the table
    python -m tools.legs                                                      the table of what is in report/legs.jsonl

FOLDER has the data sets as flic/, lspet/, parse/ and coco_sample/.  Pictures: of LSP-extended the first 1000, every
16th; PARSE's training people; FLIC's training frames with two people a torso or more apart, every other; COCO's.  A
first part of them was looked at while crowd.on_legs was made ('tuned'), the rest was not ('held out').

A detection with a score of at least 0.5 is a `person` if its torso is within half a torso of an annotated one, `again`
if another detection was there already, `legs` if it is within 0.4 torsos of an annotated thigh or shin, else `other`:
people without annotation, spectators above all, or nobody.
"""
import collections
import json
import os

import numpy as np

import crowd
import poses
from datasets import coco, flic, lsp
from engine import cli, files, sources
from engine.files import InputError

TABLE = os.path.join('report', 'legs.jsonl')
THRESHOLD, NEAR_TORSO, NEAR_LEG = 0.5, 0.5, 0.4                         # lengths in torsos

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
    print(table(read(args.table)))


def measure(run, shared):
    """What table() counts, one a picture."""
    with poses.load(run, '--threshold', THRESHOLD) as find:
        kept, crowd.BELOW_HIPS = crowd.BELOW_HIPS, 0                    # nobody is suppressed
        found = [(picture, find(sources.read_picture(picture.path))) for picture in pictures(shared)]
        crowd.BELOW_HIPS = kept
    return [row(picture, [crowd.trunk(one.joints_xy, one.score) for one in people]) for picture, people in found]


def row(picture, trunks):
    """A picture and its detections as the table has them."""
    clear = [one for one in trunks if one.score >= THRESHOLD]
    stays = crowd.without_legs(clear)
    detections = [{'score': round(one.score, 4), 'kind': kind, 'on_legs': i not in stays}
                  for i, (one, kind) in enumerate(zip(clear, kinds(picture.people, clear)))]
    return {'part': picture.part, 'set': picture.set, 'image': os.path.basename(picture.path),
            'people': len(picture.people), 'detections': detections}


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
    bones = [(side + first, side + last) for side in 'lr' for first, last in (('hip', 'kne'), ('kne', 'ank'))]
    return Annotated((shoulders + hips) / 2, length, [(xy[a], xy[b]) for a, b in bones if a in xy and b in xy])


# --- which pictures -----------------------------------------------------------------------------------------------

def pictures(shared):
    """All Pictures of the measurement."""
    folder = os.path.join(shared, '{}', '').format
    lspet = lsp.read_one(folder('lspet') + 'joints.mat', '')['train']
    parse = lsp.read_one(folder('parse') + 'labels.mat', '')['train']
    for i in range(0, 1000, 16):
        yield of_row('tuned' if i < 500 else 'held out', 'LSP-extended', lspet, i, folder('lspet') + 'images/')
    for i in range(100):
        yield of_row('tuned' if i < 56 or i % 4 == 0 else 'held out', 'PARSE', parse, i, folder('parse'))
    yield from flic_frames(folder('flic'))
    yield from coco_pictures(folder('coco_sample'))


def of_row(part, name, people, i, folder):
    one = annotated(people.joints[i], people.people['visible'][i], lsp.JOINTS)
    return Picture(part, name, folder + people.people['file'][i], [one] if one else [])


def flic_frames(folder):
    """Training frames with two people who are apart."""
    labels = flic.read_annotations(folder + 'examples.mat')
    frames = collections.defaultdict(list)
    for file, split, joints_xy in zip(labels.file, labels.split, labels.joints_xy):
        if split == 'train':
            frames[file].append(joints_xy)
    two = [file for file in sorted(frames) if len(frames[file]) == 2 and far_apart(*frames[file])]
    for i, file in enumerate(two[::2]):
        people = [annotated(joints_xy, np.ones(len(joints_xy)), flic.MAPS) for joints_xy in frames[file]]
        yield Picture('held out' if i % 2 else 'tuned', 'FLIC, two people', folder + 'images/' + file, people)


def far_apart(one, other):
    norm = max(np.linalg.norm(flic.normaliser(joints_xy)) for joints_xy in (one, other))
    return np.linalg.norm(one[flic.N_JOINTS] - other[flic.N_JOINTS]) > 0.9 * norm


def coco_pictures(folder):
    people = coco.read_json(folder + 'test_coco.json', folder, '')
    for name in sorted(set(people.people['file'].tolist())):
        rows = np.flatnonzero(people.people['file'] == name)
        found = [annotated(people.joints[i], people.people['visible'][i], coco.JOINTS) for i in rows]
        yield Picture('tuned', 'COCO', folder + name, [one for one in found if one])


# --- the table ----------------------------------------------------------------------------------------------------

def write(rows, path):
    with files.atomic(path) as partial, open(partial, 'w', encoding='utf-8') as file:
        file.writelines(json.dumps(one) + '\n' for one in rows)


def read(path):
    try:
        with open(path, encoding='utf-8') as file:
            return [json.loads(one) for one in file]
    except (OSError, ValueError) as error:
        raise InputError(f'--table {path}: not a table of this program: {error}') from error


def table(rows):
    """Markdown: detections of each kind before and after the suppression.

    recall: annotated people found; precision: those among detections on annotated people, `other` left out.
    """
    lines = ['| part | pictures | people | found | legs | found again | other | recall, % | precision, % |',
             '|---|---:|---:|---:|---:|---:|---:|---:|---:|']
    for part, name in dict.fromkeys((one['part'], one['set']) for one in rows):
        lines.append(line(f'{part}, {name}', [one for one in rows if (one['part'], one['set']) == (part, name)]))
    lines.append(line('all', rows))
    return '\n'.join(lines)


def line(title, rows):
    people = sum(one['people'] for one in rows)
    detections = [detection for one in rows for detection in one['detections']]
    before = collections.Counter(one['kind'] for one in detections)
    after = collections.Counter(one['kind'] for one in detections if not one['on_legs'])
    cells = [change(before[kind], after[kind]) for kind in ('person', 'legs', 'again', 'other')]
    recall, precision = zip(*(rates(counts, people) for counts in (before, after)))
    return f'| {title} | {len(rows)} | {people} | {" | ".join([*cells, change(*recall), change(*precision)])} |'


def rates(counts, people):
    """Recall and precision as text, %."""
    return tuple(f'{100 * counts["person"] / n:.1f}' if n else '' for n in (
        people, counts['person'] + counts['legs'] + counts['again']))


def change(before, after):
    return f'{before}' if before == after else f'{before} → {after}'


if __name__ == '__main__':
    cli.run_script(main)
