"""Systems: pose estimators under one roof, one module each, found by its name (`--system tompson`: systems/tompson.py).

The trainer, towers, checkpoints, summaries, own pictures and the export know a system by what its module provides:

    DATASETS        names of the data sets that it knows; the first is the default
    INPUT           (height, width) of its input pictures, pixels
    N_POINTS        points of a person in the arrays
    OUTPUTS         {name: title} of what it finds joints in, the last that a network has is its answer
    SCORE           what a joint's score is, in words
    GIVEN           names of those targets that the network gets as inputs, too
    DEFAULTS        {option of the trainer: its default for this system, where it is another}
    SCHEDULE        ((share of all updates, factor), ...): from there on the learning rate is its start times that
    FIXED           settings that shape the graph: a restored run keeps them
    FIXED_IN_TRAINING   settings that only a training going on must keep
    TRAINING_ONLY   settings that --restore takes over when training goes on, not when evaluating
    CALL            options that describe a call, not a run
    WITHOUT_PREDICT those of them that --predict does not take

    add_options(parser), check_options(options)         its flags; ValueError says which contradict each other
    takes_anchor(options)                               whether a point may say who is meant
    about(options)                                      how joints are found, for the head of a result

Of samples, in NumPy, on loader threads; image uint8 [h, w, 3] RGB, joints_xy float32 [k, 2] pixels of it:

    training_sample(image, joints_xy, options, rng) -> (image, joints_xy)      augmented
    test_sample(image, joints_xy, options) -> (image, joints_xy)               nothing random
    views(image, joints_xy, options) -> [(image, joints_xy)]                   whose outputs the evaluation averages,
    n_views(options)                                                           so many
    encode(joints_xy [n, k, 2], options) -> {name: float32 [n, ...]}           targets
    targets(options) -> {name: shape of one}

Of the graph:

    build(images, targets, options, training, portable=False, tower=0) -> Network          portable: for export.py
    losses(network, targets, options) -> {output: [b]}                         each sample's
    objective({output: []}, options) -> []                                     what is minimised, of the means
    trained(name, options) -> whether training changes the variable of this name
    decays(options) -> {last part of a variable's name: rate of its weight decay}
    learning_rates(options) -> {beginning of variables' names: (factor of their learning rate, how many updates they
                                stay as they are)}
    start(options, people, manifest) -> {variable: array}                      where variables start, if not by the seed
    combine(output [n * views, ...], options) -> [n, ...]

Of results, in NumPy again:

    predictor(session, evaluation, options) -> run
        run(feed=None, given=True) -> (outputs [n, ...] of the next batch or of the one fed, points [n, 2] or None)
        given: the batch's points say who is meant (takes_anchor; any of a person's points may be that); else they are
        inferred and returned
    decode(output [n, ...], options) -> [[Pose, ...], ...]                     people of each picture; callers so far
                                                                               take the first, and there must be one
    meter(options, names, sums=None) -> Meter                                  losses and rates of an epoch
    portable(network) -> {name: tensor}                                        outputs of an exported model
    maps(targets) -> {name: [n, h, w, k]}; pictures({tag: array}) -> (tag, image), ...         for TensorBoard
"""
import collections
import importlib
import pkgutil

# outputs {name: [b, ...]}.  layers {name: activation}.  statistics {moving average: this batch's value}.
# parts: whatever else the system's own functions need.
Network = collections.namedtuple('Network', 'outputs layers statistics parts')
# One person in one picture.  joints_xy float32 [k, 2] pixels; scores [k], 0..1, one a joint.
Pose = collections.namedtuple('Pose', 'joints_xy scores')


def names():
    """The systems there are."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name):
    """The system's module."""
    return importlib.import_module(f'systems.{name}')
