"""Times the project's pieces against plain ones, alternating in one run.

    python -m tools.benchmark                        # everything at full size: 40 minutes on 2 busy cores
    python -m tools.benchmark --quick                # a minute: small sizes, one repetition; growth: data.py only
    python -m tools.benchmark --pieces spatial step  # only these
    python -m tools.benchmark --pieces --tf1_python PATH --torch_python PATH
                                                     # only against these (baselines.py)

It prints two Markdown tables and the profile of a step.  "Plain" stands for the methods of the
public reference (joint-cnn-mrf, 2018), reimplemented in benchmark_plain.py and baseline_tf1.py:
tf.nn.conv2d everywhere, the heat map as the filter, tf.map_fn for augmentation, Python loops over
scales, people and pairs, float32 arrays in memory.

Times are medians of wall-clock seconds over 5 rounds after a warm-up.  If a round takes more than
50 s there are 3 rounds, and the first counts.  The data are drawn people, made in a temporary
folder.
"""

import collections
import concurrent.futures
import functools
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jointpose import data, pairwise_distr, run_options, spatial_model
from jointpose.datasets import array_writer, arrays, flic
from jointpose.datasets.flic import (
    HEIGHT,
    MAP_HEIGHT,
    MAP_WIDTH,
    N_JOINTS,
    N_MAPS,
    WIDTH,
    clamp_to_frame,
)
from jointpose.nn import test_time_augmentation, tiling
from jointpose.nn.tf1 import tf
from jointpose.training import batches, towers
from jointpose.training.devices import computes_bfloat16
from jointpose.utils import cli
from jointpose.utils.tables import markdown
from jointpose.vision.heatmaps import render_targets
from tools import baseline_tf1
from tools.benchmark_plain import (
    plain_arrays,
    plain_combined,
    plain_histograms,
    plain_scaled,
)
from tools.benchmark_timing import (
    Baseline,
    Process,
    Time,
    measure,
    peak_memory,
    script,
    timed,
)

TRAIN = 3987  # people of FLIC's training set


class Sizes(NamedTuple):
    """The sizes at which the pieces are measured."""

    repeats: int
    matmul: int  # rows of the matrices whose product gives the peak
    detector: tuple  # (width as a fraction, batch) of the part detector's step
    step: tuple  # (width, batch) of the whole step
    forward: tuple[int, ...]  # batches of the spatial model
    gradient: tuple[int, ...]  # batches of the spatial model with gradient
    pictures: int  # pictures at several scales
    frames: int  # pictures preprocessed
    tests: tuple[int, ...]  # numbers of test people, for growth
    batches: tuple[int, ...]  # batch sizes, for growth
    widths: tuple[float, ...]  # widths, for growth
    torch: tuple  # (width, batch) of the comparison with PyTorch


FULL = Sizes(
    repeats=5,
    matmul=4096,
    detector=((1, 4), (1, 14)),
    step=((1 / 4, 14), (1, 4)),
    forward=(1, 14),
    gradient=(1, 14),
    pictures=8,
    frames=1000,
    tests=(8, 32),
    batches=(1, 4, 14),
    widths=(1 / 4, 1 / 2, 1),
    torch=((1 / 8, 4), (1 / 4, 4), (1, 4)),
)
QUICK = Sizes(
    repeats=1,
    matmul=2048,
    detector=((1 / 4, 2),),
    step=((1 / 4, 1),),
    forward=(14,),
    gradient=(1,),
    pictures=2,
    frames=60,
    tests=(),
    batches=(),
    widths=(),
    torch=((1 / 8, 1),),
)


class Row(NamedTuple):
    """A row of the first table."""

    piece: str
    size: str
    ours: Time
    plain: Time
    target: float | None  # of the ratio
    flop: Sequence[float] | None  # (ours, plain)
    runs: int


class Growth(NamedTuple):
    """A row of the second table."""

    piece: str
    size: str
    units: int  # by which the seconds are divided
    seconds: float
    peak: float  # memory, GB


def open_split(folder):
    return arrays.load_split(folder, 'train', arrays.read_manifest(folder))


