"""main.py's command line.  With --restore, options that are not given take the values of the restored run."""

import argparse
import datetime
import functools
import math
import re
import shlex

from jointpose.nn import import_weights
from jointpose.utils.cli import (
    Parser,
    fraction,
    nonnegative_float,
    nonnegative_int,
    positive_float,
    positive_int,
)
from jointpose.utils.errors import InputError

# A change of one of these is a change of the graph or of its data: not allowed when restoring.  Systems add their own.
FIXED = ('system', 'dataset')
FIXED_IN_TRAINING = (
    'optimizer',
    'seed',
    'batch_size',
    'train_examples',
    'test_examples',
    'validation',
    'norm_decay',
    'average_weights',
    'schedule',
    'lr_steps',
    'warm_up',
    'clip_norm',
)
# Options that describe a call, not a run: never taken over; and those that are only when training goes on.
PICTURES_ONLY = ('torso', 'boxes', 'overlay', 'frames', 'no_smoothing', 'out')
MACHINES = ('workers', 'chief', 'min_workers')
CALL = (
    'train',
    'restore',
    'predict',
    *PICTURES_ONLY,
    'model_path',
    'tb_folder',
    'run',
    'predictions',
    'verify',
    'gpus_named',
    *MACHINES,
    'serve',
)
PLACES = ('model_path', 'tb_folder', 'predictions', *MACHINES)
DEFAULT_SYSTEM, MODEL_PATH = 'tompson', 'models_ex'
TRAINING_ONLY = ('gpus', 'variables', 'no_tf32', 'test_examples', 'validation', 'batch_size')
NOT_GIVEN = object()  # the value of an option that the command line does not set

DESCRIPTION = """Trains a pose estimator, evaluates it, or finds poses in your own pictures.

    python main.py --train --use_sm --data_augm --width 8             train, then evaluate
    python main.py --train --restore                                  resume the newest run
    python main.py --restore                                          evaluate the newest run
    python main.py --restore pretrained/flic --predict picture.jpg    predict: a picture, a folder or a video
    python main.py --train --init pretrained/flic --data arrays_own   fine-tune on your own data
    python main.py --system hrnet --help                              the options of another system

The default system is the part detector of Tompson et al. (2014); --use_sm adds their spatial model.  With --restore,
options that are not given are those of the restored run.  Training and evaluation need the arrays of data.py and,
with --use_sm, the priors of pairwise_distr.py.  Checkpoints and logs are written to MODEL_PATH/RUN, TensorBoard
summaries to TB_FOLDER/RUN, the joints of the test people to predictions.mat.
"""


def peek_system(names, arguments=None):
    """What says which system's options the command line has; None where nothing is said."""
    parser = Parser(prog='main.py', add_help=False)
    parser.add_argument('--system', choices=names)
    parser.add_argument('--restore', nargs='?', const='')
    parser.add_argument('--init')
    parser.add_argument('--model_path', default=MODEL_PATH)
    return parser.parse_known_args(arguments)[0]


@functools.cache
def build_parser(system, systems):
    """The parser of main.py's command line, built once: nobody may change it.

    system: the module whose options are understood; systems: names of all, a tuple.
    """
    parser = Parser(prog='main.py', description=DESCRIPTION)
    add_calls(parser, system, systems)
    system.add_options(parser)
    add_training(parser)
    add_evaluation(parser)
    add_machines(parser)
    parser.set_defaults(**system.DEFAULTS)
    return parser


def group(parser, title, description=None):
    """The group of options with this title, made if need be: systems add to those that all have."""
    there = (known for known in parser._action_groups if known.title == title)
    return next(there, None) or parser.add_argument_group(title, description)


