"""The options of Tompson's system, and which of them contradict each other."""

import argparse

from jointpose import model
from jointpose.datasets.person_frames import ANCHOR_NAMES, PersonFrame
from jointpose.options.scopes import add, group
from jointpose.systems.tompson import people_search
from jointpose.training.devices import computes_bfloat16
from jointpose.utils.cli import (
    finite_float,
    fraction,
    nonnegative_float,
    nonnegative_int,
    positive_float,
)
from jointpose.vision import augmentation

NEED_SPATIAL_MODEL = (
    'no_auxiliary_loss',
    'self_connections',
    'infer_torso',
    'energy_decay',
    'train_only',
)


def add_network(parser: argparse.ArgumentParser) -> None:
    network = group(parser, 'network')
    add(
        network,
        '--use_sm',
        action='store_true',
        scope='network',
        help='add the spatial model and train both jointly',
    )
    add(
        network,
        '--priors',
        choices=('exact', 'reference', 'uniform'),
        default='exact',
        scope='training',
        help='how the priors of the spatial model are initialised from the histograms',
    )
    add(
        network,
        '--torso_from',
        choices=tuple(ANCHOR_NAMES),
        default='joints',
        scope='input',
        predict=False,
        help='what the spatial model is given of the target person, in training and evaluation: '
        "joints: the mean of the annotated shoulders and hips; torsobox: the centre of FLIC's "
        "torsobox, a detection; box: the centre of the person's box (the default of data sets "
        "other than FLIC); none: nothing. An evaluation may override the run's",
    )
    add(
        network,
        '--conv',
        choices=('auto', 'direct', 'fft'),
        default='auto',
        help='how convolutions are computed: affects the speed only',
    )


def add_training(parser: argparse.ArgumentParser) -> None:
    training = group(parser, 'training')
    add(
        training,
        '--train_only',
        choices=('detector', 'spatial'),
        scope='training',
        help="train this part and freeze the other at the weights of --init: the paper's stages "
        'before joint training',
    )
    add(
        training,
        '--targets',
        choices=('cell', 'subcell'),
        default='cell',
        scope='training',
        help='centre the target heat maps on the cell of the joint, or on the joint itself',
    )
    add(
        training,
        '--spatial_dropout',
        type=fraction,
        default=0.0,
        metavar='P',
        scope='training',
        help='fraction of the feature maps dropped before conv5',
    )
    add(
        training,
        '--energy_decay',
        type=nonnegative_float,
        default=0.0,
        metavar='LMBD',
        scope='training',
        help='weight decay of the energies and biases of the spatial model, towards uniform priors',
    )
    add(
        training,
        '--precision',
        choices=('float32', 'bfloat16'),
        default='float32',
        scope='training',
        help='compute type of the part detector in training; bfloat16 is faster on processors that '
        'support it; weights and evaluation are always float32',
    )


def add_evaluation(parser: argparse.ArgumentParser) -> None:
    """How joints are found."""
    evaluation = group(parser, 'evaluation')
    add(
        evaluation,
        '--scales',
        choices=('multi', 'single'),
        default='multi',
        help='test scales whose maps are averaged: eight, or one',
    )
    add(
        evaluation,
        '--flip_average',
        action='store_true',
        scope='call',
        help='flip test: average with the mirrored frame',
    )
    add(
        evaluation,
        '--decode',
        choices=('subcell', 'argmax'),
        default='subcell',
        scope='training_only',
        help='interpolate the peak of the heat map, or take the centre of the highest cell',
    )
    add(
        evaluation,
        '--infer_torso',
        action='store_true',
        scope='call',
        predict=False,
        help='use the inferred instead of the ground-truth torso',
    )


def add_people_search(parser: argparse.ArgumentParser) -> None:
    """How people are found in custom images."""
    pictures = group(parser, 'custom images')
    add(
        pictures,
        '--threshold',
        type=fraction,
        default=0.5,
        metavar='P',
        scope='call',
        help='min score of a person; those of --torso and --boxes are marked below it',
    )
    add(
        pictures,
        '--zooms',
        nargs='+',
        type=pyramid_zoom,
        default=list(people_search.ZOOMS),
        metavar='Z',
        scope='call',
        help='image pyramid for the people search: scales relative to the picture fitted to '
        '720x480; larger levels are tiled',
    )
    add(
        pictures,
        '--certainty',
        nargs=2,
        type=finite_float,
        metavar=('EVEN', 'STEEPNESS'),
        help='score calibration: midpoint and slope of the logistic curve that maps the torso '
        'score to 0..1, as fitted by python -m tools.certainty (default: that of '
        'pretrained/flic)',
    )


def pyramid_zoom(text: str) -> float:
    """argparse type: a number > 0, up to people_search.MAX_ZOOM."""
    value = positive_float(text)
    if value > people_search.MAX_ZOOM:
        raise argparse.ArgumentTypeError(f'must be <= {people_search.MAX_ZOOM}, got {text}')
    return value


