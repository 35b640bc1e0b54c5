"""What each part of the method is worth: variants that differ from it in one part, trained alike.

    python -m tools.ablations                                       every variant but bfloat16, seeds 0, 1, 2
    python -m tools.ablations --variants method 'squared loss'      only these
    python -m tools.ablations --table                               Markdown table of the results so far

Each variant is one epoch of main.py over the same training people, in batches of 7, at an eighth of the full width, and
is evaluated on people of the held-out tenth (--validation): nothing is chosen on the test people.  A seed decides the
first weights, the order of the samples and their augmentation, the same for all variants of that seed.  `argmax
decoding` and `single scale` train nothing: they evaluate the method's own networks in another way.

--out holds one JSON line for each variant and seed, with its settings; what is there already is skipped.  So it can be
stopped at any time (Ctrl-C) and started again: only the run under way is lost.  All variants of seed 0 come first, then
those of the next seed.  Checkpoints are deleted once a run is scored.

A line's fields: variant, seed, flag, settings (asked for), updates and people (as they were), pd and sm (detection
rates of part detector and spatial model at radius 10 in %: each joint and the mean of all nine, at several scales
unless the variant says otherwise), seconds, code (version that trained), failed (only where there is no result).
"""

import argparse
import collections
import itertools
import json
import os
import shutil
import statistics
import sys
import time
from typing import NamedTuple

from jointpose.datasets import arrays
from jointpose.datasets.flic import JOINTS
from jointpose.evaluation import detection_rates, predictions
from jointpose.metrics import key_points
from jointpose.utils import cli
from jointpose.utils.errors import InputError
from jointpose.utils.tables import markdown
from tools import experiments

NETWORK = {'width': 8, 'batch_size': 7, 'n_epochs': 1}
MEASURE = {'radius': 10, 'normaliser': 'lhip-rsho'}
METHOD = 'method'
PREDICTIONS = 'predictions.mat'  # in a run's folder: main.py writes it last, so the run is complete


class Variant(NamedTuple):
    """The method without one of its parts.

    paper, reference: what Tompson et al. 2014 and the README of joint-cnn-mrf (2018) say that this
    part does, for networks trained to the end at full width, in % at radius 10 on FLIC's test
    people; '-': nothing.
    """

    added: tuple[str, ...] = ()  # options of main.py
    left_out: tuple[str, ...] = ()  # options of main.py
    evaluates: bool = False  # evaluates the method's network, without training
    paper: str = '-'
    reference: str = '-'


FASTER = 'batch norm and cross-entropy: 6 times faster, better loss and rate'
VARIANTS = {
    METHOD: Variant(
        paper='wrist: detector 66, with spatial model 75, trained jointly 79.5',
        reference='left wrist: detector 72, joint model 79',
    ),
    'argmax decoding': Variant(('--decode', 'argmax'), evaluates=True),
    'single scale': Variant(
        ('--scales', 'single'), evaluates=True, reference='several scales: wrists about +6'
    ),
    'no batch norm': Variant(('--no_batch_norm',), reference=FASTER),
    'squared loss': Variant(('--loss', 'squared'), reference=FASTER),
    'no auxiliary loss': Variant(('--no_auxiliary_loss',), reference='auxiliary loss: better'),
    'no augmentation': Variant(
        left_out=('--data_augm',), paper='flips and scalings: better generalisation'
    ),
    'priors reference': Variant(('--priors', 'reference')),
    'priors uniform': Variant(
        ('--priors', 'uniform'), reference='histograms: "smart initialization"'
    ),
    'self-connections': Variant(('--self_connections',), reference='no contribution'),
    'bfloat16': Variant(('--precision', 'bfloat16')),
}
ASKED_FOR = ('bfloat16',)  # run only if named: not every processor computes in it


def flag_of(variant):
    """How a variant differs, as a reader would type it."""
    return ' '.join([*variant.added, *(f'without {option}' for option in variant.left_out)]) or '-'


