"""Resolves main.py's options: the command line, completed by the checkpoint that it names."""

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from jointpose import datasets, systems
from jointpose.annotations.coco_json import PERSON_NAMES
from jointpose.checkpoints import checkpoint
from jointpose.checkpoints.checkpoint import Checkpoint
from jointpose.cluster import cluster_roles
from jointpose.datasets import arrays
from jointpose.media.images import STDIN
from jointpose.nn import import_weights, tiling
from jointpose.options import options as command_line
from jointpose.systems.base import System
from jointpose.utils.errors import InputError
from jointpose.utils.log import log
from jointpose.vision.joints import TORSO_JOINTS

EXPECTED_DETECTOR = 'expected a checkpoint of tompson with --use_sm, such as pretrained/flic'


class RunOptions(NamedTuple):
    """What a call of main.py is to do."""

    options: argparse.Namespace
    system: System
    restored: Checkpoint | None  # of --restore
    initial: Checkpoint | None  # of --init


def resolve_options(
    arguments: Sequence[str] | None = None, note: Callable[[str], object] = log
) -> RunOptions:
    """The options of a command line, and the checkpoint that it names.

    Options that are not given are those of the restored run; with --init, those of the network.

    Args:
        arguments: of main.py; None: those of this process.
        note: prints a line on the restored checkpoint.

    Raises:
        InputError: the checkpoint cannot be used, or contradicts the options.
    """
    names = systems.names()
    system = systems.load(resolve_system(names, arguments))
    options, explicit = command_line.parse(system, names, arguments)
    found = resolve_checkpoint(options)
    restored = found if options.init is None else None
    initial = found if options.init is not None else None
    if found:
        check_checkpoint(found, names, options, explicit)
    if restored:
        settings = restored.state['settings']
        command_line.merge_restored(options, explicit, settings, restored.path, system, names)
        for line in restore_notes(restored, options, system):
            note(line)
    if initial:
        settings = initial.state['settings']
        command_line.merge_initial(options, explicit, settings, initial.path, system, names)
    if 'data' not in explicit:
        choose_data(options)
    if options.skeleton is None and datasets.load(options.dataset).skeleton_is_data:
        options.skeleton = skeleton_of_arrays(options)
    return RunOptions(options, system(options), restored, initial)


def resolve_detector(
    options: argparse.Namespace, system: System, note: Callable[[str], object] = log
) -> RunOptions | None:
    """The RunOptions of the --detector of a call; None without one.

    Raises:
        InputError: it does not detect people, or `system` does not crop them.
    """
    if options.detector is None:
        return None
    where = f'--detector {options.detector}'
    if not system.crops_people:
        raise InputError(
            f'{where}: --system {options.system} --dataset {options.dataset} takes whole pictures; a '
            'detector goes with systems that crop people'
        )
    category = system.dataset.category
    if category.lower() not in PERSON_NAMES:
        raise InputError(
            f'{where}: detectors find people, and this run finds {category!r}: name the boxes of '
            'another program with --boxes'
        )
    words = ['--restore', options.detector, '--predict', STDIN, '--model_path', options.model_path]
    if options.gpus_named:
        words += ['--gpus', *map(str, options.gpus)]
    name = resolve_system(systems.names(), words)
    detector_options = systems.load(name).DETECTOR_OPTIONS
    if detector_options is None:
        raise InputError(f'{where}: {name} does not detect people: {EXPECTED_DETECTOR}')
    try:
        resolved = resolve_options([*words, *detector_options], note)
    except InputError as error:
        raise InputError(str(error).replace('--restore', '--detector', 1)) from None
    if not resolved.system.takes_prompts:
        raise InputError(f'{where}: has no spatial model: {EXPECTED_DETECTOR}')
    if not set(TORSO_JOINTS) <= set(resolved.system.dataset.joints):
        raise InputError(f'{where}: has no shoulders and hips, around which crops are made')
    return resolved


