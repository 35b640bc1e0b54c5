"""Systems: pose estimators under one roof, one module each, found by its name (`--system tompson`: systems/tompson).

The trainer, towers, checkpoints, summaries, own pictures and the export know a system by what its module provides:

    DATASETS        names of the data sets that it knows (datasets/__init__.py); the first is the default
    MOST_PEOPLE     None: a sample is one person of a picture.  P: it is a picture and up to P of its people; what
                    below is [k, 2] of joints is then [P, k, 2], and all else of a person, too, begins with that axis
    OUTPUTS         {name: title} of what it finds joints in, the last that a network has is its answer
    SCORE           what a joint's score is, in words
    GIVEN           names of those targets that the network gets as inputs, too
    DEFAULTS        {option of the trainer: its default for this system, where it is another}
    SCHEDULE        ((share of all updates, factor), ...): from there on the learning rate is its start times that
    FIXED           settings that shape the graph: a restored run keeps them
    FIXED_IN_TRAINING   settings that only a training going on must keep
    INPUTS          those of them that say what the network is given beside the picture: --init takes them over, too,
                    and an evaluation that changes one says so
    TRAINING_ONLY   settings that --restore takes over when training goes on, not when evaluating
    CALL            options that describe a call, not a run
    WITHOUT_PREDICT options that --predict does not take

    add_options(parser), check_options(options)         its flags; ValueError says which contradict each other
    input_size(options)                                 (height, width) of its input pictures, pixels
    n_points(options)                                   points of a person in the arrays: len(POINTS) of the data set
    takes_anchor(options)                               whether a point may say who is meant
    about(options)                                      how joints are found, for the head of a result

Of the people of the arrays, before any sample is made:

    prepare(split, options) -> arrays.Split             with the points that this run's network is given

Of samples, in NumPy, on loader threads; image: a whole picture, uint8 [h, w, 3] RGB of any size; person: a crops.Person
in it, of whom joints and visibility are not to be looked at in evaluation but to be passed on; each returned is a
crops.Sample of input_size, with the way back to the picture (vision/crops.py has what makes one):

    training_sample(image, person, options, rng) -> Sample                     augmented
    test_sample(image, person, options) -> Sample                              nothing random
    views(image, person, options) -> [Sample]                                  whose outputs the evaluation averages,
    n_views(options)                                                           so many; `to_image` of the first is that of
                                                                               what `combine` makes of them all
    encode(joints_xy [n, k, 2], visible [n, k], options)                       targets; what is 0 in `visible` has no
        -> {name: float32 [n, ...]}                                            label: a mask may be a target, too
    given(joints_xy, options) -> {name: float32}                               those of them that the network asks for
    targets(options) -> {name: shape of one}

Of the graph:

    build(images, targets, options, training, portable=False, tower=0, n=None)             portable: for export.py
        -> Network                                                             n: samples a tower gets in training
    losses(network, targets, options) -> {output: [b]}                         each sample's
    objective({output: []}, options) -> []                                     what is minimised, of the means
    trained(name, options) -> whether training changes the variable of this name
    decays(options) -> {last part of a variable's name: rate of its weight decay}
    learning_rates(options) -> {beginning of variables' names: (factor of their learning rate, how many updates they
                                stay as they are)}
    start(options, people, manifest) -> {variable: array}                      where variables start, if not by the seed
    foreign({layer: (weights, bias)}) -> {variable: array}                     what it takes of another program's file
                                                                               (nn/import_weights.py), {}: nothing
    combine(output [n * views, ...], options) -> [n, ...]

Of results, in NumPy again:

    predictor(session, evaluation, options) -> run
        run(feed=None, given=True) -> ({name: output [n, ...]} of the next batch or of the one fed, points [n, 2] or
        None, back [n, 2, 3] from what `decode` finds, and these points, to the picture)
        given: the batch's points say who is meant (takes_anchor; any of a person's points may be that); else they are
        inferred and returned.  towers.predictor is one of a system that infers nothing
    seeker(session, evaluation, options) -> seek                               of a system that takes_anchor
        seek(image uint8 [h, w, 3], points_xy=None, boxes=None, before=None) -> [Sought, ...] of everybody in a picture,
        of those whose anchors are near these points [2], or of those in these boxes (x, y, width, height), pixels of
        it; before: Soughts of a video's picture before: nobody else is looked for, and they only where they were
    decode(output [n, ...], options) -> [[Pose, ...], ...]                     people of each sample: one, or, with
                                                                               MOST_PEOPLE, those found, best first
    meter(options, names, sums=None) -> Meter                                  losses and rates of an epoch;
                                                                               meter.of_joints is most systems'
    portable(network) -> {name: tensor}                                        outputs of an exported model; where
                                                                               one person is found, `joints` [n, k, 2]
    maps(targets, outputs) -> {name: [n, h, w, m]}                             those of both that are maps, for pictures
                                                                               of them; {}: none
    pictures({tag: array}) -> (tag, image), ...                                for TensorBoard, behind main/;
                                                                               more/...: with --tb_details
"""

