"""Checkpoints on disk: written whole or not at all, verified before use.

    MODEL_PATH/RUN/settings.json       the run's options
    MODEL_PATH/RUN/log.jsonl           one line an epoch; steps.jsonl: one line a step
    MODEL_PATH/RUN/step-00000285/      one checkpoint: model.index, model.data-*, state.json

A checkpoint is a folder that gets its name only when everything in it is on disk.  state.json holds
the step, the settings, the code's version, the best rate so far, and a CRC-32 of each file and of
itself.  All paths are relative: a moved or copied run restores as it is.
"""

import binascii
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import Any, NamedTuple

from jointpose.checkpoints import state_values
from jointpose.nn.tf1 import short_message, tf
from jointpose.utils import cli, files, folders, terminal
from jointpose.utils.errors import InputError

STATE = 'state.json'
OLD = '.old'  # the former checkpoint of a step that is saved again
PUBLISHED = 'pretrained'  # folder of the published runs
NAME = re.compile(rf'step-(\d{{8,}})({OLD})?')
OURS = r'step-\d{8,}|settings\.json|(log|steps)\.jsonl'  # names in a run's folder


class Checkpoint(NamedTuple):
    """A verified checkpoint."""

    path: str  # its folder
    state: dict[str, Any]  # the content of state.json


def code_version() -> str:
    """The commit of this code, '+' if changed since; 'unknown' outside a clone."""
    folder = os.path.dirname(os.path.abspath(__file__))
    git = ['git', '-C', folder, 'describe', '--always', '--dirty=+', '--abbrev=10']
    with contextlib.suppress(OSError):
        return subprocess.run(git, capture_output=True, text=True).stdout.strip() or 'unknown'
    return 'unknown'


# --- writing --------------------------------------------------------------------------------------


def save(session: tf.Session, saver: tf.train.Saver, run: str, state: dict, keep: int) -> str:
    """Writes RUN/step-N atomically, then deletes the others but the newest `keep` and the best.

    Args:
        state: with at least 'step', and 'best': {'step', 'rate'} or None.

    Returns:
        The checkpoint's path.

    Raises:
        OSError: it could not be written.
    """
    final = os.path.join(run, f'step-{state["step"]:08d}')
    partial = files.temporary_path(final)
    try:
        shutil.rmtree(partial, ignore_errors=True)  # a killed process's that had the same number
        os.makedirs(partial)
        prefix = os.path.join(partial, 'model')
        saver.save(session, prefix, write_meta_graph=False, write_state=False)
        write_state(partial, state)
        move_into_place(partial, final)
    except tf.errors.OpError as error:
        raise OSError(f'{final}: {short_message(error)}') from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    prune(run, keep, state['step'], state['best'])
    return final


def write_state(folder: str, state: dict) -> None:
    """Writes state.json beside the files of a checkpoint, and everything to disk."""
    names = sorted(os.listdir(folder))
    sums = {name: files.checksum(os.path.join(folder, name)) for name in names}
    state = {**state, 'time': time.time(), 'files': sums}
    write_json(os.path.join(folder, STATE), {**state, 'crc': _crc(state)})
    for name in [*names, STATE, '']:
        _sync(os.path.join(folder, name))


def move_into_place(partial: str, final: str) -> None:
    """Renames a complete folder; a former one of the same step counts until then."""
    if os.path.exists(final):
        shutil.rmtree(final + OLD, ignore_errors=True)
        os.rename(final, final + OLD)
    os.rename(partial, final)
    _sync(os.path.dirname(final))


def _crc(state):
    """CRC-32 of state.json's content, however it is spaced."""
    return f'{binascii.crc32(json.dumps(state, sort_keys=True).encode()):08x}'


def _sync(path):
    """Writes a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: str, value) -> None:
    """Writes a value to a file as JSON."""
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(value, file, indent=1)


def prune(run: str, keep: int, step: int, best: dict | None) -> None:
    """Deletes all checkpoints but the newest `keep` up to `step`, just written, and the best.

    What lies beyond `step` is damaged, or belongs to a future that was given up when the run
    resumed from an earlier checkpoint.
    """
    paths = list_checkpoints(run)
    spared = sorted({step_of(path) for path in paths if step_of(path) <= step})[-keep:]
    if best:
        spared.append(best['step'])
    for path in paths:
        replaced = path.endswith(OLD) and path.removesuffix(OLD) in paths
        if replaced or step_of(path) not in spared:
            shutil.rmtree(path, ignore_errors=True)


def remove_leftovers(run: str) -> None:
    """Removes the half-written folders and files of a killed process."""
    for path in folders.stale_partials(run, OURS):
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.unlink(path)


# --- reading --------------------------------------------------------------------------------------


def list_checkpoints(run: str) -> list[str]:
    """Paths of a run's checkpoints, oldest first, damaged ones included."""
    try:
        names = [name for name in os.listdir(run) if NAME.fullmatch(name)]
    except OSError:
        return []
    paths = [os.path.join(run, name) for name in names]
    return sorted(paths, key=lambda path: (step_of(path), path))


