"""main.py's command line, and its completion by the settings of a restored run."""

import argparse
import datetime
import functools
import shlex
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from jointpose.nn import import_weights
from jointpose.options import option_groups
from jointpose.options.option_groups import MODEL_PATH
from jointpose.options.scopes import by_predict, repeated_options, scopes_of
from jointpose.utils.cli import Parser
from jointpose.utils.errors import InputError

DEFAULT_SYSTEM = 'tompson'
NOT_GIVEN = object()  # the value of an option that the command line does not set

DESCRIPTION = """Trains a pose estimator, evaluates it, or finds poses in custom images.

    python main.py --train --use_sm --data_augm --width 8             train, then evaluate
    python main.py --train --restore                                  resume the newest run
    python main.py --restore                                          evaluate the newest run
    python main.py --restore pretrained/flic --predict picture.jpg    predict: a picture, folder, video
    python main.py --train --init pretrained/flic --data arrays_own   fine-tune on custom data
    python main.py --system hrnet --help                              the options of another system

The default system is the part detector of Tompson et al. (2014); --use_sm adds their spatial model.
With --restore, options that are not given are those of the restored run.  Training and evaluation
need the arrays of data.py and, with --use_sm, the priors of pairwise_distr.py.  Checkpoints and
logs are written to MODEL_PATH/RUN, TensorBoard summaries to TB_FOLDER/RUN, the joints of the test
people to predictions.mat.
"""


def peek_system(names: Sequence[str], arguments: Sequence[str] | None = None) -> Namespace:
    """Those options that tell the system, by which the others are parsed; None if not given."""
    parser = Parser(prog='main.py', add_help=False)
    parser.add_argument('--system', choices=names)
    parser.add_argument('--restore', nargs='?', const='')
    parser.add_argument('--init')
    parser.add_argument('--model_path', default=MODEL_PATH)
    return parser.parse_known_args(arguments)[0]


@functools.cache
def build_parser(system: type, systems: tuple[str, ...]) -> Parser:
    """The parser of main.py's command line; it is built once and must not be changed.

    Args:
        system: the System class whose options are added.
        systems: names of all systems.
    """
    parser = Parser(prog='main.py', description=DESCRIPTION)
    option_groups.add_calls(parser, system, systems)
    option_groups.add_prediction(parser)
    system.add_options(parser)
    option_groups.add_training(parser)
    option_groups.add_evaluation(parser)
    option_groups.add_places(parser)
    option_groups.add_machines(parser)
    parser.set_defaults(**system.DEFAULTS)
    return parser


def parse(
    system: type, systems: Sequence[str], arguments: Sequence[str] | None = None
) -> tuple[Namespace, set[str]]:
    """(options, names of those that are given on the command line)."""
    parser = build_parser(system, tuple(systems))
    options, explicit = parse_explicit(parser, arguments)
    for name, default in system.dataset_defaults(options.dataset).items():
        if name not in explicit:
            setattr(options, name, default)
    from_checkpoint = options.restore is not None or (
        options.init is not None and not import_weights.is_weights_file(options.init)
    )
    try:
        check(options, explicit, parser)
        if not from_checkpoint:  # else once the checkpoint's settings are known
            system(options).check_options()
    except ValueError as error:
        parser.error(str(error))
    options.gpus_named = 'gpus' in explicit
    options.skeleton = None  # of a data set whose key points are data, as JSON has it
    if options.run is None:
        options.run = datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S')
    return options, explicit


