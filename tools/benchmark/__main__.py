"""Times the project's pieces against plain ones, alternating in one run.

    python -m tools.benchmark                        # everything at full size: 40 minutes on 2 busy cores
    python -m tools.benchmark --quick                # a minute: small sizes, one repetition; growth: data.py only
    python -m tools.benchmark --pieces spatial step  # only these
    python -m tools.benchmark --pieces --tf1_python PATH --torch_python PATH
                                                     # only against these (baselines.py)
    python -m tools.benchmark --out lines.jsonl      # also adds a JSON line for the machine and for each row

It prints two Markdown tables and the profile of a step.  "Plain" stands for the methods of the
public reference (joint-cnn-mrf, 2018), reimplemented in plain.py and baseline_tf1.py:
tf.nn.conv2d everywhere, the heat map as the filter, tf.map_fn for augmentation, Python loops over
scales, people and pairs, float32 arrays in memory.

Times are medians of wall-clock seconds over 5 rounds after a warm-up.  If a round takes more than
50 s there are 3 rounds, and the first counts.  The data are drawn people, made in a temporary
folder.
"""

import contextlib
import functools
import math
import tempfile
from collections.abc import Callable

from jointpose.utils import cli
from tools.benchmark import growth, inputs, other_programs, preparation, spatial, steps
from tools.benchmark.operations import matmul_peak
from tools.benchmark.results import Results
from tools.benchmark.sizes import FULL, QUICK
from tools.benchmark.timing import script

PIECES = {
    'augmentation': inputs.bench_augmentation,
    'multiscale': inputs.bench_multiscale,
    'histograms': preparation.bench_histograms,
    'preprocessing': preparation.bench_preprocessing,
    'spatial': spatial.bench_spatial,
    'detector': steps.bench_detector,
    'step': steps.bench_step,
    'growth': growth.bench_growth,
}
BASELINES = {'tf1_python': other_programs.bench_tf1, 'torch_python': other_programs.bench_torch}


def parse_options():
    """The command line's options."""
    parser = cli.Parser(prog='benchmark.py', description=__doc__)
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
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='also adds JSON lines to FILE: the machine, then each row as it is measured',
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


def kept_lines(path: str | None):
    """A context: the file that lines are added to, or None."""
    return open(path, 'a', encoding='utf-8') if path else contextlib.nullcontext()


def main():
    """Measures the pieces and prints both tables."""
    options = parse_options()
    sizes = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory() as folder, kept_lines(options.out) as file:
        results = Results(file)
        script('data.py', '--synthetic', str(sizes.frames), '--out', folder)
        peak = matmul_peak(sizes.matmul, sizes.repeats) if options.pieces else math.nan
        results.begin(peak)
        try:
            for bench in chosen_benches(options):
                for row in bench(sizes, folder):
                    results.add(row)
        finally:  # prints what was measured if a piece raises
            results.print_tables()


if __name__ == '__main__':
    cli.run_script(main)
