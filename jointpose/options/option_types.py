"""Types of main.py's options, for argparse."""

import argparse
import math
import re

from jointpose.utils.cli import nonnegative_float


def address(text: str) -> str:
    """HOST:PORT."""
    if not re.fullmatch(r'[^\s:/]+:\d{1,5}', text) or int(text.rpartition(':')[2]) > 65535:
        raise argparse.ArgumentTypeError(f'must be HOST:PORT, got {text!r}')
    try:
        text.rpartition(':')[0].encode('idna')  # as sockets do, whose error is no OSError
    except UnicodeError as error:
        raise argparse.ArgumentTypeError(f'{text!r}: {error}') from None
    return text


def not_empty(text: str) -> str:
    """Any text but an empty one."""
    if not text:
        raise argparse.ArgumentTypeError('must not be empty')
    return text


def point(text: str) -> tuple[float, float]:
    """X,Y: two finite numbers."""
    try:
        x, y = map(float, text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'must be X,Y, two numbers, got {text!r}') from None
    if not (math.isfinite(x) and math.isfinite(y)):
        raise argparse.ArgumentTypeError(f'must be X,Y, two finite numbers, got {text!r}')
    return x, y


def epoch_and_factor(text: str) -> list[float]:
    """EPOCH:FACTOR: two numbers from 0."""
    epoch, separator, factor = text.partition(':')
    if not separator:
        raise argparse.ArgumentTypeError(f'must be EPOCH:FACTOR, got {text!r}')
    return [nonnegative_float(epoch), nonnegative_float(factor)]