def add_calls(parser, system, systems):
    """What to do, and --predict."""
    what = group(parser, 'what to do')
    what.add_argument(
        '--train', action='store_true', help='train, then evaluate; without it, evaluate only'
    )
    what.add_argument(
        '--restore',
        nargs='?',
        const='',
        default=None,
        metavar='RUN',
        help="resume (with --train) or evaluate a checkpoint: a path or a run's name; no value: "
        'the newest in --model_path',
    )
    what.add_argument(
        '--gpus',
        nargs='+',
        type=nonnegative_int,
        default=[0],
        metavar='GPU',
        help='one tower per GPU; the tower of an absent GPU runs on the CPU',
    )
    what.add_argument(
        '--variables',
        choices=('auto', 'cpu', 'gpu'),
        default='auto',
        help='where the variables of several towers lie: on the first GPU or on the CPU; auto: on the '
        'first GPU if all towers have one, which halves the bytes that two GPUs send per step',
    )
    what.add_argument(
        '--no_tf32',
        action='store_true',
        help="compute in full float32 on GPUs of NVIDIA's Ampere generation and later, which otherwise "
        'round the factors of products to TF32 (10 bits), and are faster',
    )
    what.add_argument(
        '--system',
        choices=systems,
        default=system.__name__.rpartition('.')[2],
        help='pose estimator; --system NAME --help lists its options',
    )
    what.add_argument(
        '--dataset', choices=system.DATASETS, default=system.DATASETS[0], help='data set'
    )
    pictures = group(
        parser,
        'pictures of your own',
        'prediction on custom images, with --restore; needs no arrays',
    )
    pictures.add_argument(
        '--predict',
        type=not_empty,
        nargs='+',
        metavar='PATH',
        help='input: pictures, folders, videos, quoted patterns; or the number of a camera (until '
        'Ctrl-C), or - for a picture on standard input',
    )
    pictures.add_argument(
        '--torso',
        type=point,
        nargs='+',
        metavar='X,Y',
        help='point prompts: approximate torso centres of the target people, in pixels',
    )
    pictures.add_argument(
        '--boxes',
        type=not_empty,
        metavar='FILE',
        help='boxes of the target people: COCO detections or annotations',
    )
    pictures.add_argument(
        '--overlay', action='store_true', help='also write the heat maps of each picture'
    )
    pictures.add_argument(
        '--frames', action='store_true', help='videos: also write each frame as a picture'
    )
    pictures.add_argument(
        '--no_smoothing', action='store_true', help='videos: do not smooth the joints over time'
    )
    pictures.add_argument(
        '--out', type=not_empty, default='poses', metavar='FOLDER', help='output folder'
    )


def add_training(parser):
    training = group(parser, 'training')
    training.add_argument(
        '--init',
        type=not_empty,
        metavar='CHECKPOINT',
        help='initialise from the weights of a checkpoint that fit by name and shape, the rest at '
        "random; network settings that are not given are the checkpoint's. Also takes a "
        '.npz of pretrained layers (cpm, deeppose)',
    )
    training.add_argument(
        '--n_epochs',
        type=nonnegative_int,
        default=30,
        help='total number of epochs; 0: evaluate the untrained network',
    )
    training.add_argument(
        '--batch_size', type=positive_int, default=14, help='samples per step, over all towers'
    )
    training.add_argument(
        '--optimizer', choices=('adam', 'momentum', 'adagrad'), default='adam', help='optimiser'
    )
    training.add_argument('--lr', type=positive_float, default=0.001, help='initial learning rate')
    training.add_argument(
        '--schedule',
        choices=('steps', 'cosine'),
        default='steps',
        help='learning rate decay: in steps, at the fractions of the training that the publication '
        'has, or cosine to 0',
    )
    training.add_argument(
        '--lr_steps',
        nargs='+',
        type=epoch_and_factor,
        metavar='EPOCH:FACTOR',
        help='other steps: from EPOCH on, the learning rate is FACTOR times the initial one',
    )
    training.add_argument(
        '--warm_up',
        type=nonnegative_int,
        default=0,
        metavar='STEPS',
        help='steps of linear warm-up',
    )
    training.add_argument(
        '--clip_norm',
        type=nonnegative_float,
        default=4.0,
        metavar='NORM',
        help='clip the global norm of the gradient; 0: no clipping',
    )
    training.add_argument('--lmbd', type=nonnegative_float, default=0.001, help='weight decay')
    training.add_argument(
        '--norm_decay',
        type=fraction,
        default=0.9,
        metavar='D',
        help='decay of the moving averages of batch norm',
    )
    training.add_argument(
        '--average_weights',
        type=fraction,
        default=0.0,
        metavar='D',
        help='evaluate with a moving average of the weights, of this decay per step; 0: with the '
        'last weights',
    )
    training.add_argument(
        '--seed',
        type=nonnegative_int,
        default=0,
        help='random seed; one tower on a CPU is deterministic',
    )
    training.add_argument(
        '--train_examples',
        type=positive_int,
        metavar='N',
        help='train on N evenly spread samples only',
    )
    training.add_argument(
        '--save_minutes',
        type=positive_float,
        default=10.0,
        metavar='M',
        help='save a checkpoint every M minutes, as well as after each epoch',
    )
    training.add_argument(
        '--keep',
        type=positive_int,
        default=3,
        metavar='K',
        help='number of newest checkpoints to keep; with --validation, the best one is also kept',
    )