# ---------------------------------------------------------------- running


def run_all(args):
    """Runs what is missing in --out, one JSON line each."""
    settings = settings_of(args)
    with experiments.open_results(args.out) as file:
        jobs = missing(args, settings, read_results(args.out))
        print(f'{args.out}: {len(jobs)} runs to do', flush=True)
        for number, (name, seed) in enumerate(jobs, 1):
            print(f'[{number}/{len(jobs)}] {name}, seed {seed}', flush=True)
            row = measure(name, seed, settings, args)
            experiments.append(file, row)
            print(f'[{number}/{len(jobs)}] {name}, seed {seed}: {summary(row)}', flush=True)
            clear(name, seed, args, settings)


def settings_of(args):
    """What results must have in common to be compared."""
    return {
        'data_id': arrays.read_manifest(args.data)['id'],
        'train_examples': args.train_examples,
        'test_examples': args.test_examples,
        **NETWORK,
        **MEASURE,
    }


def missing(args, settings, rows):
    """[(variant, seed)] without a result, seed by seed, the method before the evaluations of its networks."""
    wanted = set(args.variants)
    if any(VARIANTS[name].evaluates for name in wanted):
        wanted.add(METHOD)
    done = {identity(row) for row in rows}
    return [
        (name, seed)
        for seed, name in itertools.product(dict.fromkeys(args.seeds), VARIANTS)
        if name in wanted and identity(head(name, seed, settings)) not in done
    ]


def head(name, seed, settings):
    """The part of a line of --out that says what it is about."""
    return {'variant': name, 'seed': seed, 'flag': flag_of(VARIANTS[name]), 'settings': settings}


def identity(row):
    return row['variant'], row['seed'], row['flag'], json.dumps(row['settings'], sort_keys=True)


def measure(name, seed, settings, args):
    """Trains or evaluates one variant with one seed: its line of --out."""
    variant = VARIANTS[name]
    trained = METHOD if variant.evaluates else name
    run = run_folder(trained, seed, args)
    row = head(name, seed, settings)
    path = os.path.join(run, PREDICTIONS)
    if variant.evaluates and os.path.exists(path):
        finite = True
    else:  # the method's networks again, should they be gone
        shutil.rmtree(run, ignore_errors=True)
        os.makedirs(run)  # main.py looks first whether PREDICTIONS can be written
        began = time.time()
        finite = experiments.call_main(training_options(trained, seed, args))
    if finite and variant.evaluates:
        path = os.path.join(run, f'{slug(name)}.mat')
        began = time.time()
        finite = experiments.call_main(evaluation_options(name, run, path, args))
    row |= {'seconds': round(time.time() - began, 1), **experiments.facts_of(run)}
    if not finite:
        return {**row, 'people': None, 'pd': None, 'sm': None, 'failed': 'not finite'}
    return row | rates(path, args.data)


def training_options(name, seed, args):
    """main.py's command line that trains this variant."""
    variant, run = VARIANTS[name], run_folder(name, seed, args)
    network = [word for key, value in NETWORK.items() for word in (f'--{key}', value)]
    method = [option for option in ('--use_sm', '--data_augm') if option not in variant.left_out]
    return [
        '--train',
        *method,
        *network,
        *variant.added,
        '--train_examples',
        args.train_examples,
        '--seed',
        seed,
        '--run',
        os.path.basename(run),
        '--keep',
        1,
        '--tb_folder',
        '',
        *places(args),
        '--predictions',
        os.path.join(run, PREDICTIONS),
    ]


def evaluation_options(name, run, path, args):
    """main.py's command line that evaluates the method's network as this variant says."""
    return ['--restore', run, *VARIANTS[name].added, *places(args), '--predictions', path]


def places(args):
    """Options that a restored run does not take over."""
    return [
        '--validation',
        '--test_examples',
        args.test_examples,
        '--data',
        args.data,
        '--model_path',
        args.model_path,
    ]


def slug(name):
    return name.replace(' ', '-')


