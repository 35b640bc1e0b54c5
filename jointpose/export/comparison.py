"""Compares an exported file with the network it was made from."""

import argparse
import contextlib
import os
import sys
import time

import numpy as np

from jointpose import datasets
from jointpose.datasets import arrays, flic
from jointpose.datasets.synthetic import flic_set
from jointpose.datasets.synthetic.poses import COLUMNS
from jointpose.export.network import Arrays, Run
from jointpose.inference import pose_estimator
from jointpose.training import batches
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError

TOLERANCE = 1e-4  # of heat maps, as a fraction of their highest cell, which is at most 1
TIMED_RUNS = 3


# --- what is fed ----------------------------------------------------------------------------------


def inputs_to_check(
    system, options: argparse.Namespace, folder: str | None, n: int
) -> tuple[Arrays, str]:
    """Inputs of the network to compare on.

    Args:
        folder: arrays, --data; None: those of the run's data set, or drawn people if there are
            none.
        n: how many people.

    Returns:
        ({name: array [n, ...]}, what they are, in words)
    """
    plain = type(system)(argparse.Namespace(**{**vars(options), 'data_augm': False}))
    data = folder or options.data or arrays.default_folder(options.dataset)
    manifest = {}
    if folder or os.path.exists(os.path.join(data, arrays.MANIFEST)):
        manifest = arrays.read_manifest(data)
    has_points = bool(manifest) and has_joints_of(system, manifest)
    if folder and not has_points:
        raise InputError(
            f'--data {folder}: holds {manifest["dataset"]}, the run was trained on '
            f'{options.dataset}'
        )
    if has_points:
        batch, source = stored_batch(plain, data, manifest, n)
    else:
        batch = drawn_batch(plain, n)
        source = f'{counted(n, "drawn person")}'
    inputs = {name: batch.targets[name] for name in system.exported_inputs}
    return {'image': batch.images, **inputs}, source


def has_joints_of(system, manifest: dict) -> bool:
    """Whether arrays are of the system's data set, with its key points."""
    stored = datasets.of_manifest(manifest)
    data_set = system.dataset
    return stored.name == data_set.name and tuple(stored.joints) == tuple(data_set.joints)


def stored_batch(system, data: str, manifest: dict, n: int) -> tuple[batches.Batch, str]:
    """(batch of n test people of arrays, what they are, in words)."""
    split = arrays.load_split(data, 'test', manifest)
    people = arrays.system_samples(split, system.MAX_PEOPLE)
    if not len(people.images):
        raise InputError(f'--data {data}: no test people')
    people = arrays.evenly_spaced(people, n)
    n = len(people.images)
    return batches.plain_batch(system, people, range(n)), f'{counted(n, "test person")} of {data}'


def drawn_batch(system, n: int) -> batches.Batch:
    """A batch of n drawn people."""
    norm_lengths = []
    samples = []
    for index in range(n):
        drawn = flic_set.render(0, index)
        person = pose_estimator.whole_image_person(system, drawn.image, torso_of(drawn))
        norm_lengths.append(person.norm_length)
        samples.append(system.test_sample(drawn.image, person))
    return batches.collate(system, range(n), norm_lengths, samples)


def torso_of(drawn) -> np.ndarray:
    """Middle of the torso of a drawn picture's first person, pixels."""
    columns = [COLUMNS[joint] for joint in flic.JOINTS]
    return flic.add_torso(drawn.people[0][:, columns].T)[-1]


def first(inputs: Arrays) -> Arrays:
    """The first frame alone."""
    return {name: values[:1] for name, values in inputs.items()}


# --- the comparison -------------------------------------------------------------------------------


def seconds_a_frame(run: Run, inputs: Arrays) -> float:
    """Of the best of TIMED_RUNS on the first frame alone, after one for warming up."""
    times = []
    for _ in range(1 + TIMED_RUNS):
        start = time.perf_counter()
        run(first(inputs))
        times.append(time.perf_counter() - start)
    return min(times[1:])


def check(
    path: str, opened: contextlib.AbstractContextManager[Run], inputs: Arrays, expected: Arrays
) -> None:
    """Prints a file's size, speed and differences; exits if the differences are too large.

    They are those on all frames together and on the first alone.
    """
    with opened as run:
        pairs = [(run(inputs), expected), (run(first(inputs)), first(expected))]
        seconds = seconds_a_frame(run, inputs)
    differences = []
    limits = []
    joint_differences = []
    for got, want in pairs:
        for name in want:
            difference = np.abs(got[name] - want[name]).max()
            if name == 'joints':
                joint_differences.append(difference)
            elif name != 'part_detector_joints':  # these are pixels, all else has a map's scale
                differences.append(difference)
                limits.append(TOLERANCE * np.abs(want[name]).max())
    name = os.path.basename(path)
    line = f'  {name:13}{size(path) / 1e6:8.1f} MB{seconds:8.3f} s a frame; '
    line += f'maps within {max(differences):.1e}'
    if joint_differences:
        line += f', joints within {max(joint_differences):.4f} pixels'
    print(line, flush=True)
    if not np.less_equal(differences, limits).all():  # NaN compares false
        sys.exit(
            f"export.py: error: {name}: its maps differ from the network's by more than "
            f'{TOLERANCE:.0e} of their highest cell: nothing was exported'
        )


def size(path: str) -> int:
    """Bytes of a file, or of all files of a folder."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            total += os.path.getsize(os.path.join(folder, name))
    return total
