"""Run folders: opened by one process at a time, never overwritten, never rewound."""

import argparse
import os

from jointpose.checkpoints import checkpoint
from jointpose.checkpoints.checkpoint import Checkpoint
from jointpose.nn.tf1 import tf
from jointpose.utils import files, folders
from jointpose.utils.errors import InputError

LOCKS = {}  # {run: folders.Lock} that this process holds


def open_run(options: argparse.Namespace, found: Checkpoint | None) -> str:
    """The run's folder, made if need be.

    Args:
        found: of the run that is restored; None: it is a new run.

    Raises:
        InputError: the folder holds another run, another process trains in it, or it is not
            writable.
    """
    if found:
        return open_restored(options, found)
    run = os.path.join(options.model_path, options.run)
    try:
        os.makedirs(run, exist_ok=True)
        lock(run)
        if checkpoint.list_checkpoints(run) or os.path.exists(os.path.join(run, 'steps.jsonl')):
            raise InputError(
                f'{run}: holds a run already: choose another --run, or --restore {options.run}'
            )
        checkpoint.remove_leftovers(run)
    except OSError as error:
        raise InputError(f'{run}: cannot be used: {error.strerror}') from error
    return run


def open_restored(options: argparse.Namespace, found: Checkpoint) -> str:
    """The folder of a checkpoint's run; locked if training resumes in it."""
    run = os.path.dirname(os.path.normpath(found.path))
    if options.train:
        lock(run, '--restore')
        checkpoint.remove_leftovers(run)
        refuse_to_rewind(run, found)
    return run


def lock(run: str, option: str = '--run') -> None:
    """Locks a run's folder for this process, until it ends; an InputError names `option`."""
    LOCKS[run] = folders.Lock(run, option)


def refuse_to_rewind(run: str, found: Checkpoint) -> None:
    """InputError if the run has newer checkpoints: resuming would overwrite what came after."""
    for path in checkpoint.list_checkpoints(run):
        newer = checkpoint.step_of(path) > found.state['step']
        if newer and checkpoint.is_intact(path):
            raise InputError(
                f'--restore {found.path}: {path} is newer: resume from that, or copy the older one '
                'into a folder of its own'
            )


def write_settings(run: str, settings: dict, data_id: str) -> None:
    """RUN/settings.json: what the run is, for readers."""
    content = {
        **settings,
        'data_id': data_id,
        'code': checkpoint.code_version(),
        'tensorflow': tf.__version__,
    }
    with files.atomic_write(os.path.join(run, 'settings.json')) as partial:
        checkpoint.write_json(partial, content)