def add_evaluation(parser):
    """Evaluation and places."""
    evaluation = group(parser, 'evaluation')
    evaluation.add_argument(
        '--test_examples',
        type=positive_int,
        metavar='N',
        help='evaluate on N evenly spread samples only',
    )
    evaluation.add_argument(
        '--validation',
        action='store_true',
        help='evaluate on a validation split, a tenth of the training samples, to choose settings',
    )
    evaluation.add_argument(
        '--predictions',
        type=not_empty,
        default='predictions.mat',
        metavar='FILE',
        help='output file: predictions for the test split, read by evaluate.py',
    )
    places = group(parser, 'places')
    places.add_argument(
        '--data',
        type=not_empty,
        metavar='FOLDER',
        help='arrays of data.py (default: those of the restored run, else arrays for FLIC, '
        'arrays_lsp, arrays_mpii or arrays_coco)',
    )
    places.add_argument(
        '--model_path', type=not_empty, default=MODEL_PATH, help='folder of the runs'
    )
    places.add_argument('--run', metavar='NAME', help='name of this run (default: its start time)')
    places.add_argument(
        '--tb_folder', default='tb', help="folder of the TensorBoard summaries; '': none"
    )
    places.add_argument(
        '--tb_details',
        action='store_true',
        help='also write summaries of the weights, gradients and activations of each layer, and of '
        'each joint',
    )
    places.add_argument(
        '--verify', action='store_true', help='verify the full checksums of the arrays first'
    )


def add_machines(parser):
    machines = group(
        parser,
        'several machines',
        'one chief, which trains and evaluates, and workers, which lend it their GPUs; '
        'TF_CONFIG and Slurm steps set the roles, too. gRPC asks for no password: use addresses of a trusted network',
    )
    machines.add_argument(
        '--workers',
        nargs='+',
        type=address,
        metavar='HOST:PORT',
        help='chief: also use the GPUs of these workers, those of their own --gpus',
    )
    machines.add_argument(
        '--chief',
        type=address,
        metavar='HOST:PORT',
        help='chief: its own address (default: the one by which it reaches the first worker, and a '
        'free port)',
    )
    machines.add_argument(
        '--min_workers',
        type=nonnegative_int,
        metavar='N',
        help='chief: continue with N workers if others are lost (default: wait for them)',
    )
    machines.add_argument(
        '--serve',
        nargs='?',
        const='127.0.0.1:2222',
        type=address,
        metavar='HOST:PORT',
        help='worker: lend --gpus to chiefs at this address (no value: 127.0.0.1:2222)',
    )


