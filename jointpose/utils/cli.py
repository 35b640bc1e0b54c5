"""The command line of every script: its parser, its option types, its errors and exit codes."""

import argparse
import contextlib
import contextvars
import difflib
import errno
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

import cv2

from jointpose import __version__
from jointpose.utils.errors import InputError
from jointpose.utils.terminal import PrintableStream, printable

MAX_NUMBER = 2**31  # the product of two integers below it fits into 64 bits

# Errors of the machine that no option can cause.
MACHINE_ERRNOS = {
    errno.EIO,
    errno.ENOMEM,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENFILE,
    errno.EAGAIN,
    errno.ESTALE,
}

# How libraries say that memory has run out, where they raise something else than OSError.
OUT_OF_MEMORY = (
    "can't start new thread",
    'Insufficient memory',
    'failed to map segment',
    'OOM when allocating',
    'annot allocate memory',
)

# Whether a parser prints its usage errors.  It raises them in either case.
PRINT_USAGE_ERRORS = contextvars.ContextVar('PRINT_USAGE_ERRORS', default=True)


class UsageError(SystemExit):
    """A wrong command line: its text is the message, its exit code 2.

    reason: the message without the script's name.
    """

    def __init__(self, script: str, reason: str):
        super().__init__(f'{script}: error: {reason} (--help lists the options)')
        self.reason = reason
        self.code = 2


# --- running a script ---------------------------------------------------------------------------


def run_script(main: Callable[[], int | None]) -> NoReturn:
    """Runs `main()` and exits with the code that it returns.

    Errors that a user can cause or has to solve are printed in one line, without a traceback. Exit
    codes: 2 for an InputError, 130 for Ctrl-C, 1 where the machine lacks memory or disk space.
    Standard output is made printable, so no file name can send escape sequences to the terminal.
    """
    cv2.setNumThreads(1)  # scripts process several images at once instead
    with open(os.devnull, 'w', encoding='utf-8') as nowhere:
        # A script that was started with a closed stream has None there.
        sys.stdout = sys.stdout or nowhere
        sys.stderr = sys.stderr or nowhere
        run_with_streams(main)


def run_with_streams(main: Callable[[], int | None]) -> NoReturn:
    """`run_script`, given streams that are open."""
    try:
        with contextlib.redirect_stdout(PrintableStream(sys.stdout)):
            sys.exit(main())
    except InputError as error:
        sys.exit(_print_error(error, 2))
    except KeyboardInterrupt:
        sys.exit(_print_error('interrupted', 130))
    except Exception as error:
        reason = _machine_error(error)
        if reason is None:
            raise
        sys.exit(_print_error(reason, 1))


def _machine_error(error: Exception) -> str | None:
    """Returns what the machine lacks, or None if the exception has another cause."""
    if isinstance(error, OSError) and error.errno in MACHINE_ERRNOS:
        return f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    out_of_memory = any(words in str(error) for words in OUT_OF_MEMORY)
    if isinstance(error, MemoryError) or out_of_memory:
        return f'out of memory: {str(error) or type(error).__name__}'
    return None


def _print_error(message: object, code: int) -> int:
    """Prints `SCRIPT: error: MESSAGE` in one line; returns the exit code."""
    script = os.path.basename(sys.argv[0])
    line = ' '.join(str(message).split())
    print(f'{script}: error: {printable(line)}', file=sys.stderr)
    return code


# --- misspelt names -----------------------------------------------------------------------------


