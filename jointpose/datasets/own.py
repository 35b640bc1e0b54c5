"""Key points of one's own: animals, hands, tools, people (data.py --coco FILE --skeleton).

Files have COCO's form.  The key points and limbs are those of one of the file's categories, under
its names and in its order; nothing is known of them but that.  Pictures have any size, as COCO's,
and so has the number of instances in one.  Of one file alone every tenth picture is a test one.

    mirror pairs    key points that change places in a mirrored picture: by their names
                    (vision/joints.py), or as --flip_pairs says
    unit            the distance between two key points (--normaliser A B); by default the root of
                    the box's area.  The box is the file's, else that of the segment, else one
                    around the labelled key points
"""

from collections.abc import Sequence

import numpy as np

from jointpose.annotations import coco_json, coco_people
from jointpose.annotations.coco_json import Category, CocoFile, listed
from jointpose.datasets import coco, records
from jointpose.datasets.base import PictureDataSet
from jointpose.datasets.skeleton import Pair, Skeleton
from jointpose.metrics.tables import joint_table
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.vision import joints


class Own(PictureDataSet):
    """A data set whose skeleton is data; `Own()` without one has no key points yet."""

    name = 'own'
    skeleton_is_data = True
    instance_names = ('instance', 'instances')
    joints = ()
    limbs = ()
    torso_joints = ()
    normaliser = None
    side_convention = "left and right as the key points' names or --flip_pairs have them"
    rate_name = 'PCK@0.1'
    hit_radius = 0.1

    def __init__(self, skeleton: Skeleton | None = None):
        self.skeleton = skeleton
        if skeleton:
            self.category = skeleton.category
            self.joints = skeleton.joints
            self.limbs = skeleton.limbs
            self.normaliser = skeleton.normaliser

    @property
    def mirror_pairs(self):
        return self.skeleton.mirror_pairs if self.skeleton else ()

    def side(self, *joints):
        """See DataSet; joints of neither side do not count: a limb from back to left paw is left."""
        sides = {super(Own, self).side(joint) for joint in joints} - {''}
        return sides.pop() if len(sides) == 1 else ''

    @property
    def coco_joints(self):
        """The file's own names."""
        return list(self.joints)

    def torso_labelled(self, visible):
        """Nothing has a torso, whatever its key points are called."""
        return np.zeros(len(visible), bool)

    def faces_backward(self, joints_xy):
        """Nothing is said to be seen from behind."""
        return np.zeros(joints_xy.shape[:-2], bool)

    @property
    def unit_name(self) -> str:
        """What errors are measured by, in words."""
        if self.normaliser is None:
            return "the root of the box's area"
        return 'the distance from {} to {}'.format(*self.normaliser)

    def read(self, metas, folders):
        """See PictureDataSet."""
        root, inner = records.common_root(folders)
        parts = [self._read_json(*part) for part in zip(metas, folders, inner)]
        return root, records.as_splits(parts)

    def _read_json(self, path, folder, prefix):
        """The records.Annotated of one file."""
        return read_json(path, self.skeleton, folder, prefix)

    def label_warnings(self, part):
        lines = records.label_warnings(part)
        is_labelled = part.people['visible'].any(axis=1)
        without = is_labelled & ~(part.people['unit'] > 0)  # NaN compares false
        if without.any():
            names = listed(part.people['file'][without].tolist())
            lines.append(
                f'in no rate, as {self.unit_name} is not known: {self.counted(without.sum())} '
                f'({names})'
            )
        return lines

    def tables(self, found, joints_xy, people):
        note = (
            f'{self.category}: share of key points in % within {self.hit_radius:g} of '
            f'{self.unit_name}; labelled: how many are; mean: over the rows above'
        )
        table = joint_table(
            self, 'PCK', self.hit_radius, people['unit'], found, joints_xy, people['visible']
        )
        return [table._replace(note=note)]

    def write_synthetic(self, folder, n, seed):
        """Writes train.json and val.json: six-legged beasts, COCO's form."""
        from jointpose.datasets.synthetic import creatures, whole_bodies

        images = whole_bodies.make_image_folder(folder)
        pictures = whole_bodies.draw_pictures(images, n, seed, '{:06d}.jpg', draw=creatures.render)
        parts = coco.drawn_documents(
            pictures, creatures.CATEGORY, creatures.JOINTS, creatures.LIMBS
        )
        return whole_bodies.write_json_files(folder, parts), [images, images]


# --- the skeleton ---------------------------------------------------------------------------------


@records.reports_path
def read_skeleton(
    path: str,
    category: str | None = None,
    flip_pairs: Sequence[Pair] | None = None,
    normaliser: Pair | None = None,
) -> Skeleton:
    """The Skeleton of a file in COCO's form.

    Args:
        category: name of the category; None: the only one with key points.
        flip_pairs: pairs (left, right) of names; None: as the names say.
        normaliser: two names; None: the box.

    Raises:
        InputError: names the file, the option and what the file has.
    """
    file = coco_json.read(path)
    coco_people.check_annotations(file)
    chosen = choose_category(file, category)
    names = tuple(name.strip() for name in chosen.points)
    check_names(chosen.name, names)
    if flip_pairs is None:
        flip_pairs = joints.mirror_pairs(names)
    else:
        check_flip_pairs(flip_pairs, names)
    if normaliser is not None:
        check_known('--normaliser ' + ' '.join(normaliser), normaliser, names)
        if normaliser[0] == normaliser[1]:
            raise InputError(f'--normaliser: {normaliser[0]} twice: name two key points')
    return Skeleton(chosen.name, names, limbs_of(chosen, names), tuple(flip_pairs), normaliser)