def address(text):
    """argparse type: HOST:PORT."""
    if not re.fullmatch(r'[^\s:/]+:\d{1,5}', text) or int(text.rpartition(':')[2]) > 65535:
        raise argparse.ArgumentTypeError(f'must be HOST:PORT, got {text!r}')
    try:
        text.rpartition(':')[0].encode('idna')  # which sockets do, too, and raise no OSError
    except UnicodeError as error:
        raise argparse.ArgumentTypeError(f'{text!r}: {error}') from None
    return text


def not_empty(text):
    """argparse type: any text but none."""
    if not text:
        raise argparse.ArgumentTypeError('must not be empty')
    return text


def point(text):
    """argparse type: 'X,Y', two finite numbers."""
    try:
        x, y = map(float, text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'must be X,Y, two numbers, got {text!r}') from None
    if not (math.isfinite(x) and math.isfinite(y)):
        raise argparse.ArgumentTypeError(f'must be X,Y, two finite numbers, got {text!r}')
    return x, y


def epoch_and_factor(text):
    """argparse type: 'EPOCH:FACTOR', two numbers from 0."""
    epoch, separator, factor = text.partition(':')
    if not separator:
        raise argparse.ArgumentTypeError(f'must be EPOCH:FACTOR, got {text!r}')
    return [nonnegative_float(epoch), nonnegative_float(factor)]


def parse(system, systems, arguments=None):
    """Returns (options, names of those given on the command line)."""
    parser = build_parser(system, tuple(systems))
    options, explicit = parse_explicit(parser, arguments)
    try:
        check(options, explicit, system)
        if options.restore is None and (
            options.init is None or import_weights.is_weights_file(options.init)
        ):
            system.check_options(options)
    except ValueError as error:
        parser.error(str(error))
    options.gpus_named = 'gpus' in explicit
    if options.run is None:
        options.run = datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S')
    return options, explicit


def check(options, explicit, system):
    """ValueError says which options do not go together."""
    check_machines(options)
    if options.predict is not None and (options.train or options.restore is None):
        raise ValueError('--predict goes with --restore RUN and without --train')
    if not options.train and options.restore is None and not options.serve:
        raise ValueError('nothing to do: give --train, --restore or both')
    if options.init is not None and (options.restore is not None or not options.train):
        raise ValueError('--init starts a training: it goes with --train and without --restore')
    if options.schedule == 'cosine' and options.lr_steps:
        raise ValueError('--lr_steps goes with --schedule steps')
    if len(set(options.gpus)) < len(options.gpus):
        raise ValueError('--gpus: a GPU is named twice')
    if options.run is not None and (
        not options.run or '/' in options.run or options.run.startswith(('.', '-'))
    ):
        raise ValueError(f'--run must be a plain name, got {options.run!r}')
    if options.run and options.restore is not None:
        raise ValueError('--run goes without --restore: a restored run keeps its name')
    for name in PICTURES_ONLY if options.predict is None else system.WITHOUT_PREDICT:
        if name in explicit:
            raise ValueError(f'--{name} goes with{"out" if options.predict else ""} --predict')


def check_machines(options):
    """What goes with --serve and --workers."""
    if options.serve and (options.train or options.restore is not None or options.workers):
        raise ValueError(
            "--serve goes without --train, --restore and --workers: it serves other machines' runs"
        )
    if options.workers and options.predict is not None:
        raise ValueError('--workers goes without --predict')
    if options.chief and not options.workers:
        raise ValueError('--chief goes with --workers')
    if options.workers and len({*options.workers, options.chief}) <= len(options.workers):
        raise ValueError('--workers: an address is named twice')
    if options.workers and (options.min_workers or 0) > len(options.workers):
        raise ValueError('--min_workers: there are fewer --workers')