def step_of(path: str) -> int:
    """The step in a checkpoint folder's name."""
    return int(NAME.fullmatch(os.path.basename(path))[1])


def load(path: str) -> Checkpoint:
    """Verifies one checkpoint folder; InputError says what is wrong with it."""
    try:
        state = read_state(path)
        for name, crc in state['files'].items():
            if files.checksum(os.path.join(path, name)) != crc:
                raise InputError(f'{path}: {name} is damaged (its checksum differs)')
    except OSError as error:
        name = os.path.basename(error.filename or '')
        raise InputError(f'{path}: {name}: {error.strerror}') from error
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path}: {STATE} is damaged: {error}') from error
    return Checkpoint(path, state)


def is_intact(path: str) -> bool:
    """Whether `load` accepts a checkpoint folder."""
    try:
        load(path)
    except InputError:
        return False
    return True


def read_state(path: str) -> dict:
    """The content of one checkpoint's state.json; ValueError: its checksum or a value is wrong."""
    files.check_is_file(os.path.join(path, STATE))
    with open(os.path.join(path, STATE), encoding='utf-8') as file:
        state = json.load(file)
    if not isinstance(state, dict) or state.pop('crc', None) != _crc(state):
        raise ValueError('its checksum differs')
    if fault := state_values.fault(state):
        raise ValueError(fault)
    return state


def find(model_path: str, name: str | None = None, option: str = '--restore') -> Checkpoint:
    """The newest usable checkpoint.  Damaged ones are skipped, with a warning each.

    Args:
        model_path: the folder of the runs.
        name: a checkpoint's or a run's folder, or a run's name within model_path.  None: all runs
            of model_path, the newest first.
        option: named by the InputError if there is none.
    """
    paths = candidates(model_path, name)
    for path in paths:
        try:
            return load(path)
        except InputError as error:
            print(terminal.printable(f'warning: skipped: {error}'), file=sys.stderr)
    if name and not paths and not os.path.lexists(name):
        raise InputError(
            f'{option}: no run {name!r} in {model_path}, and no such folder'
            f'{_suggestion(model_path, name)}'
        )
    problem = 'no usable checkpoint' if paths else 'no checkpoint there'
    advice = '' if name or paths else f'; train first (--train), or name one: {option} RUN'
    raise InputError(f'{option}: {name or model_path}: {problem}{advice}')


def _suggestion(model_path, name):
    """'; did you mean RUN?', or '' if no run has a similar name.

    Looked for in model_path, in the folder of `name`, and among the published runs.
    """
    runs = {}
    named_folder = os.path.dirname(os.path.normpath(name))
    for folder in (model_path, named_folder, PUBLISHED):
        for run in runs_of(folder):
            path = os.path.join(folder, run)
            runs.setdefault(run, run if folder == model_path else path)
    near = cli.closest_name(os.path.basename(os.path.normpath(name)), runs)
    return f'; did you mean {runs[near]!r}?' if near else ''


def runs_of(folder: str) -> list[str]:
    """Names of the runs in a folder that have checkpoints."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [name for name in names if list_checkpoints(os.path.join(folder, name))]


def candidates(model_path: str, name: str | None) -> list[str]:
    """Checkpoint folders to try, newest first; see `find`."""
    if name is None:
        return candidates_of_all_runs(model_path)
    for folder in map(os.path.abspath, (name, os.path.join(model_path, name))):
        if is_checkpoint_folder(folder):
            return [folder]
        if paths := list_checkpoints(folder):
            return paths[::-1]
    return []


def candidates_of_all_runs(model_path: str) -> list[str]:
    """Checkpoint folders of all runs, those of the newest run first."""
    runs = [list_checkpoints(os.path.join(model_path, run)) for run in runs_of(model_path)]
    runs.sort(key=lambda paths: _time_written(paths[-1]), reverse=True)
    return [path for paths in runs for path in reversed(paths)]


def is_checkpoint_folder(folder: str) -> bool:
    """Whether a folder is a checkpoint, by its name or by what it holds."""
    if not os.path.isdir(folder):
        return False
    named = NAME.fullmatch(os.path.basename(folder)) is not None
    return named or os.path.exists(os.path.join(folder, STATE))


def _time_written(path):
    """When a checkpoint was saved, by its state: a copied folder has the copy's date."""
    try:
        return read_state(path)['time']
    except Exception:  # it is damaged in any way
        return os.path.getmtime(path)
