"""The rows of both tables, their cells, and progress on stderr."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from tools.benchmark.timing import Time

HEADER = (
    'piece',
    'size',
    'ours, s',
    'plain, s',
    'ratio',
    'target',
    'CPU s, ours',
    'CPU s, plain',
    'share of peak, ours',
    'plain',
    'runs',
)
GROWTH_HEADER = ('piece', 'size', 'seconds', 'ms per unit', 'peak memory, GB')


class Row(NamedTuple):
    """A row of the first table: a piece of ours and the plain one."""

    piece: str
    size: str
    ours: Time
    plain: Time
    runs: int  # rounds that count
    target: float | None = None  # of the ratio
    flop: Sequence[float] | None = None  # operations (ours, plain)


class Growth(NamedTuple):
    """A row of the second table: how a piece of ours grows."""

    piece: str
    size: str
    units: int  # by which the seconds are divided
    seconds: float
    peak: float  # memory, GB


def cells(row: Row, peak: float) -> list[str]:
    """A row of the first table; peak: operations a second of a matrix product."""
    shares = ['-', '-']
    if row.flop is not None:
        walls = (row.ours.wall, row.plain.wall)
        shares = [f'{100 * flop / wall / peak:.0f} %' for flop, wall in zip(row.flop, walls)]
    return [
        row.piece,
        row.size,
        f'{row.ours.wall:.3g}',
        f'{row.plain.wall:.3g}',
        f'{row.plain.wall / row.ours.wall:.3g}',
        '' if row.target is None else f'{row.target:g}',
        f'{row.ours.cpu:.3g}',
        f'{row.plain.cpu:.3g}',
        *shares,
        str(row.runs),
    ]


def growth_cells(growth: Growth) -> list[str]:
    """A row of the second table."""
    return [
        growth.piece,
        growth.size,
        f'{growth.seconds:.3g}',
        f'{1000 * growth.seconds / growth.units:.3g}',
        f'{growth.peak:.2f}',
    ]


def note(text: str) -> None:
    """Prints progress to stderr: the tables alone go to stdout."""
    print(text, file=sys.stderr, flush=True)