# ---------------------------------------------------------------- training steps


class Step(NamedTuple):
    """A function that fetches from a session."""

    session: tf.Session
    fetch: list

    def __call__(self):
        self.session.run(self.fetch)


def precisions():
    """What ours is measured in: also bfloat16 where the processor computes in it."""
    return ('float32', 'bfloat16') if computes_bfloat16([0]) else ('float32',)


def training_step(
    folder, width, batch_size, use_sm=True, conv='auto', augmented=True, precision='float32'
):
    """A Step that trains on the next batch."""
    split = open_split(folder)
    _, system, *_ = run_options.resolve_options(
        [
            '--train',
            '--width',
            str(int(64 * width)),
            '--conv',
            conv,
            '--batch_size',
            str(batch_size),
            '--precision',
            precision,
            *['--use_sm'] * use_sm,
            *['--data_augm'] * augmented,
        ]
    )
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


def detector_flop(width, batch_size):
    """Multiplications and additions of the convolutions of one training step, ((ours, products only), plain)."""
    f1, f2, f3, f4, f5 = (int(w * width) for w in (64, 128, 256, 512, 512))
    layers = [(9, 60, 90, f4, f5), (9, 60, 90, f5, N_JOINTS)]  # k, h, w, c, f
    for h, w in ((60, 90), (30, 45), (15, 23)):
        layers += [(5, 2 * h, w * 2, f1, f2), (5, h, w, f2, f3), (9, h, w, f3, f4)]
    first = (
        3 * 2 * 25 * 3 * f1 * batch_size * sum(h * w for h, w in ((240, 360), (120, 180), (60, 90)))
    )
    ours = plain = first * 2 // 3  # it has no gradient by its input
    for k, h, w, c, f in layers:
        direct = 3 * 2 * batch_size * h * w * k * k * c * f  # forward and two gradients
        costs = tiling.training_costs(tf.float32)
        tiles = tiling.choose_tiling((h, w), (k, k, c, f), batch_size, costs)
        products = 3 * 2 * tiling.operation_counts(tiles, batch_size, c, f)[0]
        plain += direct
        ours += (
            products
            if tiling.choose((batch_size, h, w, c), (k, k, c, f), False, costs) == 'fft'
            else direct
        )
    return ours, plain


def bench_detector(sizes, folder):
    for width, batch_size in sizes.detector:
        ours, plain = (
            training_step(folder, width, batch_size, False, conv, False)
            for conv in ('auto', 'direct')
        )
        times, runs = measure(sizes.repeats, ours, plain)
        target = {(1, 4): 2.8, (1, 14): 3}.get((width, batch_size))
        yield Row(
            'part detector, training step',
            f'width {width:g}, batch {batch_size}',
            *times,
            target,
            detector_flop(width, batch_size),
            runs,
        )


def bench_step(sizes, folder):
    """Plain is composed: detector's step + 9 x the spatial model's of one joint + augmentation, oneDNN off."""
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
            (*times, detector, joint, augment), runs = measure(sizes.repeats, *ours, *parts)
        plain = Time(*(detector[i] + N_JOINTS * joint[i] + augment[i] for i in (0, 1)))
        flop = [
            a + b for a, b in zip(detector_flop(width, batch_size), spatial_flop(batch_size, True))
        ]
        target = {(1, 4): 18, (1 / 4, 14): 20}.get((width, batch_size))
        for precision, own, step in zip(precisions(), times, ours):
            yield Row(
                f'whole step, {precision} ({detector.wall:.1f} + 9 x {joint.wall:.2f} + {augment.wall:.2f})',
                f'width {width:g}, batch {batch_size}',
                own,
                plain,
                target,
                flop,
                runs,
            )
            print_profile(
                step, f'whole step, {precision}, width {width:g}, batch {batch_size}', sizes.repeats
            )


def bench_tf1(sizes, folder, python):
    for width, batch_size in sizes.step:
        ours = [
            training_step(folder, width, batch_size, precision=precision)
            for precision in precisions()
        ]
        with Baseline(python, 'tf1', int(64 * width), batch_size) as other:
            (*times, plain), runs = measure(sizes.repeats, *ours, other)
        for precision, own in zip(precisions(), times):
            yield Row(
                f'whole step, {precision}, beside TensorFlow 1.15',
                f'width {width:g}, batch {batch_size}',
                own,
                plain,
                None,
                None,
                runs,
            )