def parse_explicit(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> tuple[Namespace, set[str]]:
    """(options, names of those that the command line sets, whatever their value)."""
    defaults = vars(parser.parse_args([]))
    unset = Namespace(**dict.fromkeys(defaults, NOT_GIVEN))
    found = vars(parser.parse_args(arguments, unset))
    given = {name: value for name, value in found.items() if value is not NOT_GIVEN}
    return Namespace(**{**defaults, **given}), set(given)


# --- which options go together --------------------------------------------------------------------


def check(options: Namespace, explicit: set[str], parser: argparse.ArgumentParser) -> None:
    """ValueError says which options do not go together."""
    check_machines(options)
    if options.predict is not None and (options.train or options.restore is None):
        raise ValueError('--predict goes with --restore RUN and without --train')
    if not options.train and options.restore is None and not options.serve:
        raise ValueError('nothing to do: give --train, --restore or both')
    if options.init is not None and (options.restore is not None or not options.train):
        raise ValueError('--init starts a training: it goes with --train and without --restore')
    if options.boxes and options.predict is None and (options.train or options.validation):
        raise ValueError(
            '--boxes goes with --predict or, to evaluate on COCO, with --restore alone'
        )
    if options.detector is not None and (options.torso or options.boxes):
        prompts = '--torso' if options.torso else '--boxes'
        raise ValueError(f'--detector goes without {prompts}: it finds the people itself')
    if options.schedule == 'cosine' and options.lr_steps:
        raise ValueError('--lr_steps goes with --schedule steps')
    if len(set(options.gpus)) < len(options.gpus):
        raise ValueError('--gpus: a GPU is listed twice')
    check_run_name(options)
    for name in by_predict(parser, needed=options.predict is None):
        if name in explicit:
            raise ValueError(f'--{name} goes with{"out" if options.predict else ""} --predict')


def check_run_name(options: Namespace) -> None:
    """ValueError: --run is not a plain name, or given for a restored run."""
    run = options.run
    if run is None:
        return
    if not run or '/' in run or run.startswith(('.', '-')):
        raise ValueError(f'--run must be a plain name, got {run!r}')
    if options.restore is not None:
        raise ValueError('--run goes without --restore: a restored run keeps its name')


def check_machines(options: Namespace) -> None:
    """ValueError: what does not go with --serve and --workers."""
    if options.serve and (options.train or options.restore is not None or options.workers):
        raise ValueError(
            "--serve goes without --train, --restore and --workers: it serves other machines' runs"
        )
    if options.workers and options.predict is not None:
        raise ValueError('--workers goes without --predict')
    if options.chief and not options.workers:
        raise ValueError('--chief goes with --workers')
    if options.workers and len({*options.workers, options.chief}) <= len(options.workers):
        raise ValueError('--workers: an address is listed twice')
    if options.workers and (options.min_workers or 0) > len(options.workers):
        raise ValueError('--min_workers: there are fewer --workers')


# --- settings of a run ----------------------------------------------------------------------------


def settings_of(options: Namespace, system: type) -> dict[str, Any]:
    """The options that describe the run, for settings.json and checkpoints: {name: value}."""
    scopes = scopes_of(build_parser(system, ()))
    settings = {
        name: value
        for name, value in vars(options).items()
        if name in scopes and scopes[name].stored
    }
    if options.skeleton:
        settings['skeleton'] = options.skeleton
    return settings


def merge_restored(
    options: Namespace,
    explicit: set[str],
    settings: dict[str, Any],
    where: str,
    system: type,
    systems: Sequence[str],
) -> Namespace:
    """Completes the options by a restored run's settings.

    Args:
        explicit: names of the options that are given on the command line.
        settings: of the run.
        where: the checkpoint's path.

    Raises:
        InputError: an option contradicts the run.
    """
    parser = build_parser(system, tuple(systems))
    defaults = parser.parse_args([])
    for name, scope in scopes_of(parser).items():
        if not scope.stored or not (scope.in_evaluation or options.train):
            continue
        stored = stored_value(name, settings, system, getattr(defaults, name))
        fixed = scope.fixed or (scope.fixed_in_training and options.train)
        if name not in explicit:
            setattr(options, name, stored)
        elif getattr(options, name) != stored and fixed:
            raise InputError(f'--{name} {getattr(options, name)}: the run of {where} has {stored}')
    options.gpus_named |= options.gpus != [0]
    options.skeleton = settings.get('skeleton')
    return checked(options, where, system)


def stored_value(name: str, settings: dict[str, Any], system: type, default: Any) -> Any:
    """An option's value in a run with these settings.

    A run from before the option existed had that of the system's FORMER, or the default.
    """
    return settings.get(name, system.FORMER.get(name, default))


def merge_initial(
    options: Namespace,
    explicit: set[str],
    settings: dict[str, Any],
    where: str,
    system: type,
    systems: Sequence[str],
) -> Namespace:
    """Completes the options of --init by the checkpoint's settings of the network and its inputs.

    Those with a default of the data set are not inherited from a run on another data set.
    Arguments as those of `merge_restored`.
    """
    parser = build_parser(system, tuple(systems))
    excluded = set(explicit)
    if settings.get('dataset', options.dataset) != options.dataset:
        excluded |= set(system.dataset_defaults(options.dataset))
    for name, scope in scopes_of(parser).items():
        if scope.inherited and name not in excluded:
            value = stored_value(name, settings, system, getattr(options, name))
            setattr(options, name, value)
    return checked(options, where, system)


def checked(options: Namespace, where: str, system: type) -> Namespace:
    """The options; InputError: the system cannot be built with them."""
    try:
        system(options).check_options()
    except ValueError as error:
        raise InputError(f'{error} (in the run of {where})') from error
    return options


def changed_inputs(
    options: Namespace, settings: dict[str, Any], system: type, systems: Sequence[str]
) -> dict[str, Any]:
    """{name: value in training} of the options of the scope "input" that differ now."""
    parser = build_parser(system, tuple(systems))
    changed = {}
    for name, scope in scopes_of(parser).items():
        trained = stored_value(name, settings, system, parser.get_default(name))
        if scope.reported and trained != getattr(options, name):
            changed[name] = trained
    return changed


def resume_command(run: str, options: Namespace) -> str:
    """The command that resumes a stopped training, with the same places and machines."""
    parser = argparse.ArgumentParser()
    option_groups.add_evaluation(parser)
    option_groups.add_places(parser)
    option_groups.add_machines(parser)
    words = ['python', 'main.py', '--train', '--restore', run]
    for name in repeated_options(parser):
        value = getattr(options, name)
        if value != parser.get_default(name):
            values = value if isinstance(value, list) else [value]
            words += [f'--{name}', *map(str, values)]
    return shlex.join(words)