def closest_name(word: str, names: Iterable[str]) -> str | None:
    """Returns the name that begins with a word or resembles it most, or None."""
    names = list(names)
    completions = [name for name in names if word and name.startswith(word)]
    candidates = completions or difflib.get_close_matches(word, names, 1)
    return candidates[0] if candidates else None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Returns '; did you mean NAME?', or '' if no name is close."""
    name = closest_name(word, names)
    return f'; did you mean {name}?' if name else ''


# --- parser -------------------------------------------------------------------------------------


class HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the description as written, appends defaults, and shortens the usage to one line."""

    def add_usage(self, usage, actions, groups, prefix=None):
        if usage is None:
            required = [
                self._usage_of(action)
                for action in actions
                if action.required or not action.option_strings
            ]
            usage = ' '.join(['%(prog)s', '[options]', *required])
        super().add_usage(usage, actions, groups, prefix)

    def _usage_of(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return self._format_args(action, self._get_default_metavar_for_positional(action))
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f'{action.option_strings[0]} {value}'

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_no_default = action.default in (None, False, '')
        if has_no_default or '(default' in action.help:
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An argument parser with --version and one-line errors that suggest what was meant.

    Options have to be written in full: argparse would take some misspelt options for abbreviations
    of others.
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

    def parse_args(self, args: Sequence[str] | None = None, namespace=None):
        self._refuse_unknown_options(sys.argv[1:] if args is None else args)
        return super().parse_args(args, namespace)

    def _refuse_unknown_options(self, words: Sequence[str]) -> None:
        known = self._option_string_actions
        known_names = [option.strip('-') for option in known]
        for word in itertools.takewhile(lambda word: word != '--', words):
            option = word.partition('=')[0]
            if option in known or not self._looks_like_option(word):
                continue
            name = closest_name(option.strip('-'), known_names)
            hint = f'; did you mean --{name}?' if name else ''
            self.error(f'unknown option {option}{hint}')

    def _looks_like_option(self, word: str) -> bool:
        """argparse's own rule: `-`, negative numbers and words with spaces are values."""
        if not word.startswith('-') or word == '-' or ' ' in word:
            return False
        return not self._negative_number_matcher.match(word)

    def _check_value(self, action: argparse.Action, value) -> None:
        """Replaces argparse's check of `choices`, for a message that suggests a name."""
        if action.choices is None or value in action.choices:
            return
        names = [str(choice) for choice in action.choices]
        hint = did_you_mean(str(value), names)
        raise argparse.ArgumentError(
            action, f'must be one of {", ".join(names)}, got {value!r}{hint}'
        )

    def error(self, message: str) -> NoReturn:
        """Raises UsageError with argparse's message in one line."""
        message = ' '.join(message.split())
        message = re.sub(r'^argument (.*?): must ', r'\1 must ', message)
        message = re.sub(r'^argument (.*?): ', r'\1: ', message)
        error = UsageError(self.prog, printable(message))
        if PRINT_USAGE_ERRORS.get():
            self._print_message(f'{error}\n', sys.stderr)
        raise error


# --- option types, for add_argument(type=...) ---------------------------------------------------


def positive_int(text: str) -> int:
    """Reads an integer >= 1."""
    return _bounded(int, text, 1, 'an integer >= 1')


def nonnegative_int(text: str) -> int:
    """Reads an integer >= 0."""
    return _bounded(int, text, 0, 'an integer >= 0')


def positive_float(text: str) -> float:
    """Reads a finite number > 0."""
    return _bounded(float, text, sys.float_info.min, 'a number > 0')


def nonnegative_float(text: str) -> float:
    """Reads a finite number >= 0."""
    return _bounded(float, text, 0, 'a number >= 0')


def finite_float(text: str) -> float:
    """Reads a finite number."""
    return _bounded(float, text, -sys.float_info.max, 'a finite number')


def fraction(text: str) -> float:
    """Reads a number >= 0 and < 1."""
    return _bounded(float, text, 0, 'a number >= 0 and < 1', end=1)


def _bounded(kind: type, text: str, minimum: float, expected: str, end: int = MAX_NUMBER):
    """Reads a number >= minimum and < end; `expected` describes it in the error."""
    try:
        value = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'must be {expected}, got {text!r}') from None
    if value >= end > 1:
        raise argparse.ArgumentTypeError(f'must be < {end}, got {text}')
    if not minimum <= value < end:  # NaN fails this comparison, too
        raise argparse.ArgumentTypeError(f'must be {expected}, got {text}')
    return value
