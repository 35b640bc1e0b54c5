"""Fails unless training raised the area under the curve: `demo_check.py BEFORE.csv AFTER.csv`."""
import csv
import sys


def mean_rates(path):
    """{model: {radius: detection rate, mean over the joints, %}} from evaluate.py's csv."""
    rates = {}
    with open(path, encoding='utf-8') as file:
        for row in csv.DictReader(file):
            if row['joint'].startswith('mean'):
                rates.setdefault(row['model'], {})[float(row['radius'])] = float(row['rate'])
    return rates


def main():
    before, after = map(mean_rates, sys.argv[1:])
    worse = False
    for model in after:
        print(f'{model}: {before[model][10]:.1f} % before training, {after[model][10]:.1f} % after, at radius 10')
        worse |= sum(after[model].values()) <= sum(before[model].values())
    return 'training did not help' if worse else 0


if __name__ == '__main__':
    sys.exit(main())
