"""Ablation study: variants that differ from the method in one part, trained alike.

    python -m tools.ablations                                   # all but bfloat16, seeds 0, 1, 2
    python -m tools.ablations --variants method 'squared loss'  # only these
    python -m tools.ablations --table                           # Markdown table of the results so far

Each variant is trained by main.py for one epoch, on the same people, in batches of 7, at an eighth
of the full width.  It is evaluated on people of the validation split (--validation): nothing is
chosen on the test set.  A seed decides the initial weights, the order of the samples and their
augmentation, and these are the same for all variants.  `argmax decoding` and `single scale` are
not trained: they evaluate the networks of the method with other options.

--out holds one JSON line for each variant and seed; runs that it has are skipped, so the study can
be interrupted (Ctrl-C) and started again: only the run in progress is lost.  All variants of the
first seed come before those of the next.  Checkpoints are deleted once a run is scored.  The fields:

    variant, seed, flag   flag: the options in which the variant differs from the method
    settings              what results must share to be compared
    updates, people       iterations trained, people evaluated
    pd, sm                detection rates of the part detector and of the joint model at radius 10
                          in %, of each joint and the mean of all nine, at several scales unless
                          the variant says otherwise
    seconds, code         time, version of the code that trained
    failed                only if there is no result
"""

import argparse
import itertools
import os
import shutil
import time

from jointpose.datasets import arrays
from jointpose.datasets.flic import JOINTS
from jointpose.evaluation import detection_rates, predictions
from jointpose.metrics import key_points
from jointpose.utils import cli
from jointpose.utils.errors import InputError
from tools import experiments
from tools.ablation_table import identity, read_results, tables
from tools.ablation_variants import (
    EVALUATED_VARIANTS,
    MEASURE,
    METHOD,
    NETWORK,
    ON_REQUEST,
    VARIANTS,
)

PREDICTIONS = 'predictions.mat'  # in a run's folder; main.py writes it last: the run is complete


# ---------------------------------------------------------------- running


def run_all(args) -> None:
    """Runs what --out does not have yet; appends a line for each run."""
    settings = settings_of(args)
    with experiments.open_results(args.out) as file:
        jobs = missing_jobs(args.variants, args.seeds, settings, read_results(args.out))
        print(f'{args.out}: {len(jobs)} runs to do', flush=True)
        for number, (name, seed) in enumerate(jobs, 1):
            job = f'[{number}/{len(jobs)}] {name}, seed {seed}'
            print(job, flush=True)
            row = measure(name, seed, settings, args)
            experiments.append(file, row)
            print(f'{job}: {summary(row)}', flush=True)
            delete_checkpoints(name, seed, args, settings)


def settings_of(args) -> dict:
    """What results must have in common to be compared."""
    return {
        'data_id': arrays.read_manifest(args.data)['id'],
        'train_examples': args.train_examples,
        'test_examples': args.test_examples,
        **NETWORK,
        **MEASURE,
    }


def missing_jobs(
    names: list[str], seeds: list[int], settings: dict, rows: list[dict]
) -> list[tuple[str, int]]:
    """[(variant, seed)] without a result, seed by seed.

    The method comes first and is added if other variants evaluate its networks.
    """
    wanted = set(names)
    if not wanted.isdisjoint(EVALUATED_VARIANTS):
        wanted.add(METHOD)
    done = {identity(row) for row in rows}
    jobs = []
    for seed, name in itertools.product(dict.fromkeys(seeds), VARIANTS):
        if name in wanted and identity(job_fields(name, seed, settings)) not in done:
            jobs.append((name, seed))
    return jobs


def job_fields(name: str, seed: int, settings: dict) -> dict:
    """The fields of a line of --out that say which run it is."""
    return {'variant': name, 'seed': seed, 'flag': VARIANTS[name].flag, 'settings': settings}


def measure(name: str, seed: int, settings: dict, args) -> dict:
    """Trains or evaluates one variant with one seed; returns its line of --out.

    A variant that only evaluates trains the method again if its network is gone.
    """
    evaluates = VARIANTS[name].evaluates
    trained = METHOD if evaluates else name
    run = run_folder(trained, seed, args)
    path = os.path.join(run, PREDICTIONS)
    finite = True
    began = time.time()
    if not evaluates or not os.path.exists(path):
        shutil.rmtree(run, ignore_errors=True)
        os.makedirs(run)  # main.py first checks that PREDICTIONS can be written
        began = time.time()
        finite = experiments.call_main(training_options(trained, seed, args))
    if finite and evaluates:
        path = os.path.join(run, f'{slug(name)}.mat')
        began = time.time()
        finite = experiments.call_main(evaluation_options(name, run, path, args))
    row = job_fields(name, seed, settings)
    row |= {'seconds': round(time.time() - began, 1), **experiments.facts_of(run)}
    if not finite:
        return {**row, 'people': None, 'pd': None, 'sm': None, 'failed': 'not finite'}
    return row | rates(path, args.data)


