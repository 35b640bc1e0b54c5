"""The options of main.py that all systems share, a function for each group of `--help`."""

from argparse import ArgumentParser

from jointpose.options.option_types import address, epoch_and_factor, not_empty, point
from jointpose.options.scopes import add, group
from jointpose.utils.cli import (
    fraction,
    nonnegative_float,
    nonnegative_int,
    positive_float,
    positive_int,
)

MODEL_PATH = 'models_ex'


def add_calls(parser: ArgumentParser, system: type, systems: tuple[str, ...]) -> None:
    """What to do, on which devices, by which system."""
    what = group(parser, 'what to do')
    add_start(what)
    add_devices(what)
    add_system(what, system, systems)


def add_start(what) -> None:
    """What to start from."""
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


def add_devices(what) -> None:
    """GPUs and their precision."""
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
        help='where the variables of several towers lie: on the first GPU or on the CPU; auto: the '
        'first GPU if all towers have one, which halves the bytes that two GPUs send per step',
    )
    add(
        what,
        '--no_tf32',
        action='store_true',
        scope='devices',
        help="full float32 on GPUs of NVIDIA's Ampere generation and later, which otherwise "
        'round the factors of products to TF32 (10 bits), and are faster',
    )


def add_system(what, system: type, systems: tuple[str, ...]) -> None:
    """The pose estimator and its data set."""
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


def add_prediction(parser: ArgumentParser) -> None:
    """Prediction on custom images."""
    pictures = group(
        parser,
        'custom images',
        'prediction with --restore; needs no arrays',
    )
    add_prediction_input(pictures)
    add_prediction_output(pictures)


def add_prediction_input(pictures) -> None:
    """Images and prompts."""
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
        help='boxes of the target people: COCO detections or annotations. Without --predict: '
        'evaluate on COCO at these detections, for systems that crop people',
    )
    add(
        pictures,
        '--detector',
        type=not_empty,
        metavar='CHECKPOINT',
        scope='call',
        predict=True,
        help='for systems that crop people (hrnet, cpm, deeppose): find the people by this checkpoint '
        'of tompson with a spatial model, such as pretrained/flic',
    )


def add_prediction_output(pictures) -> None:
    """What is written."""
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


def add_training(parser: ArgumentParser) -> None:
    training = group(parser, 'training')
    add_amount(training)
    add_learning_rate(training)
    add_regularisation(training)
    add_samples(training)
    add_checkpoints(training)


def add_amount(training) -> None:
    """Initial weights, epochs and batches."""
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


def add_learning_rate(training) -> None:
    """The optimiser and its learning rate."""
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


def add_regularisation(training) -> None:
    """Clipping, decay and averages."""
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


def add_samples(training) -> None:
    """Randomness and the samples trained on."""
    add(
        training,
        '--seed',
        type=nonnegative_int,
        default=0,
        scope='training',
        help='random seed; on the CPU of one machine, equal seeds give equal runs',
    )
    add(
        training,
        '--train_examples',
        type=positive_int,
        metavar='N',
        scope='training',
        help='train on N evenly spread samples only',
    )


def add_checkpoints(training) -> None:
    """When checkpoints are saved, and how many are kept."""
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


def add_evaluation(parser: ArgumentParser) -> None:
    """The test samples and the file of their predictions."""
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


def add_places(parser: ArgumentParser) -> None:
    """Where arrays, runs and summaries lie."""
    places = group(parser, 'places')
    add_folders(places)
    add_tensorboard(places)
    add(
        places,
        '--verify',
        action='store_true',
        scope='call',
        help='verify the full checksums of the arrays first',
    )


def add_folders(places) -> None:
    """Arrays and runs."""
    add(
        places,
        '--data',
        type=not_empty,
        metavar='FOLDER',
        help='arrays of data.py (default: those of the restored run, else arrays for FLIC, '
        'arrays_lsp, arrays_mpii, arrays_coco or arrays_own)',
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


def add_tensorboard(places) -> None:
    """Summaries."""
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


def add_machines(parser: ArgumentParser) -> None:
    machines = group(
        parser,
        'several machines',
        'one chief, which trains and evaluates, and workers, which lend it their GPUs; '
        'TF_CONFIG and Slurm steps set the roles, too. gRPC has no password and no encryption: use '
        'addresses in a trusted network (docs/machines.md)',
    )
    add_chief(machines)
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


def add_chief(machines) -> None:
    """What the chief is told."""
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