def add_augmentation(parser: argparse.ArgumentParser) -> None:
    augmented = group(parser, 'augmentation')
    add_geometry(augmented)
    add_appearance(augmented)


def add_geometry(augmented) -> None:
    """Augmentation as a whole, and where it moves pixels to."""
    add(
        augmented,
        '--data_augm',
        action='store_true',
        scope='training',
        help='augment the training data: flip, light, rotation, crop, and what follows',
    )
    add(
        augmented,
        '--rotation',
        type=nonnegative_float,
        default=10.0,
        metavar='DEGREES',
        scope='training',
        help='by up to +- this',
    )
    add(
        augmented,
        '--zoom',
        nargs=2,
        type=positive_float,
        default=[1.0, 1.0],
        metavar=('LOW', 'HIGH'),
        scope='training',
        help='enlarged around the centre by a factor between these, its logarithm uniform',
    )
    add(
        augmented,
        '--shift',
        type=nonnegative_float,
        default=0.0,
        metavar='PIXELS',
        scope='training',
        help='moved by up to +- this along each axis',
    )


def add_appearance(augmented) -> None:
    """Augmentation of the pixels' values."""
    add(
        augmented,
        '--colour',
        type=fraction,
        default=0.0,
        metavar='G',
        scope='training',
        help='each colour channel times a factor of its own within 1 +- G',
    )
    add(
        augmented,
        '--dropout_boxes',
        type=nonnegative_int,
        default=0,
        metavar='N',
        scope='training',
        help='coarse dropout: noise in N random rectangles',
    )


def add_ablations(parser: argparse.ArgumentParser) -> None:
    ablations = group(parser, 'ablations', 'what the method is without one of its parts')
    add_training_ablations(ablations)
    add_structure_ablations(ablations)


def add_training_ablations(ablations) -> None:
    """Batch norm and losses."""
    add(
        ablations,
        '--no_batch_norm',
        action='store_true',
        scope='network',
        help="leave the part detector's batch norms out",
    )
    add(
        ablations,
        '--loss',
        choices=('cross_entropy', 'squared'),
        default='cross_entropy',
        scope='network',
        help='squared: distance to the target maps, as in the paper',
    )
    add(
        ablations,
        '--no_auxiliary_loss',
        action='store_true',
        scope='training',
        help="train on the spatial model's loss alone",
    )


def add_structure_ablations(ablations) -> None:
    """Parts of the detector and of the spatial model."""
    add(
        ablations,
        '--self_connections',
        action='store_true',
        scope='network',
        help='priors of joints on themselves, too',
    )
    add(
        ablations,
        '--banks',
        type=int,
        choices=range(1, len(model.BANKS) + 1),
        default=len(model.BANKS),
        scope='network',
        help='resolutions at which the detector sees the frame, the finest first',
    )
    add(
        ablations,
        '--unary',
        choices=('softplus', 'relu'),
        default='softplus',
        scope='network',
        help='what makes the maps positive that enter the spatial model: as in the reference, or as '
        "in the paper's formula",
    )


def check_options(options: argparse.Namespace) -> None:
    """ValueError says which options contradict each other."""
    check_spatial_model(options)
    check_training(options)
    check_augmentation(options)
    if options.certainty and options.certainty[1] <= 0:
        raise ValueError('--certainty: STEEPNESS must be > 0')


def check_spatial_model(options):
    if options.use_sm:
        return
    for name in NEED_SPATIAL_MODEL:
        if getattr(options, name):
            raise ValueError(f'--{name} goes with --use_sm: there is no spatial model')
    if options.torso_from not in ('joints', 'box'):  # the defaults
        raise ValueError(
            f'--torso_from {options.torso_from} goes with --use_sm: without a spatial model no '
            'torso is given'
        )


def check_anchor(options: argparse.Namespace, frame: PersonFrame) -> None:
    """ValueError for options that need a torso where the spatial model is given something else."""
    if options.infer_torso and not frame.has_torso:
        raise ValueError(
            f'--infer_torso: the spatial model is given no torso, but --torso_from {frame.source}'
        )


def check_training(options):
    if options.train_only == 'spatial' and options.init is None:
        raise ValueError('--train_only spatial goes with --init: it needs a trained detector')
    if options.train_only and options.no_auxiliary_loss:
        raise ValueError('--no_auxiliary_loss: goes without --train_only, which has one loss')
    if options.train and options.precision == 'bfloat16' and not computes_bfloat16(options.gpus):
        raise ValueError(
            '--precision bfloat16: this processor has no instructions for it (avx512_bf16, '
            'amx_bf16)'
        )


def check_augmentation(options):
    changed = []
    for name, value in augmentation.ranges_from_options(options)._asdict().items():
        if value != getattr(augmentation.DEFAULT_RANGES, name):
            changed.append(f'--{name}')
    if changed and not options.data_augm:
        raise ValueError(f'{", ".join(changed)}: without --data_augm nothing is augmented')
    low, high = options.zoom
    if low > high:
        raise ValueError('--zoom: LOW is above HIGH')
