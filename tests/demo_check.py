"""Fails unless training raised the area under the curve: `demo_check.py BEFORE.csv AFTER.csv`."""

import csv
import sys

DETECTOR, JOINT_MODEL = 'part detector', 'joint model'
WHY = """The joint model finds fewer wrists than its detector here. A few dozen updates leave the spatial model near its
priors, and these say least about wrists: seen from its other joints, a drawn person's wrist scatters by 0.6 torso
lengths (shoulders: 0.35; FLIC's wrists: 0.36). On FLIC, trained to the end, the joint model is ahead by 5.6 points
(report/rates.md)."""


def rates(path, row_name):
    """{model: {radius: detection rate, %}} of the rows of evaluate.py's csv whose names begin so."""
    found = {}
    with open(path, encoding='utf-8') as file:
        for row in csv.DictReader(file):
            if row['joint'].startswith(row_name):
                found.setdefault(row['model'], {})[float(row['radius'])] = float(row['rate'])
    return found


def main():
    before, after = (rates(path, 'mean') for path in sys.argv[1:])
    worse = False
    for model in after:
        print(
            f'{model}: {before[model][10]:.1f} % before training, {after[model][10]:.1f} % after, at radius 10'
        )
        worse |= sum(after[model].values()) <= sum(before[model].values())
    wrist = {model: rate[10] for model, rate in rates(sys.argv[2], 'wrist').items()}
    if wrist.get(JOINT_MODEL, 100) < wrist[DETECTOR]:
        print(
            f'wrists: {JOINT_MODEL} {wrist[JOINT_MODEL]:.1f} %, {DETECTOR} {wrist[DETECTOR]:.1f} %. {WHY}'
        )
    return 'training did not help' if worse else 0


if __name__ == '__main__':
    sys.exit(main())