def parse_explicit(parser, arguments):
    """Returns (options, names of those that the command line sets, whatever their value)."""
    defaults = vars(parser.parse_args([]))
    unset = argparse.Namespace(**dict.fromkeys(defaults, NOT_GIVEN))
    found = vars(parser.parse_args(arguments, unset))
    given = {name: value for name, value in found.items() if value is not NOT_GIVEN}
    return argparse.Namespace(**{**defaults, **given}), set(given)


def settings_of(options, system):
    """The part of the options that describes the run, for settings.json and checkpoints."""
    return {
        name: value for name, value in vars(options).items() if name not in (*CALL, *system.CALL)
    }


def merge_restored(options, explicit, settings, where, system, systems):
    """Completes the options with a restored run's settings; a contradiction names the option.

    A run of before an option existed had its default.
    """
    parser = build_parser(system, tuple(systems))
    check_settings(settings, where, parser)
    settings = {**settings_of(parser.parse_args([]), system), **settings}
    fixed = (*FIXED, *system.FIXED)
    if options.train:
        fixed += (*FIXED_IN_TRAINING, *system.FIXED_IN_TRAINING)
    for name, stored in settings.items():
        if name in (*CALL, *system.CALL) or not hasattr(options, name):
            continue
        if name in (*TRAINING_ONLY, *system.TRAINING_ONLY) and not options.train:
            continue
        if name not in explicit:
            setattr(options, name, stored)
        elif getattr(options, name) != stored and name in fixed:
            raise InputError(f'--{name} {getattr(options, name)}: the run of {where} has {stored}')
    options.gpus_named |= options.gpus != [0]
    return checked(options, where, system)


def merge_initial(options, explicit, settings, where, system, systems):
    """Of a checkpoint that a training starts from: what shapes the graph and says what the network is given, where the
    command line does not."""
    check_settings(settings, where, build_parser(system, tuple(systems)))
    for name in (*system.FIXED, *system.INPUTS):
        if name in settings and name not in explicit:
            setattr(options, name, settings[name])
    return checked(options, where, system)


def changed_inputs(options, settings, system, systems):
    """{name: what the network was trained with} of the system's INPUTS that are others now."""
    parser = build_parser(system, tuple(systems))
    trained = {name: settings.get(name, parser.get_default(name)) for name in system.INPUTS}
    return {name: value for name, value in trained.items() if value != getattr(options, name)}


def check_settings(settings, where, parser):
    """InputError if a checkpoint's settings hold what the command line could not have given."""
    for action in parser._actions:
        value = settings.get(action.dest, action.default)
        if value != action.default and not is_valid_value(action, value):
            raise InputError(
                f'{where}: state.json is damaged: setting {action.dest} is {value!r:.80}'
            )


def is_valid_value(action, value):
    """Whether a value of JSON is what the words of some command line would be turned into."""
    if action.nargs == 0:  # a flag, or --debug for a --width
        return isinstance(value, bool) or not isinstance(action.const, bool)
    several = action.nargs is not None
    if several and (
        not isinstance(value, list)
        or len(value) != (action.nargs if isinstance(action.nargs, int) else max(1, len(value)))
    ):
        return False
    return all(_is_valid_item(action, item) for item in (value if several else [value]))


def _is_valid_item(action, item):
    try:
        same = (action.type or str)(
            ':'.join(map(str, item)) if isinstance(item, list) else str(item)
        ) == item
    except (ValueError, argparse.ArgumentTypeError):
        return False
    return (
        same and not isinstance(item, bool) and (action.choices is None or item in action.choices)
    )


def resume_command(run, options):
    """What to type to go on with a stopped training, to the same places."""
    parser = argparse.ArgumentParser()
    add_evaluation(parser)
    add_machines(parser)
    words = ['python', 'main.py', '--train', '--restore', run]
    for name in PLACES:
        value = getattr(options, name)
        if value != parser.get_default(name):
            words += [f'--{name}', *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


def checked(options, where, system):
    try:
        system.check_options(options)
    except ValueError as error:
        raise InputError(f'{error} (in the run of {where})') from error
    return options