def bench_torch(sizes, folder, python):
    for width, batch_size in sizes.torch:
        for kind in precisions():
            ours = training_step(
                folder, width, batch_size, use_sm=False, augmented=False, precision=kind
            )
            with Baseline(python, 'torch', int(64 * width), batch_size, kind) as other:
                times, runs = measure(sizes.repeats, ours, other)
            yield Row(
                f'part detector, training step, beside PyTorch, both in {kind}',
                f'width {width:g}, batch {batch_size}',
                *times,
                {(1 / 8, 'bfloat16'): 1.8}.get((width, kind)),
                None,
                runs,
            )


def print_profile(step, name, steps):
    """Prints the time of each kind of operation by TensorFlow's trace, and that of input waits."""
    seconds, waited, total = collections.Counter(), 0, 0
    options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    for _ in range(steps):
        trace = tf.RunMetadata()
        began = time.perf_counter()
        step.session.run(step.fetch, options=options, run_metadata=trace)
        total += time.perf_counter() - began
        for device in trace.step_stats.dev_stats:
            for node in device.node_stats:
                kind = re.search(r' = (\w+)\(', node.timeline_label)
                spent = node.all_end_rel_micros / 1e6
                if kind and kind[1] == 'IteratorGetNext':
                    waited += spent
                elif kind:
                    seconds[kind[1]] += spent
    busy = sum(seconds.values())
    shares = ', '.join(
        f'{kind} {100 * spent / busy:.0f} %' for kind, spent in seconds.most_common(7)
    )
    note(
        f'Profile of {name}: waiting for the next batch {100 * waited / total:.2f} % of {total / steps:.2f} s a step; '
        f'time in kernels: {shares}'
    )


# ---------------------------------------------------------------- spatial model


def spatial_step(batch_size, gradient, joints=None):
    """A function that runs the spatial model on random maps, forward or with its gradients.

    joints: those of the plain one that are built; None: ours, all of it.
    """
    rng, pairs = np.random.default_rng(0), len(spatial_model.PAIRS_TO_JOINTS)
    with tf.Graph().as_default():
        maps = tf.get_variable('maps', [batch_size, MAP_HEIGHT, MAP_WIDTH, N_MAPS])
        if joints is None:
            logits, energies, biases = spatial_model.build(maps.read_value())
        else:
            energies = tf.get_variable(
                'energies', [pairs, *pairwise_distr.prior_size(flic.MAP_SIZE)]
            )
            biases = tf.get_variable('biases', [pairs, MAP_HEIGHT, MAP_WIDTH])
            logits = baseline_tf1.spatial_model(maps.read_value(), energies, biases, joints)
        fetch = (
            tf.gradients(tf.nn.l2_loss(logits), [maps, energies, biases]) if gradient else [logits]
        )
        fetch = [tensor.op for tensor in fetch]
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        for variable in (maps, energies, biases):
            variable.load(rng.random(variable.shape.as_list(), np.float32), session)
    return Step(session, fetch)


def spatial_flop(batch_size, gradient):
    """Of all 81 messages: (ours: 2.5 N log2 N a real transform of N cells, and the products; plain)."""
    n, pairs, cells = (
        batch_size,
        len(spatial_model.PAIRS_TO_JOINTS),
        math.prod(pairwise_distr.prior_size(flic.MAP_SIZE)),
    )
    transforms = pairs + N_MAPS * n + pairs * n
    product = 6 * n * pairs * cells / 2
    plain = 2 * n * pairs * (MAP_HEIGHT + 1) * (MAP_WIDTH + 1) * MAP_HEIGHT * MAP_WIDTH
    passes = (2, 3) if gradient else (1, 1)
    return passes[0] * transforms * 2.5 * cells * math.log2(cells) + passes[1] * product, passes[
        1
    ] * plain


