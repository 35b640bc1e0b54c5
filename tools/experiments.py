"""What experiments of many calls of main.py share: options, how calls end, the file of results."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys

from jointpose.utils import cli
from jointpose.utils.errors import InputError

MAIN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'main.py')
# Exit codes of main.py.
NOT_FINITE = 3
STOPPED = (130, 143)


def add_people(parser: cli.Parser, train_examples: int, test_examples: int) -> None:
    """Adds the numbers of people to train on and to evaluate on, with these defaults."""
    parser.add_argument(
        '--train_examples',
        type=cli.positive_int,
        default=train_examples,
        metavar='N',
        help='people to train on (default: %(default)s)',
    )
    parser.add_argument(
        '--test_examples',
        type=cli.positive_int,
        default=test_examples,
        metavar='N',
        help='people of the validation split to evaluate on (default: %(default)s)',
    )


def add_places(parser: cli.Parser, runs: str, results: str) -> None:
    """Adds the places of arrays, runs and results.

    runs: a folder in models_ex/; results: a file in report/.
    """
    parser.add_argument(
        '--data',
        default='arrays',
        metavar='FOLDER',
        help='arrays written by data.py and pairwise_distr.py (default: %(default)s)',
    )
    parser.add_argument(
        '--model_path',
        default=os.path.join('models_ex', runs),
        metavar='FOLDER',
        help='folder of the runs (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        default=os.path.join('report', results),
        metavar='FILE',
        help='results, a JSON line each (default: %(default)s)',
    )


def heed_sigterm():
    """From now on a SIGTERM ends the main.py under way, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED[1]))


def call_main(options):
    """Runs main.py; returns whether its numbers stayed finite."""
    with subprocess.Popen([sys.executable, MAIN, *map(str, options)]) as process:
        try:
            code = process.wait()
        except BaseException:  # stopped: nothing goes on behind our back
            process.kill()
            process.wait()
            raise
    if code in STOPPED:
        sys.exit(code)
    if code not in (0, NOT_FINITE):
        raise InputError(
            f'main.py ended with exit code {code}: main.py {" ".join(map(repr, map(str, options)))}'
        )
    return code == 0


def facts_of(run):
    """How many updates it had, and the version of the code that trained it."""
    with (
        open(os.path.join(run, 'steps.jsonl'), encoding='utf-8') as steps,
        open(os.path.join(run, 'settings.json'), encoding='utf-8') as settings,
    ):
        return {'updates': sum(1 for _ in steps), 'code': json.load(settings)['code']}


@contextlib.contextmanager
def open_results(path):
    """The results' file to append whole lines to; one process at a time."""
    try:
        file = open(path, 'a+', encoding='utf-8', errors='replace')  # noqa: SIM115
    except OSError as error:
        raise InputError(f'--out {path}: {error.strerror}') from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f'--out {path}: another process writes to it') from None
        file.seek(0)
        content = file.read()
        if content and not content.endswith('\n'):  # cut short: the next line begins anew
            file.write('\n')
        yield file


def append(file, row):
    """Writes a line, which is on disk afterwards."""
    file.write(json.dumps(row) + '\n')
    file.flush()
    os.fsync(file.fileno())
