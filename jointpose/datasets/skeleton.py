"""A skeleton as data: that of a data set whose key points are not fixed in its code (own.py).

The manifest of arrays holds it, and so do the settings of a run that was trained on them, as JSON.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

Pair = tuple[str, str]


class Skeleton(NamedTuple):
    """The key points of one category of things: people, horses, hands, tools."""

    category: str  # its name, as COCO's files have it
    joints: tuple[str, ...]  # names of the k key points, all different
    limbs: tuple[Pair, ...]  # pairs to draw a line between
    mirror_pairs: tuple[Pair, ...]  # (left, right): they change places in a mirrored picture
    normaliser: Pair | None  # errors are in units of their distance; None: of the box's root area

    def as_json(self) -> dict[str, Any]:
        """The skeleton as JSON can hold it."""
        return {
            'category': self.category,
            'joints': list(self.joints),
            'limbs': [list(pair) for pair in self.limbs],
            'mirror_pairs': [list(pair) for pair in self.mirror_pairs],
            'normaliser': list(self.normaliser) if self.normaliser else None,
        }


def from_json(content: Any) -> Skeleton:
    """The Skeleton that `as_json` wrote; ValueError, KeyError or TypeError for anything else."""
    normaliser = content['normaliser']
    skeleton = Skeleton(
        category=content['category'],
        joints=tuple(content['joints']),
        limbs=pairs_of(content['limbs']),
        mirror_pairs=pairs_of(content['mirror_pairs']),
        normaliser=normaliser and tuple(normaliser),
    )
    check(skeleton)
    return skeleton


def pairs_of(lists: Sequence[Sequence[str]]) -> tuple[Pair, ...]:
    """[[a, b], ...] -> ((a, b), ...)."""
    return tuple((first, second) for first, second in lists)


def check(skeleton: Skeleton) -> None:
    """Raises ValueError for a skeleton that contradicts itself."""
    joints = skeleton.joints
    if not joints or not all(isinstance(name, str) and name for name in joints):
        raise ValueError(f'joints are {joints!r:.80}')
    if len(set(joints)) < len(joints):
        raise ValueError('a joint is there twice')
    if not isinstance(skeleton.category, str):
        raise ValueError(f'category is {skeleton.category!r:.80}')
    named = [name for pair in (*skeleton.limbs, *skeleton.mirror_pairs) for name in pair]
    mirrored = [name for pair in skeleton.mirror_pairs for name in pair]
    unknown = {*named, *(skeleton.normaliser or ())} - set(joints)
    if unknown:
        raise ValueError(f'{", ".join(map(repr, sorted(unknown)))}: no joint')
    if len(set(mirrored)) < len(mirrored):
        raise ValueError('a joint is in two mirror pairs')
    if skeleton.normaliser and len(set(skeleton.normaliser)) != 2:
        raise ValueError(f'normaliser is {skeleton.normaliser!r:.80}')