def run_folder(name, seed, args):
    return os.path.join(args.model_path, f'{slug(name)}-{args.train_examples}-{seed}')


def clear(name, seed, args, settings):
    """Deletes a scored run; the method's only when its networks have been evaluated in every way."""
    if name == METHOD or VARIANTS[name].evaluates:
        evaluations = [other for other, variant in VARIANTS.items() if variant.evaluates]
        if missing(
            argparse.Namespace(variants=evaluations, seeds=[seed]), settings, read_results(args.out)
        ):
            return
        name = METHOD
    shutil.rmtree(run_folder(name, seed, args), ignore_errors=True)


def rates(path, data):
    """people, pd and sm of a line of --out, from a predictions.mat of main.py --validation."""
    manifest = arrays.read_manifest(data)
    found = predictions.read(path, manifest)
    if found.split != 'train':
        raise InputError(f'{path}: not predictions of held-out training people')
    errors = detection_rates.score(
        found, detection_rates.read_truth(data, manifest, 'train'), MEASURE['normaliser']
    )
    result = {'people': len(found.rows)}
    for short, title in predictions.TITLES.items():
        each = key_points.detection_rate(errors[title], MEASURE['radius'])  # [9]
        result[short] = {
            'mean': round(float(each.mean()), 3),
            **{joint: round(float(rate), 3) for joint, rate in zip(JOINTS, each)},
        }
    return result


def summary(row):
    if 'failed' in row:
        return row['failed']
    return f'detector {row["pd"]["mean"]:.1f}, spatial model {row["sm"]["mean"]:.1f}, {row["seconds"]:.0f} s'


# ---------------------------------------------------------------- results


def read_results(path):
    """The lines of --out as dictionaries.  One broken line, as a machine that loses power leaves it, is passed over."""
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            lines = [(number, line) for number, line in enumerate(file, 1) if line.strip()]
    except OSError as error:
        raise InputError(f'--out {path}: {error.strerror}') from error
    rows, broken = [], []
    for number, line in lines:
        try:
            row = json.loads(line)
            check_row(row)
            rows.append(row)
        except (ValueError, KeyError, TypeError, AttributeError):
            broken.append(number)
    if len(broken) > 1:
        raise InputError(f'--out {path}: lines {", ".join(map(str, broken))} are damaged')
    if broken:
        print(f'warning: {path}: line {broken[0]} is damaged and passed over', file=sys.stderr)
    return rows


def check_row(row):
    """Raises an error where a line lacks what the table needs."""
    identity(row)
    if 'failed' not in row:
        for model in ('pd', 'sm'):
            float(row[model]['mean'])
        int(row['people'])
    for key in ('updates', 'seconds', 'code'):
        row[key]
    for key in ('data_id', 'train_examples', 'test_examples', *NETWORK, *MEASURE):
        row['settings'][key]


# ---------------------------------------------------------------- table

HEADER = (
    'variant',
    'flag',
    "paper's claim",
    "reference's claim",
    'joint model',
    'difference',
    'part detector',
    'difference',
    'seeds',
)


def tables(rows):
    """Markdown: one table for each set of settings, with what its results have in common."""
    if not rows:
        raise InputError('no results yet')
    groups = collections.defaultdict(dict)
    for row in rows:  # the latest of equal ones counts
        groups[json.dumps(row['settings'], sort_keys=True)][row['variant'], row['seed']] = row
    return '\n\n'.join(
        f'{table(group)}\n\n{caption(list(group.values()))}' for group in groups.values()
    )


def table(group):
    """group: {(variant, seed): line of --out}, all of the same settings."""
    seeds = collections.defaultdict(list)
    for name, seed in sorted(group):
        seeds[name].append(seed)
    lines = []
    for name in [*VARIANTS, *(name for name in seeds if name not in VARIANTS)]:
        if name in seeds:
            variant = VARIANTS.get(name, Variant())
            cells = [
                cell for model in ('sm', 'pd') for cell in columns(group, name, seeds[name], model)
            ]
            flag = group[name, seeds[name][0]]['flag']
            lines.append(
                (
                    name,
                    f'`{flag}`' if flag != '-' else flag,
                    variant.paper,
                    variant.reference,
                    *cells,
                    str(len(seeds[name])),
                )
            )
    return markdown(HEADER, lines, left=4)