def bench_spatial(sizes, folder):
    """Plain with gradient is slow: 9 of the 81 pairs are timed, those of one joint, and multiplied by 9."""
    for batch_size in sizes.forward:
        (ours, plain), runs = measure(
            sizes.repeats,
            spatial_step(batch_size, False),
            spatial_step(batch_size, False, range(N_JOINTS)),
        )
        yield Row(
            'spatial model, forward',
            f'batch {batch_size}',
            ours,
            plain,
            {14: 6}.get(batch_size),
            spatial_flop(batch_size, False),
            runs,
        )
    for batch_size in sizes.gradient:
        (ours, joint), runs = measure(
            sizes.repeats, spatial_step(batch_size, True), spatial_step(batch_size, True, [0])
        )
        plain = Time(*(N_JOINTS * seconds for seconds in joint))
        yield Row(
            f'spatial model, forward + backward (9 x {joint.wall:.2f})',
            f'batch {batch_size}',
            ours,
            plain,
            {14: 90}.get(batch_size),
            spatial_flop(batch_size, True),
            runs,
        )


# ---------------------------------------------------------------- input


def plain_augmentation_step(folder, batch_size):
    """A function that augments a batch by tf.map_fn; pictures and maps are floats in memory and fed."""
    split = open_split(folder)
    images = split.images[:batch_size].astype(np.float32) / 255
    maps = render_targets(clamp_to_frame(split.joints[:batch_size]), (MAP_HEIGHT, MAP_WIDTH))
    with tf.Graph().as_default():
        places = [tf.placeholder(tf.float32, array.shape) for array in (images, maps)]
        result = [
            tensor.op
            for tensor in tf.map_fn(lambda sample: baseline_tf1.augment(*sample), tuple(places))
        ]
        session = tf.Session()
    return lambda: session.run(result, dict(zip(places, (images, maps))))


def bench_augmentation(sizes, folder):
    """As in training: as many batches at a time as the pipeline has threads; plain makes them one after the other."""
    split, batch_size, pool = (
        open_split(folder),
        14,
        concurrent.futures.ThreadPoolExecutor(batches.THREADS),
    )
    plain = plain_augmentation_step(folder, batch_size)
    _, system, *_ = run_options.resolve_options(
        ['--train', '--data_augm', '--batch_size', str(batch_size)]
    )

    def ours(step):
        batches.training_batch(system, split, step)

    times, runs = measure(
        sizes.repeats,
        lambda: list(pool.map(ours, range(batches.THREADS))),
        lambda: [plain() for _ in range(batches.THREADS)],
    )
    yield Row('augmentation', f'{batches.THREADS} batches of {batch_size}', *times, 4, None, runs)


def bench_multiscale(sizes, folder):
    """Ours as in main.py: pictures on the pipeline's threads, a picture a call; maps in the graph."""
    split, n, scales = open_split(folder), sizes.pictures, len(test_time_augmentation.SCALES)
    maps = np.random.default_rng(0).random([n, scales, MAP_HEIGHT, MAP_WIDTH, N_JOINTS], np.float32)
    pool = concurrent.futures.ThreadPoolExecutor(batches.THREADS)
    _, system, *_ = run_options.resolve_options(['--train'])
    with tf.Graph().as_default():
        place = tf.placeholder(tf.float32, [None, *maps.shape[2:]])
        combined, session = test_time_augmentation.merge_views(place), tf.Session()

    def ours():
        list(pool.map(lambda row: batches.views_batch(system, split, np.array([row])), range(n)))
        for one in maps:
            session.run(combined, {place: one})

    def plain():
        for image, one in zip(split.images[:n], maps):
            plain_scaled(image)
            plain_combined(one)

    times, runs = measure(sizes.repeats, ours, plain)
    yield Row(
        'multi-scale, before and after the network',
        f'{n} pictures, {scales} scales',
        *times,
        40,
        None,
        runs,
    )


# ---------------------------------------------------------------- preparation


