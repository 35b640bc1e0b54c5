"""The sizes at which the pieces are measured."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """The sizes of one run."""

    repeats: int
    matmul: int  # rows of the matrices whose product gives the peak
    detector: tuple  # (width as a fraction, batch) of the part detector's step
    step: tuple  # (width, batch) of the whole step
    forward: tuple[int, ...]  # batches of the spatial model
    gradient: tuple[int, ...]  # batches of the spatial model with gradient
    pictures: int  # pictures at several scales
    frames: int  # pictures preprocessed
    tests: tuple[int, ...]  # numbers of test people, for growth
    batches: tuple[int, ...]  # batch sizes, for growth
    widths: tuple[float, ...]  # widths, for growth
    torch: tuple  # (width, batch) of the comparison with PyTorch


FULL = Sizes(
    repeats=5,
    matmul=4096,
    detector=((1, 4), (1, 14)),
    step=((1 / 4, 14), (1, 4)),
    forward=(1, 14),
    gradient=(1, 14),
    pictures=8,
    frames=1000,
    tests=(8, 32),
    batches=(1, 4, 14),
    widths=(1 / 4, 1 / 2, 1),
    torch=((1 / 8, 4), (1 / 4, 4), (1, 4)),
)
QUICK = Sizes(
    repeats=1,
    matmul=2048,
    detector=((1 / 4, 2),),
    step=((1 / 4, 1),),
    forward=(14,),
    gradient=(1,),
    pictures=2,
    frames=60,
    tests=(),
    batches=(),
    widths=(),
    torch=((1 / 8, 1),),
)
