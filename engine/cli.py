"""What every script has: a parser, types of its options, and one line and an exit code for whatever is wrong."""
import argparse
import os
import sys

from engine import interrupts
from engine.files import InputError, printable


def run_script(main):
    """Runs `main()`; an InputError becomes one line on stderr and exit code 2, Ctrl-C exit code 130."""
    try:
        with interrupts.announced():
            sys.exit(main())
    except InputError as error:
        sys.exit(_complain(error, 2))
    except KeyboardInterrupt:
        sys.exit(_complain('interrupted', 130))


def _complain(message, code):
    program = os.path.basename(sys.argv[0])
    print(f'{program}: error: {printable(" ".join(str(message).split()))}', file=sys.stderr)
    return code


class Parser(argparse.ArgumentParser):
    """Shows a script's docstring as it is, and says what is wrong in one line, and where to read on."""

    def __init__(self, formatter_class=argparse.RawDescriptionHelpFormatter, **keywords):
        super().__init__(formatter_class=formatter_class, **keywords)

    def error(self, message):
        self.exit(2, f'{self.prog}: error: {printable(" ".join(message.split()))} (--help lists the options)\n')


def positive_int(text):
    """argparse type: a whole number from 1."""
    return _bounded(int, text, 1, 'a whole number from 1')


def natural_int(text):
    """argparse type: a whole number from 0."""
    return _bounded(int, text, 0, 'a whole number from 0')


def positive_float(text):
    """argparse type: a finite number above 0."""
    return _bounded(float, text, sys.float_info.min, 'a number above 0')


def natural_float(text):
    """argparse type: a finite number from 0."""
    return _bounded(float, text, 0, 'a number from 0')


def finite_float(text):
    """argparse type: a finite number."""
    return _bounded(float, text, -sys.float_info.max, 'a finite number')


def share(text):
    """argparse type: a number from 0 to below 1."""
    return _bounded(float, text, 0, 'a number from 0 to below 1', 1)


def _bounded(kind, text, least, wanted, end=2 ** 31):           # of two numbers below it the product fits 64 bits
    try:
        value = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not {wanted}') from None
    if not least <= value < end:                                # NaN and infinity too
        raise argparse.ArgumentTypeError(f'{text} is out of range: {wanted} is meant')
    return value
