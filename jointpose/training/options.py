"""main.py's command line.  With --restore, options that are not given take the values of the restored run."""

import argparse
import datetime
import functools
import math
import re
import shlex

from jointpose.nn import import_weights
from jointpose.training.scopes import add, by_predict, group, repeated_options, scopes_of
from jointpose.utils.cli import (
    Parser,
    fraction,
    nonnegative_float,
    nonnegative_int,
    positive_float,
    positive_int,
)
from jointpose.utils.errors import InputError

DEFAULT_SYSTEM, MODEL_PATH = 'tompson', 'models_ex'
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

    system: the System class whose options are added; systems: names of all, a tuple.
    """
    parser = Parser(prog='main.py', description=DESCRIPTION)
    add_calls(parser, system, systems)
    system.add_options(parser)
    add_training(parser)
    add_evaluation(parser)
    add_machines(parser)
    parser.set_defaults(**system.DEFAULTS)
    return parser


def add_calls(parser, system, systems):
    """What to do, and --predict."""
    what = group(parser, 'what to do')
    add(
        what,
        '--train',
        action='store_true',
        scope='call',
        help='train, then evaluate; without it, evaluate only',
    )
    add(
        what,
        '--restore',
        nargs='?',
        const='',
        default=None,
        metavar='RUN',
        scope='call',
        help="resume (with --train) or evaluate a checkpoint: a path or a run's name; no value: "
        'the newest in --model_path',
    )
    add(
        what,
        '--gpus',
        nargs='+',
        type=nonnegative_int,
        default=[0],
        metavar='GPU',
        scope='devices',
        help='one tower per GPU; the tower of an absent GPU runs on the CPU',
    )
    add(
        what,
        '--variables',
        choices=('auto', 'cpu', 'gpu'),
        default='auto',
        scope='devices',
        help='where the variables of several towers lie: on the first GPU or on the CPU; auto: on the '
        'first GPU if all towers have one, which halves the bytes that two GPUs send per step',
    )
    add(
        what,
        '--no_tf32',
        action='store_true',
        scope='devices',
        help="compute in full float32 on GPUs of NVIDIA's Ampere generation and later, which otherwise "
        'round the factors of products to TF32 (10 bits), and are faster',
    )
    add(
        what,
        '--system',
        choices=systems,
        default=system.name(),
        scope='run',
        help='pose estimator; --system NAME --help lists its options',
    )
    add(
        what,
        '--dataset',
        choices=system.DATASETS,
        default=system.DATASETS[0],
        scope='run',
        help='data set',
    )
    pictures = group(
        parser,
        'pictures of your own',
        'prediction on custom images, with --restore; needs no arrays',
    )
    add(
        pictures,
        '--predict',
        type=not_empty,
        nargs='+',
        metavar='PATH',
        scope='call',
        help='input: pictures, folders, videos, quoted patterns; or the number of a camera (until '
        'Ctrl-C), or - for a picture on standard input',
    )
    add(
        pictures,
        '--torso',
        type=point,
        nargs='+',
        metavar='X,Y',
        scope='call',
        predict=True,
        help='point prompts: approximate torso centres of the target people, in pixels',
    )
    add(
        pictures,
        '--boxes',
        type=not_empty,
        metavar='FILE',
        scope='call',
        predict=True,
        help='boxes of the target people: COCO detections or annotations',
    )
    add(
        pictures,
        '--overlay',
        action='store_true',
        scope='call',
        predict=True,
        help='also write the heat maps of each picture',
    )
    add(
        pictures,
        '--frames',
        action='store_true',
        scope='call',
        predict=True,
        help='videos: also write each frame as a picture',
    )
    add(
        pictures,
        '--no_smoothing',
        action='store_true',
        scope='call',
        predict=True,
        help='videos: do not smooth the joints over time',
    )
    add(
        pictures,
        '--out',
        type=not_empty,
        default='poses',
        metavar='FOLDER',
        scope='call',
        predict=True,
        help='output folder',
    )


def add_training(parser):
    training = group(parser, 'training')
    add(
        training,
        '--init',
        type=not_empty,
        metavar='CHECKPOINT',
        help='initialise from the weights of a checkpoint that fit by name and shape, the rest at '
        "random; network settings that are not given are the checkpoint's. Also takes a "
        '.npz of pretrained layers (cpm, deeppose) or a published .pth (hrnet)',
    )
    add(
        training,
        '--n_epochs',
        type=nonnegative_int,
        default=30,
        help='total number of epochs; 0: evaluate the untrained network',
    )
    add(
        training,
        '--batch_size',
        type=positive_int,
        default=14,
        scope='training_only',
        help='samples per step, over all towers',
    )
    add(
        training,
        '--optimizer',
        choices=('adam', 'momentum', 'adagrad'),
        default='adam',
        scope='training',
        help='optimiser',
    )
    add(training, '--lr', type=positive_float, default=0.001, help='initial learning rate')
    add(
        training,
        '--schedule',
        choices=('steps', 'cosine'),
        default='steps',
        scope='training',
        help='learning rate decay: in steps, at the fractions of the training that the publication '
        'has, or cosine to 0',
    )
    add(
        training,
        '--lr_steps',
        nargs='+',
        type=epoch_and_factor,
        metavar='EPOCH:FACTOR',
        scope='training',
        help='other steps: from EPOCH on, the learning rate is FACTOR times the initial one',
    )
    add(
        training,
        '--warm_up',
        type=nonnegative_int,
        default=0,
        metavar='STEPS',
        scope='training',
        help='steps of linear warm-up',
    )
    add(
        training,
        '--clip_norm',
        type=nonnegative_float,
        default=4.0,
        metavar='NORM',
        scope='training',
        help='clip the global norm of the gradient; 0: no clipping',
    )
    add(training, '--lmbd', type=nonnegative_float, default=0.001, help='weight decay')
    add(
        training,
        '--norm_decay',
        type=fraction,
        default=0.9,
        metavar='D',
        scope='training',
        help='decay of the moving averages of batch norm',
    )
    add(
        training,
        '--average_weights',
        type=fraction,
        default=0.0,
        metavar='D',
        scope='training',
        help='evaluate with a moving average of the weights, of this decay per step; 0: with the '
        'last weights',
    )
    add(
        training,
        '--seed',
        type=nonnegative_int,
        default=0,
        scope='training',
        help='random seed; one tower on a CPU is deterministic',
    )
    add(
        training,
        '--train_examples',
        type=positive_int,
        metavar='N',
        scope='training',
        help='train on N evenly spread samples only',
    )
    add(
        training,
        '--save_minutes',
        type=positive_float,
        default=10.0,
        metavar='M',
        help='save a checkpoint every M minutes, as well as after each epoch',
    )
    add(
        training,
        '--keep',
        type=positive_int,
        default=3,
        metavar='K',
        help='number of newest checkpoints to keep; with --validation, the best one is also kept',
    )


def add_evaluation(parser):
    """Evaluation and places."""
    evaluation = group(parser, 'evaluation')
    add(
        evaluation,
        '--test_examples',
        type=positive_int,
        metavar='N',
        scope='training_only',
        help='evaluate on N evenly spread samples only',
    )
    add(
        evaluation,
        '--validation',
        action='store_true',
        scope='training_only',
        help='evaluate on a validation split, a tenth of the training samples, to choose settings',
    )
    add(
        evaluation,
        '--predictions',
        type=not_empty,
        default='predictions.mat',
        metavar='FILE',
        scope='call',
        repeated=True,
        help='output file: predictions for the test split, read by evaluate.py',
    )
    places = group(parser, 'places')
    add(
        places,
        '--data',
        type=not_empty,
        metavar='FOLDER',
        help='arrays of data.py (default: those of the restored run, else arrays for FLIC, '
        'arrays_lsp, arrays_mpii or arrays_coco)',
    )
    add(
        places,
        '--model_path',
        type=not_empty,
        default=MODEL_PATH,
        scope='call',
        repeated=True,
        help='folder of the runs',
    )
    add(
        places,
        '--run',
        metavar='NAME',
        scope='call',
        help='name of this run (default: its start time)',
    )
    add(
        places,
        '--tb_folder',
        default='tb',
        scope='call',
        repeated=True,
        help="folder of the TensorBoard summaries; '': none",
    )
    add(
        places,
        '--tb_details',
        action='store_true',
        help='also write summaries of the weights, gradients and activations of each layer, and of '
        'each joint',
    )
    add(
        places,
        '--verify',
        action='store_true',
        scope='call',
        help='verify the full checksums of the arrays first',
    )


def add_machines(parser):
    machines = group(
        parser,
        'several machines',
        'one chief, which trains and evaluates, and workers, which lend it their GPUs; '
        'TF_CONFIG and Slurm steps set the roles, too. gRPC asks for no password: use addresses of a trusted network',
    )
    add(
        machines,
        '--workers',
        nargs='+',
        type=address,
        metavar='HOST:PORT',
        scope='call',
        repeated=True,
        help='chief: also use the GPUs of these workers, those of their own --gpus',
    )
    add(
        machines,
        '--chief',
        type=address,
        metavar='HOST:PORT',
        scope='call',
        repeated=True,
        help='chief: its own address (default: the one by which it reaches the first worker, and a '
        'free port)',
    )
    add(
        machines,
        '--min_workers',
        type=nonnegative_int,
        metavar='N',
        scope='call',
        repeated=True,
        help='chief: continue with N workers if others are lost (default: wait for them)',
    )
    add(
        machines,
        '--serve',
        nargs='?',
        const='127.0.0.1:2222',
        type=address,
        metavar='HOST:PORT',
        scope='call',
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
        check(options, explicit, parser)
        if options.restore is None and (
            options.init is None or import_weights.is_weights_file(options.init)
        ):
            system(options).check_options()
    except ValueError as error:
        parser.error(str(error))
    options.gpus_named = 'gpus' in explicit
    if options.run is None:
        options.run = datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S')
    return options, explicit


def check(options, explicit, parser):
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
    for name in by_predict(parser, needed=options.predict is None):
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
    """The options that describe the run, for settings.json and checkpoints: {name: value}."""
    scopes = scopes_of(build_parser(system, ()))
    return {
        name: value
        for name, value in vars(options).items()
        if name in scopes and scopes[name].stored
    }


def merge_restored(options, explicit, settings, where, system, systems):
    """Completes the options with a restored run's settings; a contradiction names the option.

    A run of before an option existed had its default.
    """
    parser = build_parser(system, tuple(systems))
    check_settings(settings, where, parser)
    defaults = parser.parse_args([])
    for name, scope in scopes_of(parser).items():
        if not scope.stored or not (scope.in_evaluation or options.train):
            continue
        stored = settings.get(name, getattr(defaults, name))
        fixed = scope.fixed or (scope.fixed_in_training and options.train)
        if name not in explicit:
            setattr(options, name, stored)
        elif getattr(options, name) != stored and fixed:
            raise InputError(f'--{name} {getattr(options, name)}: the run of {where} has {stored}')
    options.gpus_named |= options.gpus != [0]
    return checked(options, where, system)


def merge_initial(options, explicit, settings, where, system, systems):
    """Completes the options of --init with the checkpoint's settings of the network and its inputs."""
    parser = build_parser(system, tuple(systems))
    check_settings(settings, where, parser)
    for name, scope in scopes_of(parser).items():
        if scope.inherited and name in settings and name not in explicit:
            setattr(options, name, settings[name])
    return checked(options, where, system)


def changed_inputs(options, settings, system, systems):
    """{name: value in training} of the options of the scope "input" that differ now."""
    parser = build_parser(system, tuple(systems))
    changed = {}
    for name, scope in scopes_of(parser).items():
        trained = settings.get(name, parser.get_default(name))
        if scope.reported and trained != getattr(options, name):
            changed[name] = trained
    return changed


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
    for name in repeated_options(parser):
        value = getattr(options, name)
        if value != parser.get_default(name):
            words += [f'--{name}', *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


def checked(options, where, system):
    try:
        system(options).check_options()
    except ValueError as error:
        raise InputError(f'{error} (in the run of {where})') from error
    return options