def resolve_system(names: Sequence[str], arguments: Sequence[str] | None = None) -> str:
    """The name of the system: that of --system, else that of the checkpoint that is named."""
    given = command_line.peek_system(names, arguments)
    if given.system is not None:
        return given.system
    name = given.restore if given.init is None else given.init
    if name is not None:
        for path in checkpoint.candidates(given.model_path, name or None):
            with contextlib.suppress(Exception):  # it is damaged, which `find` will say
                stored = checkpoint.read_state(path)['settings']['system']
                if stored in names:
                    return stored
    return command_line.DEFAULT_SYSTEM


def resolve_checkpoint(options: argparse.Namespace) -> Checkpoint | None:
    """The Checkpoint of --init or --restore; None if there is none, or for a worker."""
    own = cluster_roles.role(options)
    if own and own.serves:
        return None
    if options.init is not None:
        if import_weights.is_weights_file(options.init):
            return None
        return checkpoint.find(options.model_path, options.init, '--init')
    if options.restore is not None:
        return checkpoint.find(options.model_path, options.restore or None)
    return None


def check_checkpoint(
    found: Checkpoint, names: Sequence[str], options: argparse.Namespace, explicit: set[str]
) -> None:
    """InputError if this call can neither resume nor start from a checkpoint."""
    path = found.path
    stored = found.state['settings'].get('system', command_line.DEFAULT_SYSTEM)
    if stored not in names:
        raise InputError(f'{path}: of an unknown system: {stored!r:.80}')
    if stored != options.system:
        if 'system' not in explicit:  # it was chosen by a newer checkpoint, which is damaged
            raise InputError(f'{path}: of another system: add --system {stored}')
        if options.init is None:
            raise InputError(
                f'--system {options.system}: {path} is a checkpoint of {stored}: omit --system'
            )
    if options.init is None and options.train and found.state.get('weights_only'):
        raise InputError(
            f'--restore {path}: holds weights only, from which training cannot resume; to start a '
            f'new one from them: --train --init {path}'
        )


def choose_data(options: argparse.Namespace) -> None:
    """Without --data: the restored run's arrays if they are still there, else the data set's."""
    of_run = options.data
    if of_run is not None and os.path.exists(os.path.join(of_run, arrays.MANIFEST)):
        return
    options.data = arrays.default_folder(options.dataset)
    if of_run not in (None, options.data) and not options.predict:
        log(f'note: the arrays of that run, {of_run}, are gone: {options.data} is used')


def skeleton_of_arrays(options: argparse.Namespace) -> dict | None:
    """The skeleton in the manifest of --data; None for a worker, which needs none."""
    if options.serve:
        return None
    manifest = arrays.read_manifest(options.data)
    if 'skeleton' not in manifest:
        raise InputError(
            f'--dataset {options.dataset}: --data {options.data} holds {manifest["dataset"]}'
        )
    return manifest['skeleton']


def restore_notes(
    found: Checkpoint, options: argparse.Namespace, system: type[System]
) -> Iterator[str]:
    """Lines on a checkpoint that is restored."""
    state = found.state
    settings = state['settings']
    version = checkpoint.code_version()
    if state['code'] != version and not state.get('weights_only'):
        yield f'note: {found.path} was written by code {state["code"]}, this is {version}'
    if options.train and has_other_tiling(found, options):
        yield 'note: convolutions are tiled by other costs than before: last digits will differ'
    yield f'restored {found.path}'
    if settings.get('validation') and not (options.validation or options.predict):
        yield 'note: that run had a validation split; without --validation, test people are used'
    changed = command_line.changed_inputs(options, settings, system, systems.names())
    for name, trained in changed.items():
        yield f'note: --{name} {getattr(options, name)}: that run was trained with {trained}'


def has_other_tiling(found: Checkpoint, options: argparse.Namespace) -> bool:
    """Whether large filters are tiled by other costs than in the run so far."""
    if getattr(options, 'conv', 'direct') == 'direct':
        return False
    costs = tiling.recorded_costs()
    return found.state.get('convolution', costs) != costs  # earlier versions did not record them