def bench_histograms(sizes, folder):
    people = np.random.default_rng(0).random([TRAIN, N_MAPS, 2], np.float32) * (WIDTH, HEIGHT)
    times, runs = measure(
        sizes.repeats,
        lambda: pairwise_distr.pairwise_histograms(people, flic.MAP_SIZE),
        lambda: plain_histograms(people),
    )
    yield Row('displacement histograms', f'{TRAIN} people', *times, 15, None, runs)


def bench_preprocessing(sizes, folder):
    """data.py, its start included, beside decoding alone by as many processes, and beside `plain_arrays`."""
    made = os.path.join(folder, 'synthetic_FLIC')
    meta, images, out = (
        os.path.join(made, 'examples.mat'),
        os.path.join(made, 'images'),
        os.path.join(folder, 'again'),
    )
    people = flic.read_annotations(meta)
    paths = [os.path.join(images, file) for file in people.file]
    frames = [functools.partial(data.decode, path) for path in paths]

    def alone():
        with array_writer.worker_pool(len(os.sched_getaffinity(0))) as pool:
            assert not any(pool.map(data.error_or_none, frames, chunksize=array_writer.ROWS_A_JOB))

    (ours, alone, plain), runs = measure(
        sizes.repeats,
        lambda: script('data.py', '--meta', meta, '--images', images, '--out', out),
        alone,
        lambda: plain_arrays(folder, paths, people.joints_xy),
    )
    size = f'{len(paths)} pictures'
    yield Row('preprocessing beside JPEG decoding alone', size, ours, alone, 0.8, None, runs)
    yield Row('preprocessing', size, ours, plain, None, None, runs)


# ---------------------------------------------------------------- growth


def bench_growth(sizes, folder):
    """Yields Growths: by batch size, by width, by pictures and by test people."""
    spatial = [
        ('spatial model, forward + backward', f'batch {b}', b, spatial_step, b, True)
        for b in sizes.batches
    ]
    steps = [
        ('whole step, width 0.25', f'batch {b}', b, training_step, folder, 1 / 4, b)
        for b in sizes.batches
    ]
    widths = [
        ('whole step, batch 2', f'width {w:g}', 2, training_step, folder, w, 2)
        for w in sizes.widths
    ]
    for series in filter(None, (spatial + steps, widths)):
        with Process(
            onednn=True
        ) as process:  # in ascending order: the peak so far is that of the last
            for name, size, units, make, *arguments in series:
                (seconds,), _ = measure(sizes.repeats, process.function(make, *arguments))
                yield Growth(name, size, units, seconds.wall, process.call(peak_memory))
    for n in sizes.frames // 4, sizes.frames:
        made = os.path.join(folder, f'first_{n}')
        synthetic = os.path.join(made, 'synthetic_FLIC')
        script('data.py', '--synthetic', str(n), '--out', made)
        yield Growth(
            'data.py',
            f'{n} pictures',
            n,
            *script(
                'data.py',
                '--meta',
                os.path.join(synthetic, 'examples.mat'),
                '--images',
                os.path.join(synthetic, 'images'),
                '--out',
                os.path.join(made, 'again'),
            ),
        )
    if sizes.tests:
        script('pairwise_distr.py', '--data', folder)
    for n in sizes.tests:
        yield Growth(
            'main.py: start and multi-scale evaluation, width 0.25',
            f'{n} test people',
            n,
            *script(
                'main.py',
                '--train',
                '--n_epochs',
                '0',
                '--debug',
                '--use_sm',
                '--data',
                folder,
                '--test_examples',
                str(n),
                '--model_path',
                os.path.join(folder, 'models'),
                '--run',
                f'first_{n}',
                '--tb_folder',
                '',
                '--predictions',
                os.path.join(folder, 'predictions.mat'),
            ),
        )


# ---------------------------------------------------------------- tables

PIECES = {
    'augmentation': bench_augmentation,
    'multiscale': bench_multiscale,
    'histograms': bench_histograms,
    'preprocessing': bench_preprocessing,
    'spatial': bench_spatial,
    'detector': bench_detector,
    'step': bench_step,
    'growth': bench_growth,
}
BASELINES = {'tf1_python': bench_tf1, 'torch_python': bench_torch}
HEADER = (
    'piece',
    'size',
    'ours, s',
    'plain, s',
    'ratio',
    'target',
    'CPU s, ours',
    'CPU s, plain',
    'share of peak, ours',
    'plain',
    'runs',
)
GROWTH_HEADER = ('piece', 'size', 'seconds', 'ms per unit', 'peak memory, GB')