def training_options(name: str, seed: int, args) -> list:
    """The options of main.py that train this variant."""
    variant = VARIANTS[name]
    run = run_folder(name, seed, args)
    options = ['--train']
    options += [word for word in ('--use_sm', '--data_augm') if word not in variant.left_out]
    for key, value in NETWORK.items():
        options += [f'--{key}', value]
    options += [*variant.added, '--train_examples', args.train_examples, '--seed', seed]
    options += ['--run', os.path.basename(run), '--keep', 1, '--tb_folder', '']
    return [*options, *run_options(args), '--predictions', os.path.join(run, PREDICTIONS)]


def evaluation_options(name: str, run: str, path: str, args) -> list:
    """The options of main.py that evaluate the network of the method as this variant does."""
    added = VARIANTS[name].added
    return ['--restore', run, *added, *run_options(args), '--predictions', path]


def run_options(args) -> list:
    """Options that a restored run does not inherit."""
    return [
        '--validation',
        '--test_examples',
        args.test_examples,
        '--data',
        args.data,
        '--model_path',
        args.model_path,
    ]


def slug(name: str) -> str:
    """A variant's name in file names."""
    return name.replace(' ', '-')


def run_folder(name: str, seed: int, args) -> str:
    """The folder of a variant's run."""
    return os.path.join(args.model_path, f'{slug(name)}-{args.train_examples}-{seed}')


def delete_checkpoints(name: str, seed: int, args, settings: dict) -> None:
    """Deletes a scored run; that of the method only after all evaluations of its network."""
    if name == METHOD or VARIANTS[name].evaluates:
        if missing_jobs(EVALUATED_VARIANTS, [seed], settings, read_results(args.out)):
            return
        name = METHOD
    shutil.rmtree(run_folder(name, seed, args), ignore_errors=True)


def rates(path: str, data: str) -> dict:
    """The fields people, pd and sm of a line of --out, from a predictions.mat."""
    manifest = arrays.read_manifest(data)
    predicted = predictions.read(path, manifest)
    if predicted.split != 'train':
        raise InputError(f'{path}: expected predictions of held-out training people')
    truth = detection_rates.read_truth(data, manifest, 'train')
    errors = detection_rates.score(predicted, truth, MEASURE['normaliser'])
    result = {'people': len(predicted.rows)}
    for short, title in predictions.TITLES.items():
        joint_rates = key_points.detection_rate(errors[title], MEASURE['radius'])  # [9]
        result[short] = {'mean': round(float(joint_rates.mean()), 3)}
        for joint, rate in zip(JOINTS, joint_rates):
            result[short][joint] = round(float(rate), 3)
    return result


def summary(row: dict) -> str:
    """A result in one line, for the log."""
    if 'failed' in row:
        return row['failed']
    detector = row['pd']['mean']
    joint_model = row['sm']['mean']
    return f'detector {detector:.1f}, joint model {joint_model:.1f}, {row["seconds"]:.0f} s'


# ---------------------------------------------------------------- command line


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options of a command line; None: of this process's own."""
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        '--table', action='store_true', help='print the table of the results so far, run nothing'
    )
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=list(VARIANTS),
        metavar='NAME',
        default=[name for name in VARIANTS if name not in ON_REQUEST],
        help=f'any of: {", ".join(VARIANTS)} (default: all but {", ".join(ON_REQUEST)})',
    )
    parser.add_argument(
        '--seeds',
        nargs='+',
        type=cli.nonnegative_int,
        default=[0, 1, 2],
        metavar='SEED',
        help='seeds of the runs (default: 0 1 2)',
    )
    experiments.add_people(parser, train_examples=1400, test_examples=120)
    experiments.add_places(parser, runs='ablations', results='ablations.jsonl')
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing, or prints the table."""
    args = parse(arguments)
    if args.table:
        print(tables(read_results(args.out)))
        return
    experiments.heed_sigterm()
    run_all(args)


if __name__ == '__main__':
    cli.run_script(main)