def columns(group, name, seeds, model):
    """(rate, difference from the method with the same seed) of one model, each mean ± standard deviation over seeds."""
    rate = {key: row[model]['mean'] for key, row in group.items() if row.get(model)}
    failed = sum((name, seed) not in rate for seed in seeds)
    own = spread([rate[name, seed] for seed in seeds if (name, seed) in rate], '.1f')
    paired = [
        rate[name, seed] - rate[METHOD, seed]
        for seed in seeds
        if {(name, seed), (METHOD, seed)} <= set(rate)
    ]
    if failed:
        own = f'{own}; not finite: {failed}' if failed < len(seeds) else 'not finite'
    return own, '-' if name == METHOD else spread(paired, '+.1f')


def spread(values, form):
    """'51.2 ± 1.3', without the deviation (of a sample) where there is one value, '-' where there is none."""
    if not values:
        return '-'
    mean = f'{statistics.mean(values):{form}}'
    return f'{mean} ± {statistics.stdev(values):.1f}' if len(values) > 1 else mean


def caption(rows):
    """What the rows of one table have in common."""
    settings = rows[0]['settings']
    updates, people = (
        {row[key] for row in rows if row[key] is not None and 'failed' not in row}
        for key in ('updates', 'people')
    )
    return (
        f'Detection rate in % at radius {settings["radius"]} % of {settings["normaliser"]}, mean of nine joints, '
        f'on {listed(people)} held-out training people after {listed(updates)} iterations of '
        f'{settings["batch_size"]} at --width {settings["width"]}. Mean ± standard deviation over seeds; '
        'differences are from the method, paired by seed. Claims are about networks of full width, trained to the '
        f'end. Arrays {settings["data_id"]}, code {listed(row["code"] for row in rows)}, '
        f'{sum(row["seconds"] for row in rows) / 3600:.1f} hours in total.'
    )


def listed(values):
    return ' or '.join(map(str, sorted(set(values)))) or 'no'


# ---------------------------------------------------------------- command line


def parse(arguments=None):
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        '--table', action='store_true', help='print the results so far, run nothing'
    )
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=list(VARIANTS),
        metavar='NAME',
        default=[name for name in VARIANTS if name not in ASKED_FOR],
        help=f'any of: {", ".join(VARIANTS)} (default: all but {", ".join(ASKED_FOR)})',
    )
    parser.add_argument(
        '--seeds',
        nargs='+',
        type=cli.nonnegative_int,
        default=[0, 1, 2],
        metavar='SEED',
        help='(default: 0 1 2)',
    )
    parser.add_argument(
        '--train_examples',
        type=cli.positive_int,
        default=1400,
        metavar='N',
        help=f'people to train on, {NETWORK["batch_size"]} an update (default: %(default)s)',
    )
    parser.add_argument(
        '--test_examples',
        type=cli.positive_int,
        default=120,
        metavar='N',
        help='held-out people to evaluate on (default: %(default)s)',
    )
    parser.add_argument(
        '--data',
        default='arrays',
        metavar='FOLDER',
        help='folder of data.py and pairwise_distr.py (default: %(default)s)',
    )
    parser.add_argument(
        '--model_path',
        default=os.path.join('models_ex', 'ablations'),
        metavar='FOLDER',
        help='folder of the runs while they are needed (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        default=os.path.join('report', 'ablations.jsonl'),
        metavar='FILE',
        help='results (default: %(default)s)',
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    args = parse(arguments)
    if args.table:
        print(tables(read_results(args.out)))
        return
    experiments.heed_sigterm()
    run_all(args)


if __name__ == '__main__':
    cli.run_script(main)
