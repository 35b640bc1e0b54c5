"""Tables of rates with bootstrap intervals, and of the differences between models.

errors: {model: [n, k]}, of the same n people and k joints, in the unit of the radius; NaN where a
joint has no label.  groups: [(label of a row, the joints that it averages), ...].  clusters: {title
of a column: the clusters of the people that intervals.py draws together, or None}.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from jointpose.metrics.intervals import difference_intervals, rate_intervals
from jointpose.metrics.key_points import detection_rate
from jointpose.utils.tables import markdown

Groups = Sequence[tuple[str, Sequence[int]]]


def interval_table(
    errors: dict[str, np.ndarray], radii: Sequence[float], groups: Groups, clusters: Mapping
) -> str:
    """The rates of each model at each radius, with an interval for each of `clusters`, in Markdown."""
    header = ['joint', 'model']
    for radius in radii:
        header += [f'@{radius:g}', *clusters]
    rows = []
    for model, of_model in errors.items():
        of_groups = [[label, model] for label, _ in groups]
        for radius in radii:
            add_rates(of_groups, of_model, radius, groups, clusters)
        rows += of_groups
    return markdown(header, rows, left=2)


def add_rates(rows: list[list[str]], errors: np.ndarray, radius, groups: Groups, clusters) -> None:
    """Appends the cells of a model [n, k] at one radius to the rows of the groups."""
    rates = detection_rate(errors, radius)
    columns = [columns for _, columns in groups]
    for row, of_group in zip(rows, columns):
        row.append(f'{rates[list(of_group)].mean():.1f}')
    for of_people in clusters.values():
        intervals = rate_intervals(errors, radius, columns, of_people)
        for row, interval in zip(rows, intervals):
            row.append(interval_text(interval))


def difference_table(
    errors: dict[str, np.ndarray], radius: float, groups: Groups, clusters: Mapping
) -> str:
    """How much higher the last model's rates are than each other model's, in Markdown."""
    *others, last = errors
    columns = [columns for _, columns in groups]
    rates = {model: detection_rate(of_model, radius) for model, of_model in errors.items()}
    rows = []
    for model in others:
        difference = rates[last] - rates[model]
        intervals = []
        for of_people in clusters.values():
            pairs = difference_intervals(errors[last], errors[model], radius, columns, of_people)
            intervals.append([interval_text(pair, '+.1f') for pair in pairs])
        for (label, of_group), *cells in zip(groups, *intervals):
            mean = difference[list(of_group)].mean()
            rows.append([label, f'{last} - {model}', f'{mean:+.1f}', *cells])
    return markdown(['joint', 'models', f'@{radius:g}', *clusters], rows, left=2)


def interval_text(interval, form: str = '.1f') -> str:
    """Returns (77.61, 83.98) as '77.6 to 84.0'; '-' where there is no interval."""
    low, high = interval
    return '-' if np.isnan(low) else f'{low:{form}} to {high:{form}}'