def choose_category(file: CocoFile, name: str | None) -> Category:
    """The category of this name; None: the only one with key points."""
    with_points = [category for category in file.categories if category.points]
    if not with_points:
        raise InputError(
            f'no category has `keypoints`, the names of key points; it has '
            f'{described(file.categories)}'
        )
    if name is None:
        chosen = with_points
        advice = 'choose one of them with --category NAME'
    else:
        chosen = [category for category in with_points if category.name == name]
        advice = 'their names must differ'
    if not chosen:
        raise InputError(f'--category {name}: no such category; it has {described(with_points)}')
    if len(chosen) > 1:
        raise InputError(f'several categories have key points, {described(chosen)}: {advice}')
    return chosen[0]


def described(categories: Sequence[Category]) -> str:
    """Categories and their key points, in words."""
    parts = []
    for category in categories:
        points = f' ({", ".join(category.points)})' if category.points else ''
        parts.append(f'{category.name!r}{points}')
    return '; '.join(parts) or 'no `categories`'


def check_names(category: str, names: Sequence[str]) -> None:
    """Raises InputError for a key point without a name or with another's."""
    if not all(names):
        raise InputError(f'category {category!r}: key point {names.index("") + 1} has no name')
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f'category {category!r}: {names.count(name)} key points are called {name!r}: give '
                'each a name of its own'
            )


def check_flip_pairs(pairs: Sequence[Pair], names: Sequence[str]) -> None:
    """Raises InputError for --flip_pairs that are no pairs of key points."""
    seen = set()
    for pair in pairs:
        option = f'--flip_pairs {":".join(pair)}'
        check_known(option, pair, names)
        for name in pair:
            if name in seen:
                raise InputError(f'{option}: {name} is in two pairs, or twice in one')
            seen.add(name)


def check_known(option: str, chosen: Sequence[str], names: Sequence[str]) -> None:
    """Raises InputError for a name that is no key point's."""
    for name in chosen:
        if name not in names:
            raise InputError(f'{option}: {name!r} is no key point; it has {", ".join(names)}')


def limbs_of(category: Category, names: Sequence[str]) -> tuple[Pair, ...]:
    """The limbs by names, each once.

    COCO counts key points from 1; a skeleton that has a 0 is taken to count from 0.
    """
    pairs = category.skeleton
    if pairs is None:
        raise InputError(
            f'category {category.name!r}: `skeleton` is not a list of pairs [a, b], places of key '
            'points counted from 1'
        )
    places = [place for pair in pairs for place in pair]
    first = 0 if 0 in places else 1
    limbs = {}
    for a, b in pairs:
        for place in (a, b):
            if not first <= place < first + len(names):
                raise InputError(
                    f'category {category.name!r}: `skeleton` has [{a}, {b}], and there are '
                    f'{counted(len(names), "key point")}'
                )
        ends = (names[a - first], names[b - first])
        if a != b and ends[::-1] not in limbs:
            limbs[ends] = None
    return tuple(limbs)


def describe(skeleton: Skeleton) -> str:
    """What was read of the skeleton, for a reader to check."""
    mirrored = {name for pair in skeleton.mirror_pairs for name in pair}
    others = [name for name in skeleton.joints if name not in mirrored]
    pairs = [' - '.join(pair) for pair in skeleton.mirror_pairs]
    lines = [
        f'{skeleton.category}: {counted(len(skeleton.joints), "key point")}, '
        f'{counted(len(skeleton.limbs), "limb")}',
        f'  change places in a mirrored picture: {", ".join(pairs) or "none"}',
        f'  stay: {", ".join(others) or "none"}',
        f'  errors are in units of {Own(skeleton).unit_name}',
    ]
    alone = [name for name in others if joints.has_side(name)]
    if alone:
        lines.append(
            f'  look at the names: {", ".join(alone)} have a side but no partner; --flip_pairs A:B '
            'C:D names all pairs'
        )
    return '\n'.join(lines)


# --- the instances --------------------------------------------------------------------------------


@records.reports_path
def read_json(path: str, skeleton: Skeleton, folder: str, prefix: str) -> records.Annotated:
    """The instances of a file; prints which are left out.

    Args:
        folder: where the pictures are.
        prefix: the folder, from the root of all pictures on.
    """
    file = coco_json.read(path)
    coco_people.check_annotations(file)
    category = choose_category(file, skeleton.category)
    names = [name.strip() for name in category.points]
    if sorted(names) != sorted(skeleton.joints):
        raise InputError(
            f'category {category.name!r} has {", ".join(names)}; the first file has '
            f'{", ".join(skeleton.joints)}: all files need the same key points'
        )
    columns = [names.index(joint) for joint in skeleton.joints]
    reading = coco_people.collect(file, {category.id: columns}, [], repr(category.name))
    part = coco.annotated_of(file, reading, len(names), folder, prefix)
    part.people['unit'] = units_of(part, skeleton)
    return part


def units_of(part: records.Annotated, skeleton: Skeleton) -> np.ndarray:
    """What errors are measured by: [n] pixels, NaN where the normaliser's ends are unlabelled."""
    if skeleton.normaliser:
        a, b = map(skeleton.joints.index, skeleton.normaliser)
        return records.distance(part.joints, part.people['visible'], a, b)
    box = part.people['box']
    return np.sqrt(np.prod(box[:, 2:] - box[:, :2], axis=1))