import argparse
import collections
import importlib
import pkgutil

import numpy as np

from jointpose import datasets
from jointpose.utils.cli import nonnegative_float, positive_float, positive_int

# outputs {name: [b, ...]}.  layers {name: activation}.  statistics {moving average: this batch's value}.
# parts: whatever else the system's own functions need.
Network = collections.namedtuple('Network', 'outputs layers statistics parts')
# One person found in a picture.  output [1, ...]: the answer for `decode`; anchor_xy [2]: in decode's pixels; back
# [2, 3]: from these to the picture's; score: how sure it is that somebody is there, 0..1; seen: what else the system
# wants to know of them in a video's next picture.
Sought = collections.namedtuple('Sought', 'output anchor_xy back score seen')


# --- what most systems have in common: they import it -------------------------------------------------------------


def add_width(group, full, small, channels):
    """--width, and --debug, which makes it small.  channels: whose channels it is, for the help."""
    group.add_argument(
        '--width',
        type=positive_int,
        default=full,
        metavar='CHANNELS',
        help=f'{channels}; the other layers are in proportion',
    )
    group.add_argument(
        '--debug',
        dest='width',
        action='store_const',
        const=small,
        default=argparse.SUPPRESS,
        help=f'short for --width {small}, for laptops',
    )


def add_augmentation(parser, what):
    """--data_augm, --rotation and --zoom.  what: what the publication does, for the help."""
    augmented = parser.add_argument_group('augmentation')
    augmented.add_argument(
        '--data_augm', action='store_true', help=f'augment the training data: {what}'
    )
    augmented.add_argument(
        '--rotation',
        type=nonnegative_float,
        metavar='DEGREES',
        help='rotate by up to +-DEGREES (default: as the publication)',
    )
    augmented.add_argument(
        '--zoom',
        nargs=2,
        type=positive_float,
        metavar=('LOW', 'HIGH'),
        help='scale by a factor in this range, log-uniform (default: as the publication)',
    )


def turn_and_zoom(rng, options, degrees, zoom):
    """Drawn degrees and factor: within --rotation and --zoom where these are said, else those given."""
    if options.rotation is not None:
        degrees = rng.uniform(-options.rotation, options.rotation)
    if options.zoom is not None:
        zoom = np.exp(rng.uniform(*np.log(options.zoom)))
    return degrees, zoom


def joints_of(options):
    """Names of the joints that are predicted."""
    return datasets.load(options.dataset).JOINTS


def flip_of(options):
    """In a mirrored picture joint i is where joint flip[i] was."""
    return datasets.load(options.dataset).FLIP[: len(joints_of(options))]


def n_points(options):
    return len(datasets.load(options.dataset).POINTS)


def check_options(options):
    """Nothing contradicts anything else."""
    if not options.data_augm and (options.rotation, options.zoom) != (None, None):
        raise ValueError('--rotation, --zoom go with --data_augm')
    check_zoom(options)


def check_zoom(options):
    if options.zoom is not None and options.zoom[0] > options.zoom[1]:
        raise ValueError('--zoom: LOW is above HIGH')


def takes_anchor(options):
    """No: the crop says who is meant, or everybody is."""
    return False


def prepare(split, options):
    """As they are in the arrays."""
    return split


def given(joints_xy, options):
    """Nothing but the picture."""
    return {}


def trained(name, options):
    """Everything is."""
    return True


def decays(options):
    """Of convolutions and matrices, not of biases or batch norm."""
    return {'weights': options.lmbd}


def learning_rates(options):
    """All variables learn alike."""
    return {}


def start(options, people, manifest):
    """By the seed."""
    return {}


def foreign(weights):
    """Nothing."""
    return {}


# --- which there are ----------------------------------------------------------------------------------------------


def names():
    """The systems there are."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name):
    """The system's module."""
    return importlib.import_module(f'jointpose.systems.{name}')
