"""Resolves main.py's options: the command line, completed by the settings of the checkpoint that it names."""

import contextlib
import os

from jointpose import systems
from jointpose.datasets import arrays
from jointpose.nn import import_weights, tiling
from jointpose.training import checkpoint, cluster
from jointpose.training import options as command_line
from jointpose.utils.errors import InputError
from jointpose.utils.log import log


def resolve_options(arguments=None, say=log):
    """The command line, completed by the settings of the checkpoint that --restore goes on from or --init starts from.

    say: what is done with remarks on the checkpoint.
    Returns (options, the System, restored Checkpoint or None, Checkpoint to start from or None).
    """
    names = systems.names()
    system = systems.load(resolve_system(names, arguments))
    options, explicit = command_line.parse(system, names, arguments)
    found, origin = resolve_checkpoint(options), None
    if found:
        check_checkpoint(found, names, options, explicit)
        settings = found.state['settings']
        if options.init is None:
            command_line.merge_restored(options, explicit, settings, found.path, system, names)
            for remark in restore_notes(found, options, system):
                say(remark)
        else:
            command_line.merge_initial(options, explicit, settings, found.path, system, names)
            found, origin = None, found
    if 'data' not in explicit:
        choose_data(options)
    return options, system(options), found, origin


def resolve_system(names, arguments=None):
    """The system of --system, or of the newest checkpoint of --restore or --init, whose options are understood."""
    said = command_line.peek_system(names, arguments)
    from_where = said.restore if said.init is None else said.init
    if said.system is None and from_where is not None:
        for path in checkpoint.candidates(said.model_path, from_where or None):
            with contextlib.suppress(Exception):  # damaged: find() will say so
                if (stored := checkpoint.read_state(path)['settings']['system']) in names:
                    return stored
    return said.system or command_line.DEFAULT_SYSTEM


def resolve_checkpoint(options):
    """The Checkpoint of --init or --restore; None where neither names one, or this machine only lends its devices."""
    own = cluster.role(options)
    if own and own.serves:
        return None
    if options.init is not None:
        return (
            None
            if import_weights.is_weights_file(options.init)
            else checkpoint.find(options.model_path, options.init, '--init')
        )
    return (
        None
        if options.restore is None
        else checkpoint.find(options.model_path, options.restore or None)
    )


def check_checkpoint(found, names, options, explicit):
    """InputError where this call cannot go on or start from it."""
    stored = found.state['settings'].get('system', command_line.DEFAULT_SYSTEM)
    if stored not in names:
        raise InputError(f'{found.path}: of a system that is not here: {stored!r:.80}')
    if 'system' in explicit and stored != options.system and options.init is None:
        raise InputError(
            f'--system {options.system}: {found.path} is a checkpoint of {stored}: leave --system away'
        )
    if 'system' not in explicit and stored != options.system:  # its newest checkpoint is damaged
        raise InputError(f'{found.path}: of another system; say --system {stored}')
    if options.init is None and options.train and found.state.get('weights_only'):
        raise InputError(
            f'--restore {found.path}: holds weights only, from which training cannot go on; a new one can '
            f'start there: --train --init {found.path}'
        )


def choose_data(options):
    """Where --data is not given: the arrays of the restored run if they are still there, else those of the data set."""
    of_run = options.data
    if of_run is None or not os.path.exists(os.path.join(of_run, arrays.MANIFEST)):
        options.data = arrays.default_folder(options.dataset)
        if of_run not in (None, options.data) and not options.predict:
            log(f'note: the arrays of that run, {of_run}, are gone: {options.data} is used')


def restore_notes(found, options, system):
    """What is worth saying about a checkpoint that is restored, line by line."""
    version = checkpoint.code_version()
    if found.state['code'] != version and not found.state.get('weights_only'):
        yield f'note: {found.path} was written by code {found.state["code"]}, this is {version}'
    if options.train and has_other_tiling(found, options):
        yield 'note: convolutions are tiled by other costs than before: last digits will differ'
    yield f'restored {found.path}'
    if found.state['settings'].get('validation') and not (options.validation or options.predict):
        yield 'note: that run held people out; without --validation, the test people are evaluated'
    changed = command_line.changed_inputs(options, found.state['settings'], system, systems.names())
    for name, trained in changed.items():
        yield f'note: --{name} {getattr(options, name)}: that run was trained with {trained}'


def has_other_tiling(found, options):
    """Whether large filters are tiled by other costs than in the run so far."""
    costs = tiling.recorded_costs()
    tiled = getattr(options, 'conv', 'direct') != 'direct'
    return (
        tiled and found.state.get('convolution', costs) != costs
    )  # earlier versions did not record them
