"""main.py's command line.  With --restore, options that are not given take the values of the restored run."""
import argparse
import datetime
import math

from arrays import InputError, natural_float, natural_int, positive_float, positive_int

FULL_WIDTH, DEBUG_WIDTH = 64, 16         # channels of the first layers
# A change of one of these is a change of the graph or of its data: not allowed when restoring.
FIXED = ('width', 'use_sm', 'no_batch_norm', 'loss', 'self_connections')
FIXED_IN_TRAINING = (*FIXED, 'optimizer', 'seed', 'batch_size', 'data_augm', 'train_examples', 'test_examples',
                     'validation', 'decode', 'priors', 'no_auxiliary_loss')
# Options that describe a call, not a run: never taken over; and those that are only when training goes on.
CALL = ('train', 'restore', 'predict', 'torso', 'overlay', 'out', 'infer_torso', 'model_path', 'tb_folder', 'run',
        'data', 'predictions', 'verify')
PICTURES_ONLY = ('torso', 'overlay', 'out')
TRAINING_ONLY = ('gpus', 'test_examples', 'validation', 'decode', 'batch_size')


def build_parser():
    parser = argparse.ArgumentParser(
        prog='main.py', formatter_class=HelpFormatter,
        description='Trains and evaluates the part detector and the spatial model (Tompson et al. 2014). '
                    'Say --train, --restore or both; with --restore, options not given are those of that run. '
                    'With --restore and --predict: joints on pictures of your own.')
    what = parser.add_argument_group('what to do')
    what.add_argument('--train', action='store_true', help='train; without it, evaluate only')
    what.add_argument('--restore', nargs='?', const='', default=None, metavar='RUN',
                      help='go on from a checkpoint: a path or a run\'s name; no value: the newest of --model_path')
    what.add_argument('--gpus', nargs='+', type=natural_int, default=[0], metavar='GPU',
                      help='one tower for each; a GPU that is absent: its tower runs on the CPU')
    pictures = parser.add_argument_group('pictures of your own', 'with --restore; no arrays are needed')
    pictures.add_argument('--predict', type=not_empty, metavar='PATH',
                          help='picture, folder of pictures or video whose joints to find')
    pictures.add_argument('--torso', type=point, metavar='X,Y',
                          help='middle of the torso of the person meant, in pixels; without it, it is inferred')
    pictures.add_argument('--overlay', action='store_true', help='also write each picture\'s heat maps')
    pictures.add_argument('--out', type=not_empty, default='poses', metavar='FOLDER', help='where they are written')
    network = parser.add_argument_group('network')
    network.add_argument('--width', type=positive_int, default=FULL_WIDTH, metavar='CHANNELS',
                         help='channels of the first layers; the others follow in proportion')
    network.add_argument('--debug', dest='width', action='store_const', const=DEBUG_WIDTH,
                         default=argparse.SUPPRESS, help='a quarter of the width, --width 16: for laptops')
    network.add_argument('--use_sm', action='store_true', help='add the spatial model and train both jointly')
    network.add_argument('--priors', choices=('exact', 'reference', 'uniform'), default='exact',
                         help='how the spatial model\'s priors start from the histograms')
    network.add_argument('--conv', choices=('auto', 'direct', 'fft'), default='auto',
                         help='how convolutions are computed: the same function at other speed')
    training = parser.add_argument_group('training')
    training.add_argument('--data_augm', action='store_true', help='augment the training data')
    training.add_argument('--n_epochs', type=natural_int, default=30,
                          help='epochs in all; 0: evaluate the untrained network')
    training.add_argument('--batch_size', type=positive_int, default=14, help='samples a step, over all towers')
    training.add_argument('--optimizer', choices=('adam', 'momentum'), default='adam', help='optimiser')
    training.add_argument('--lr', type=positive_float, default=0.001, help='learning rate at the start')
    training.add_argument('--lmbd', type=natural_float, default=0.001, help='weight decay')
    training.add_argument('--seed', type=natural_int, default=0, help='equal seeds, equal runs')
    training.add_argument('--train_examples', type=positive_int, metavar='N', help='only N people, evenly spread')
    training.add_argument('--save_minutes', type=positive_float, default=10.0, metavar='M',
                          help='checkpoint every M minutes, beside that of each epoch')
    training.add_argument('--keep', type=positive_int, default=3, metavar='K',
                          help='newest checkpoints to keep, beside the best')
    evaluation = parser.add_argument_group('evaluation')
    evaluation.add_argument('--test_examples', type=positive_int, metavar='N', help='only N people, evenly spread')
    evaluation.add_argument('--validation', action='store_true',
                            help='hold out a tenth of the training people and evaluate on them: for choosing settings')
    evaluation.add_argument('--decode', choices=('subcell', 'argmax'), default='subcell',
                            help='joint = interpolated peak of its heat map, or centre of the highest cell')
    evaluation.add_argument('--infer_torso', action='store_true',
                            help='the spatial model is not given the torso that is annotated, but the one inferred')
    evaluation.add_argument('--predictions', type=not_empty, default='predictions.mat', metavar='FILE',
                            help='where they are written')
    evaluation.add_argument('--scales', choices=('multi', 'single'), default='multi',
                            help='zooms of a frame whose maps are averaged for the predictions: eight, or one')
    ablations = parser.add_argument_group('ablations', 'what the method is without one of its parts')
    ablations.add_argument('--no_batch_norm', action='store_true', help='leave the part detector\'s batch norms out')
    ablations.add_argument('--loss', choices=('cross_entropy', 'squared'), default='cross_entropy',
                           help='squared: distance to the target maps, as in the paper')
    ablations.add_argument('--no_auxiliary_loss', action='store_true', help='train on the spatial model\'s loss alone')
    ablations.add_argument('--self_connections', action='store_true', help='priors of joints on themselves, too')
    places = parser.add_argument_group('places')
    places.add_argument('--data', type=not_empty, default='arrays', help='folder of data.py and pairwise_distr.py')
    places.add_argument('--model_path', type=not_empty, default='models_ex', help='folder of all runs')
    places.add_argument('--run', metavar='NAME', help='name of this run (default: its time of start)')
    places.add_argument('--tb_folder', default='tb', help='folder of the TensorBoard summaries; \'\': none')
    places.add_argument('--verify', action='store_true', help='compare the arrays\' full checksums first')
    return parser


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
        raise argparse.ArgumentTypeError(f'{text!r} is not X,Y') from None
    if not (math.isfinite(x) and math.isfinite(y)):
        raise argparse.ArgumentTypeError(f'{text} is out of range')
    return x, y


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Says the default where there is one."""

    def _get_help_string(self, action):
        return action.help if action.default in (None, False, '') else super()._get_help_string(action)


def parse(arguments=None):
    """Returns (options, names of those given on the command line)."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.predict is not None and (options.train or options.restore is None):
        parser.error('--predict goes with --restore RUN and without --train')
    if not options.train and options.restore is None:
        parser.error('nothing to do: say --train, --restore or both')
    if not options.use_sm and options.restore is None and (options.no_auxiliary_loss or options.self_connections
                                                           or options.infer_torso):
        parser.error('--no_auxiliary_loss, --self_connections and --infer_torso go with --use_sm')
    if len(set(options.gpus)) < len(options.gpus):
        parser.error('argument --gpus: a GPU is named twice')
    if options.run is not None and (not options.run or '/' in options.run or options.run.startswith(('.', '-'))):
        parser.error('argument --run: not a plain name')
    if options.run and options.restore is not None:
        parser.error('argument --run: a restored run keeps its name')
    if options.run is None:
        options.run = datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S')
    explicit = given(parser, arguments)
    for name in (PICTURES_ONLY if options.predict is None else ('infer_torso',)):
        if name in explicit:
            parser.error(f'argument --{name}: goes with{"out" if options.predict else ""} --predict')
    return options, explicit


def given(parser, arguments):
    """Names of the options that the command line sets, whatever their value."""
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    return set(vars(parser.parse_args(arguments)))


def settings_of(options):
    """The part of the options that describes the run, for settings.json and checkpoints."""
    return {name: value for name, value in vars(options).items() if name not in CALL}


def take_over(options, explicit, settings, where):
    """Completes the options with a restored run's settings; a contradiction names the option."""
    for name, stored in settings.items():
        if name in CALL or not hasattr(options, name) or (name in TRAINING_ONLY and not options.train):
            continue
        value = getattr(options, name)
        if name not in explicit:
            setattr(options, name, stored)
        elif value != stored and name in (FIXED_IN_TRAINING if options.train else FIXED):
            raise InputError(f'--{name} {value}: the run of {where} has {stored}')
    if options.infer_torso and not options.use_sm:
        raise InputError(f'--infer_torso: the run of {where} has no spatial model, which alone is given a torso')
    return options
