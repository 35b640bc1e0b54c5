"""Checkpoints that survive: written whole or not at all, verified before use, newest ones and the best kept.

    MODEL_PATH/RUN/settings.json       the run's options
    MODEL_PATH/RUN/log.jsonl           one line an epoch; steps.jsonl: one line an update
    MODEL_PATH/RUN/step-00000285/      one checkpoint: model.index, model.data-*, state.json

A checkpoint is a folder that takes its name only when everything in it is on disk; state.json holds the step, the
settings, the code's version, the best rate so far and a CRC-32 of each file.  All paths are relative: a moved or
copied run restores as it is.
"""
import collections
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

import arrays
from arrays import InputError
from tf1 import tf

STATE, PREFIX, PARTIAL = 'state.json', 'step-', '.partial'

Checkpoint = collections.namedtuple('Checkpoint', 'path state')


def code_version():
    """The commit of this code, '+' if changed since; 'unknown' outside a clone."""
    folder = os.path.dirname(os.path.abspath(__file__))
    git = ['git', '-C', folder, 'describe', '--always', '--dirty=+', '--abbrev=10']
    with contextlib.suppress(OSError):
        return subprocess.run(git, capture_output=True, text=True).stdout.strip() or 'unknown'
    return 'unknown'


def save(session, saver, run, state, keep):
    """Writes RUN/step-N atomically and drops older ones but the newest `keep` and the best.  Returns its path.

    state: dictionary with at least 'step' and 'best' ({'step', 'rate'} or None).  Raises OSError if it fails.
    """
    final = os.path.join(run, f'{PREFIX}{state["step"]:08d}')
    partial = f'{final}.{os.getpid()}{PARTIAL}'
    try:
        os.makedirs(partial)
        saver.save(session, os.path.join(partial, 'model'), write_meta_graph=False, write_state=False)
        files = {name: arrays.checksum(os.path.join(partial, name)) for name in sorted(os.listdir(partial))}
        write_json(os.path.join(partial, STATE), {**state, 'time': time.time(), 'files': files})
        for name in [*files, STATE]:
            _sync(os.path.join(partial, name))
        shutil.rmtree(final, ignore_errors=True)            # the same step saved again
        os.rename(partial, final)
        _sync(run)
    except tf.errors.OpError as error:
        raise OSError(f'{final}: {error.message.splitlines()[0]}') from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    prune(run, keep, state['best'])
    return final


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path, value):
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(value, file, indent=1)


def prune(run, keep, best):
    """Deletes all checkpoints but the newest `keep` and the best."""
    paths = list_run(run)
    spared = set(paths[-keep:])
    if best:
        spared.add(os.path.join(run, f'{PREFIX}{best["step"]:08d}'))
    for path in paths:
        if path not in spared:
            shutil.rmtree(path, ignore_errors=True)


def sweep(run):
    """Removes what a killed process left half-written."""
    for name in os.listdir(run):
        if name.endswith(PARTIAL):
            shutil.rmtree(os.path.join(run, name), ignore_errors=True)


def list_run(run):
    """Paths of a run's checkpoints, oldest first, damaged ones included."""
    with contextlib.suppress(OSError):
        return [os.path.join(run, name) for name in sorted(os.listdir(run))
                if name.startswith(PREFIX) and not name.endswith(PARTIAL)]
    return []


def load(path):
    """Verifies one checkpoint folder and returns a Checkpoint; InputError says what is wrong with it."""
    try:
        with open(os.path.join(path, STATE), encoding='utf-8') as file:
            state = json.load(file)
        step, files = int(state['step']), dict(state['files'])
        state['settings']['debug'], state['best'], state['code']
        for name, crc in files.items():
            if arrays.checksum(os.path.join(path, name)) != crc:
                raise InputError(f'{path}: {name} is damaged (its checksum differs)')
        if 'model.index' not in files or step < 0:
            raise InputError(f'{path}: {STATE} is not a checkpoint\'s')
    except OSError as error:
        raise InputError(f'{path}: {os.path.basename(error.filename or "")}: {error.strerror}') from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{path}: {STATE} is damaged: {error!r}') from error
    return Checkpoint(path, state)


def find(model_path, name=None, log=sys.stderr):
    """The newest usable checkpoint.

    name: a checkpoint's or a run's folder, or a run's name within model_path; None: all runs of model_path, the
    newest first.  Damaged ones are passed over with a warning each; nothing usable is an InputError.
    """
    paths = candidates(model_path, name)
    for path in paths:
        try:
            return load(path)
        except InputError as error:
            print(f'warning: passed over: {error}', file=log)
    where = name or model_path
    raise InputError(f'--restore: {where}: ' + ('no usable checkpoint' if paths else 'no checkpoint there'))


def candidates(model_path, name):
    """Checkpoint folders to try, best first."""
    if name is None:
        with contextlib.suppress(OSError):
            runs = [os.path.join(model_path, run) for run in os.listdir(model_path)]
            return sorted((path for run in runs for path in list_run(run)), key=os.path.getmtime, reverse=True)
        return []
    for folder in (name, os.path.join(model_path, name)):
        if os.path.exists(os.path.join(folder, STATE)) or os.path.basename(folder.rstrip('/')).startswith(PREFIX):
            return [folder] if os.path.isdir(folder) else []
        if list_run(folder):
            return list_run(folder)[::-1]
    return []


def restore(session, saver, checkpoint):
    """Reads the variables of `saver` from a verified checkpoint."""
    try:
        saver.restore(session, os.path.join(checkpoint.path, 'model'))
    except (tf.errors.OpError, ValueError) as error:
        raise InputError(f'{checkpoint.path}: does not fit this graph: {str(error).splitlines()[0]}') from error