def matmul_peak(n, repeats):
    """Operations a second of a float32 product of two n x n matrices on all cores, the best of many.

    By CPU seconds, so that other work on the machine does not lower it.
    """
    with tf.Graph().as_default():
        a = tf.get_variable('a', [n, n])
        product, session = tf.matmul(a, a), tf.Session()
        session.run(a.initializer)
    times = [timed(lambda: session.run(product.op)) for _ in range(4 * repeats)]
    return 2 * n**3 / min(one.cpu for one in times) * len(os.sched_getaffinity(0))


def cells(row: Row, peak: float) -> list[str]:
    """A row of the first table; peak: operations a second of a matrix product."""
    shares = ['-', '-']
    if row.flop is not None:
        walls = (row.ours.wall, row.plain.wall)
        shares = [f'{100 * flop / wall / peak:.0f} %' for flop, wall in zip(row.flop, walls)]
    return [
        row.piece,
        row.size,
        f'{row.ours.wall:.3g}',
        f'{row.plain.wall:.3g}',
        f'{row.plain.wall / row.ours.wall:.3g}',
        '' if row.target is None else f'{row.target:g}',
        f'{row.ours.cpu:.3g}',
        f'{row.plain.cpu:.3g}',
        *shares,
        str(row.runs),
    ]


def growth_cells(growth: Growth) -> list[str]:
    """A row of the second table."""
    return [
        growth.piece,
        growth.size,
        f'{growth.seconds:.3g}',
        f'{1000 * growth.seconds / growth.units:.3g}',
        f'{growth.peak:.2f}',
    ]


def note(text: str) -> None:
    """Prints progress to stderr: the tables alone go to stdout."""
    print(text, file=sys.stderr, flush=True)


def parse_options():
    """The command line's options."""
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        '--quick', action='store_true', help='small sizes, one repetition: within a minute'
    )
    parser.add_argument(
        '--pieces',
        nargs='*',
        choices=PIECES,
        default=list(PIECES),
        metavar='PIECE',
        help=f'any of {" ".join(PIECES)}, or none (default: all)',
    )
    parser.add_argument(
        '--tf1_python',
        metavar='PATH',
        help="also beside the reference's way under TensorFlow 1.15: the Python of its environment",
    )
    parser.add_argument(
        '--torch_python',
        metavar='PATH',
        help='also beside the same detector in PyTorch: the Python of its environment',
    )
    return parser.parse_args()


def chosen_benches(options) -> list[Callable]:
    """The functions that measure: those of --pieces, and those of the baselines asked for."""
    benches = [PIECES[piece] for piece in options.pieces]
    for name, bench in BASELINES.items():
        python = getattr(options, name)
        if python:
            benches.append(functools.partial(bench, python=python))
    return benches


def main():
    """Measures the pieces and prints both tables."""
    options = parse_options()
    sizes = QUICK if options.quick else FULL
    rows = []
    growths = []
    with tempfile.TemporaryDirectory() as folder:
        script('data.py', '--synthetic', str(sizes.frames), '--out', folder)
        peak = matmul_peak(sizes.matmul, sizes.repeats) if options.pieces else math.nan
        try:
            for bench in chosen_benches(options):
                for row in bench(sizes, folder):
                    if isinstance(row, Growth):
                        growths.append(growth_cells(row))
                        note(' | '.join(growths[-1]))
                    else:
                        rows.append(cells(row, peak))
                        note(' | '.join(rows[-1]))
        finally:  # prints what was measured if a piece raises
            if options.pieces:
                print(f'Matmul peak: {peak / 1e9:.0f} GFLOP/s')
            for header, body in ((HEADER, rows), (GROWTH_HEADER, growths)):
                if body:
                    print(f'\n{markdown(header, body, left=2)}')


if __name__ == '__main__':
    cli.run_script(main)
