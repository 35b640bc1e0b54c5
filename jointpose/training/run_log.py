"""A run's log: JSON lines in its folder, and the line that is printed after each epoch."""

import json
import os
from collections.abc import Iterable

from jointpose.utils import files
from jointpose.utils.errors import InputError
from jointpose.utils.log import warn


class RunLog:
    """Appends JSON lines to RUN/log.jsonl (epochs) and RUN/steps.jsonl (steps).

    Of a resumed run, lines that the restored state does not know of are dropped first.  If the disk
    is full, lines are lost and the run continues.
    """

    def __init__(self, run: str, state: dict):
        self.paths = {kind: os.path.join(run, f'{kind}.jsonl') for kind in ('log', 'steps')}
        self.failed = False
        _drop_after(self.paths['log'], 'epoch', state['epochs_logged'])
        _drop_after(self.paths['steps'], 'step', state['step'])

    def write(self, kind: str, record: dict) -> None:
        """Appends a line; kind: 'log' or 'steps'."""
        path = self.paths[kind]
        try:
            with open(path, 'a', encoding='utf-8') as file:
                file.write(json.dumps(record) + '\n')
            self.failed = False
        except OSError as error:
            if not self.failed:
                warn(f'{path}: {error.strerror}; lines are lost until it can be written again')
            self.failed = True


def _drop_after(path, key, last):
    """Keeps those lines of a file whose number `key` is at most `last`."""
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            kept = [line for line in file if _is_up_to(line, key, last)]
        with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
            file.writelines(kept)
    except FileNotFoundError:
        pass
    except (OSError, InputError) as error:
        warn(f'lines after {key} {last} stay: {error}')


def _is_up_to(line, key, last):
    """Whether it is a line of JSON with such a number; the last line of a killed run may not be."""
    try:
        return json.loads(line)[key] <= last
    except (ValueError, KeyError, TypeError):
        return False


def header_line(titles: Iterable[str]) -> str:
    """What the columns of the following `epoch_line`s are.

    titles: of the outputs, in their order.
    """
    columns = ', '.join(titles)
    return (
        f'epoch lines: dr: detection rate in %; loss; one number each for: {columns} (docs/logs.md)'
    )


def epoch_line(epoch: int, means: dict, img_per_s: float, eta: float | None) -> str:
    """The reference's figures in fixed width; rates in %, the outputs in their order.

    Where the data set has limbs for them, PCP and PCKh of the test people are added.

    Args:
        means: {'train' or 'test': Meter.means()}.
        eta: seconds to the end of the training, if known.
    """
    test = means['test']
    outputs = [name.removeprefix('rate_') for name in test if name.startswith('rate_')]
    figures = []
    for name, short, digits in (('rate', 'dr', 2), ('loss', 'loss', 3)):
        for split in ('test', 'train'):
            values = [f'{means[split][f"{name}_{output}"]:6.{digits}f}' for output in outputs]
            figures.append(f'{split}_{short} ' + ' '.join(values))
    for measure in further_measures(test, outputs[0]):
        values = [f'{test[f"{measure}_{output}"]:6.2f}' for output in outputs]
        figures.append(f'test_{measure} ' + ' '.join(values))
    return f'Epoch {epoch:3d}  {"  ".join(figures)}  {img_per_s:6.2f} img/s  ETA {duration(eta)}'


def further_measures(means: dict, output: str) -> list[str]:
    """Names of the measures of an output in Meter.means() that only some data sets have."""
    end = f'_each_{output}'
    return [name.removesuffix(end) for name in means if name.endswith(end)]


def duration(seconds: float | None) -> str:
    """h:mm:ss, or dashes if unknown (an epoch of which this process has seen no step)."""
    if seconds is None:
        return '-:--:--'
    hours, seconds = divmod(round(seconds), 3600)
    return f'{hours:d}:{seconds // 60:02d}:{seconds % 60:02d}'
