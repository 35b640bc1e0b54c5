"""The results of tools.ablations: reading and checking its lines, and its Markdown tables."""

import collections
import json
import statistics
import sys

from jointpose.utils.errors import InputError
from jointpose.utils.tables import markdown
from tools.ablation_variants import MEASURE, METHOD, NETWORK, VARIANTS, Variant

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


# {(variant, seed): line of --out}, of runs with the same settings
Group = dict[tuple[str, int], dict]


# ---------------------------------------------------------------- results


def identity(row: dict) -> tuple:
    """What distinguishes a line of --out from the others: variant, seed, flag and settings."""
    settings = json.dumps(row['settings'], sort_keys=True)
    return row['variant'], row['seed'], row['flag'], settings


def read_results(path: str) -> list[dict]:
    """The lines of --out.  One damaged line, as a power failure leaves it, is skipped.

    Raises InputError if the file cannot be read or more than one line is damaged.
    """
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            lines = file.readlines()
    except OSError as error:
        raise InputError(f'--out {path}: {error.strerror}') from error
    rows = []
    damaged = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            check_row(row)
            rows.append(row)
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged.append(str(number))
    if len(damaged) > 1:
        raise InputError(f'--out {path}: lines {", ".join(damaged)} are damaged')
    if damaged:
        print(f'warning: {path}: line {damaged[0]} is damaged and skipped', file=sys.stderr)
    return rows


def check_row(row: dict) -> None:
    """Raises ValueError, KeyError or TypeError if a line lacks what the table needs."""
    identity(row)
    if 'failed' not in row:
        for model in ('pd', 'sm'):
            float(row[model]['mean'])
        int(row['people'])
    for key in ('updates', 'seconds', 'code'):
        row[key]
    for key in ('data_id', 'train_examples', 'test_examples', *NETWORK, *MEASURE):
        row['settings'][key]


# ---------------------------------------------------------------- tables


def tables(rows: list[dict]) -> str:
    """Markdown: a table for each set of settings, with a caption of what its results share.

    Of several results of the same variant and seed, the latest counts.
    """
    if not rows:
        raise InputError('no results yet')
    groups = collections.defaultdict(dict)
    for row in rows:
        settings = json.dumps(row['settings'], sort_keys=True)
        groups[settings][row['variant'], row['seed']] = row
    parts = []
    for group in groups.values():
        parts += [table(group), caption(list(group.values()))]
    return '\n\n'.join(parts)


def table(group: Group) -> str:
    """One Markdown table, a line for each variant, in the order of VARIANTS."""
    seeds = collections.defaultdict(list)
    for name, seed in sorted(group):
        seeds[name].append(seed)
    unknown = [name for name in seeds if name not in VARIANTS]
    lines = [
        variant_cells(group, name, seeds[name]) for name in [*VARIANTS, *unknown] if name in seeds
    ]
    return markdown(HEADER, lines, left=4)


def variant_cells(group: Group, name: str, seeds: list[int]) -> tuple[str, ...]:
    """The cells of a variant, one for each of HEADER."""
    variant = VARIANTS.get(name, Variant())  # an earlier version may have had other variants
    flag = group[name, seeds[0]]['flag']
    return (
        name,
        flag if flag == '-' else f'`{flag}`',
        variant.paper,
        variant.reference,
        *rate_cells(group, name, seeds, 'sm'),
        *rate_cells(group, name, seeds, 'pd'),
        str(len(seeds)),
    )


def rate_cells(group: Group, name: str, seeds: list[int], model: str) -> tuple[str, str]:
    """(rate, difference) of a model, 'pd' or 'sm', each as mean ± standard deviation over seeds.

    The difference is that from the method with the same seed.
    """
    rates = {key: row[model]['mean'] for key, row in group.items() if row.get(model)}
    own = []
    differences = []
    for seed in seeds:
        if (name, seed) in rates:
            own.append(rates[name, seed])
            if (METHOD, seed) in rates:
                differences.append(rates[name, seed] - rates[METHOD, seed])
    n_failed = len(seeds) - len(own)
    if not own:
        rate = 'not finite'
    elif n_failed:
        rate = f'{spread(own, ".1f")}; not finite: {n_failed}'
    else:
        rate = spread(own, '.1f')
    return rate, '-' if name == METHOD else spread(differences, '+.1f')


def spread(values: list[float], number_format: str) -> str:
    """'51.2 ± 1.3': mean and sample standard deviation.  One value has none; '-' if there is none."""
    if not values:
        return '-'
    mean = f'{statistics.mean(values):{number_format}}'
    return f'{mean} ± {statistics.stdev(values):.1f}' if len(values) > 1 else mean


def caption(rows: list[dict]) -> str:
    """What the rows of one table have in common."""
    settings = rows[0]['settings']
    finished = [row for row in rows if 'failed' not in row]
    people = listed(row['people'] for row in finished)
    iterations = listed(row['updates'] for row in finished)
    versions = listed(row['code'] for row in rows)
    hours = sum(row['seconds'] for row in rows) / 3600
    return (
        f'Detection rate in % at radius {settings["radius"]} % of {settings["normaliser"]}, '
        f'mean of nine joints, on {people} held-out training people after {iterations} iterations '
        f'of {settings["batch_size"]} at --width {settings["width"]}. '
        'Mean ± standard deviation over seeds; differences are from the method, paired by seed. '
        'Claims are about networks of full width, trained to the end. '
        f'Arrays {settings["data_id"]}, code {versions}, {hours:.1f} hours in total.'
    )


def listed(values) -> str:
    """The distinct values, as '1 or 2'; 'no' if there are none."""
    return ' or '.join(str(value) for value in sorted(set(values)) if value is not None) or 'no'
