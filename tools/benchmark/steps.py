"""Training steps: of the part detector, and of the whole method."""

from collections.abc import Iterator

from jointpose import run_options
from jointpose.datasets import arrays
from jointpose.datasets.flic import N_JOINTS
from jointpose.nn.tf1 import tf
from jointpose.training import batches, towers
from jointpose.training.devices import computes_bfloat16
from tools.benchmark.inputs import open_split, plain_augmentation_step
from tools.benchmark.operations import detector_flop, spatial_flop
from tools.benchmark.sizes import Sizes
from tools.benchmark.spatial import spatial_step
from tools.benchmark.step_profile import print_profile
from tools.benchmark.table import Row
from tools.benchmark.timing import Process, Step, Time, measure

# {(width, batch): target of the ratio}
DETECTOR_TARGETS = {(1, 4): 2.8, (1, 14): 3}
STEP_TARGETS = {(1, 4): 11.3, (1 / 4, 14): 18}


def precisions() -> tuple[str, ...]:
    """What ours is measured in: also bfloat16 where the processor computes in it."""
    return ('float32', 'bfloat16') if computes_bfloat16([0]) else ('float32',)


def training_step(
    folder: str,
    width: float,
    batch_size: int,
    use_sm: bool = True,
    conv: str = 'auto',
    augmented: bool = True,
    precision: str = 'float32',
) -> Step:
    """A Step that trains on the next batch.  folder: of the arrays; width: a fraction."""
    words = ['--train', '--width', str(int(64 * width)), '--batch_size', str(batch_size)]
    words += ['--conv', conv, '--precision', precision]
    if use_sm:
        words.append('--use_sm')
    if augmented:
        words.append('--data_augm')
    _, system, *_ = run_options.resolve_options(words)
    split = open_split(folder)
    split = arrays.evenly_spaced(split, batch_size * (len(split.images) // batch_size))
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        tf.train.get_or_create_global_step()
        batch, (start,) = batches.pipeline(
            batches.specification(system),
            lambda step: batches.training_batch(system, split, step),
        )
        training = towers.build_training(system, batch, ['/cpu:0'], total_steps=1000)
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        session.run(*start(0, 1000))
    return Step(session, [training.step, training.losses])


def bench_detector(sizes: Sizes, folder: str) -> Iterator[Row]:
    for width, batch_size in sizes.detector:
        ours = training_step(folder, width, batch_size, False, 'auto', False)
        plain = training_step(folder, width, batch_size, False, 'direct', False)
        times, runs = measure(sizes.repeats, ours, plain)
        yield Row(
            'part detector, training step',
            f'width {width:g}, batch {batch_size}',
            *times,
            runs,
            DETECTOR_TARGETS.get((width, batch_size)),
            detector_flop(width, batch_size),
        )


def bench_step(sizes: Sizes, folder: str) -> Iterator[Row]:
    """The whole step.

    Plain is composed: the detector's step, 9 times the spatial model's of one joint, and the
    augmentation, without oneDNN.
    """
    for width, batch_size in sizes.step:
        ours = [
            training_step(folder, width, batch_size, precision=precision)
            for precision in precisions()
        ]
        with Process(onednn=False) as process:
            parts = [
                process.function(training_step, folder, width, batch_size, False, 'direct', False),
                process.function(spatial_step, batch_size, True, (0,)),
                process.function(plain_augmentation_step, folder, batch_size),
            ]
            times, runs = measure(sizes.repeats, *ours, *parts)
        *own_times, detector, joint, augment = times
        plain = Time(
            detector.wall + N_JOINTS * joint.wall + augment.wall,
            detector.cpu + N_JOINTS * joint.cpu + augment.cpu,
        )
        composed = f'{detector.wall:.1f} + 9 x {joint.wall:.2f} + {augment.wall:.2f}'
        size = f'width {width:g}, batch {batch_size}'
        for precision, own, step in zip(precisions(), own_times, ours):
            yield Row(
                f'whole step, {precision} ({composed})',
                size,
                own,
                plain,
                runs,
                STEP_TARGETS.get((width, batch_size)),
                step_flop(width, batch_size),
            )
            print_profile(step, f'whole step, {precision}, {size}', sizes.repeats)


def step_flop(width: float, batch_size: int) -> tuple[float, float]:
    """Operations (ours, plain) of the detector and of the spatial model."""
    detector = detector_flop(width, batch_size)
    spatial = spatial_flop(batch_size, True)
    return detector[0] + spatial[0], detector[1] + spatial[1]
