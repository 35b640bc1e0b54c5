"""Run folders: opened by one process at a time, never overwritten, never rewound."""

import os

from jointpose.nn.tf1 import tf
from jointpose.training import checkpoint
from jointpose.utils import files, folders
from jointpose.utils.errors import InputError

LOCKS = {}  # {run: folders.Lock} that this process holds


def open_run(options, found):
    """The run's folder, made if need be; another run's folder is refused."""
    if found:
        run = os.path.dirname(os.path.normpath(found.path))
        if options.train:
            lock(run, '--restore')
            checkpoint.remove_leftovers(run)
            refuse_to_rewind(found)
        return run
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


def lock(run, option='--run'):
    """One process at a time trains in a run's folder; the lock ends with the process."""
    LOCKS[run] = folders.Lock(run, option)


def refuse_to_rewind(found):
    """Going on from an older checkpoint would overwrite what came after it."""
    for path in checkpoint.list_checkpoints(os.path.dirname(os.path.normpath(found.path))):
        if checkpoint.step_of(path) > found.state['step'] and checkpoint.is_intact(path):
            raise InputError(
                f'--restore {found.path}: {path} is newer: go on from that, or copy the older one into a '
                'folder of its own'
            )


def write_settings(run, settings, data_id):
    """RUN/settings.json: what the run is, for its readers."""
    with files.atomic_write(os.path.join(run, 'settings.json')) as partial:
        checkpoint.write_json(
            partial,
            {
                **settings,
                'data_id': data_id,
                'code': checkpoint.code_version(),
                'tensorflow': tf.__version__,
            },
        )
