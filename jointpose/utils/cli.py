"""What every script has: a parser, types of its options, and one line and an exit code for whatever is wrong."""

import argparse
import contextlib
import contextvars
import difflib
import errno
import itertools
import os
import re
import sys

import cv2

from jointpose import __version__
from jointpose.utils import signals
from jointpose.utils.errors import InputError
from jointpose.utils.terminal import PrintableStream, printable

# Errors that no option causes, and how others than OSErrors say that there is no memory.
MACHINES_FAULTS = {
    errno.EIO,
    errno.ENOMEM,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENFILE,
    errno.EAGAIN,
    errno.ESTALE,
}
NO_MEMORY = (
    "can't start new thread",
    'Insufficient memory',
    'failed to map segment',
    'OOM when allocating',
    'annot allocate memory',
)
PRINT_USAGE_ERRORS = contextvars.ContextVar(
    'PRINTED', default=True
)  # whether a wrong command line is; raised it always is


class UsageError(SystemExit):
    """A wrong command line, exit code 2; as text, what is wrong with it."""

    def __init__(self, message):
        super().__init__(message)
        self.code = 2


def run_script(main):
    """Runs `main()`; an InputError becomes one line on stderr and exit code 2, Ctrl-C exit code 130.

    What main prints is made printable: nothing from a file, or its name, moves the cursor.
    """
    cv2.setNumThreads(1)  # a script works at several pictures at once instead
    try:
        with signals.announced(), contextlib.redirect_stdout(PrintableStream(sys.stdout)):
            sys.exit(main())
    except InputError as error:
        sys.exit(_complain(error, 2))
    except KeyboardInterrupt:
        sys.exit(_complain('interrupted', 130))
    except Exception as error:
        if (reason := _machines_fault(error)) is None:
            raise
        sys.exit(_complain(reason, 1))


def _machines_fault(error):
    """What the machine lacks, where that is why an exception was raised, in the system's words; None of any other."""
    if isinstance(error, OSError) and error.errno in MACHINES_FAULTS:
        return f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    no_memory = isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)
    return f'out of memory: {str(error) or type(error).__name__}' if no_memory else None


def _complain(message, code):
    program = os.path.basename(sys.argv[0])
    print(f'{program}: error: {printable(" ".join(str(message).split()))}', file=sys.stderr)
    return code


def closest_name(word, names):
    """The name that a word begins or resembles; None if there is none."""
    longer = [name for name in names if word and name.startswith(word)]
    near = longer or difflib.get_close_matches(word, names, 1)
    return near[0] if near else None


def did_you_mean(word, names):
    """'; did you mean NAME?', or '' if no name is near."""
    near = closest_name(word, names)
    return f'; did you mean {near}?' if near else ''


class HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Shows a description as it is, the defaults there are, and a usage of one line."""

    def add_usage(self, usage, actions, groups, prefix=None):
        if usage is None:
            needed = [action for action in actions if action.required or not action.option_strings]
            words = [self._words(action) for action in needed]
            usage = ' '.join(['%(prog)s', '[options]', *words])
        super().add_usage(usage, actions, groups, prefix)

    def _words(self, action):
        if not action.option_strings:
            return self._format_args(action, self._get_default_metavar_for_positional(action))
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f'{action.option_strings[0]} {value}'

    def _get_help_string(self, action):
        silent = action.default in (None, False, '') or '(default' in action.help
        return action.help if silent else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """Shows a script's docstring, which begins with examples; says in one line what is wrong with a command.

    Options have to be written in full: argparse's abbreviations would turn some typing errors into other options.
    """

    def __init__(self, formatter_class=HelpFormatter, **keywords):
        super().__init__(formatter_class=formatter_class, allow_abbrev=False, **keywords)
        if self.add_help:
            self.add_argument(
                '--version',
                action='version',
                version=f'joint-pose {__version__}',
                help='show the version and exit',
            )

    def parse_args(self, args=None, namespace=None):
        self._refuse_unknown_options(sys.argv[1:] if args is None else args)
        return super().parse_args(args, namespace)

    def _refuse_unknown_options(self, words):
        known = self._option_string_actions
        for word in itertools.takewhile(lambda word: word != '--', words):
            name = word.partition('=')[0]
            if name not in known and self._looks_like_an_option(word):
                near = closest_name(name.strip('-'), [option.strip('-') for option in known])
                self.error(f'unknown option {name}' + (f'; did you mean --{near}?' if near else ''))

    def _looks_like_an_option(self, word):
        """What argparse would take for one: not `-`, not a negative number, not a text with spaces."""
        number = self._negative_number_matcher.match(word)
        return word.startswith('-') and len(word) > 1 and ' ' not in word and not number

    def _check_value(self, action, value):
        """argparse's check of `choices`."""
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(
                action,
                f'must be one of {", ".join(names)}, got {value!r}{did_you_mean(str(value), names)}',
            )

    def error(self, message):
        message = re.sub(r'^argument (.*?): must ', r'\1 must ', ' '.join(message.split()))
        message = re.sub(r'^argument (.*?): ', r'\1: ', message)
        error = UsageError(f'{self.prog}: error: {printable(message)} (--help lists the options)')
        if PRINT_USAGE_ERRORS.get():
            self._print_message(f'{error}\n', sys.stderr)
        raise error


def positive_int(text):
    """argparse type: an integer >= 1."""
    return _bounded(int, text, 1, 'an integer >= 1')


def nonnegative_int(text):
    """argparse type: an integer >= 0."""
    return _bounded(int, text, 0, 'an integer >= 0')


def positive_float(text):
    """argparse type: a finite number > 0."""
    return _bounded(float, text, sys.float_info.min, 'a number > 0')


def nonnegative_float(text):
    """argparse type: a finite number >= 0."""
    return _bounded(float, text, 0, 'a number >= 0')


def finite_float(text):
    """argparse type: a finite number."""
    return _bounded(float, text, -sys.float_info.max, 'a finite number')


def fraction(text):
    """argparse type: a number >= 0 and < 1."""
    return _bounded(float, text, 0, 'a number >= 0 and < 1', 1)


def _bounded(
    kind, text, least, wanted, end=2**31
):  # of two numbers below it the product fits 64 bits
    try:
        value = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'must be {wanted}, got {text!r}') from None
    if value >= end > 1:
        raise argparse.ArgumentTypeError(f'must be < {end}, got {text}')
    if not least <= value < end:  # NaN and infinity too
        raise argparse.ArgumentTypeError(f'must be {wanted}, got {text}')
    return value
