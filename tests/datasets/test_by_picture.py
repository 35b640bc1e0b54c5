"""FLIC's people by frame, against a dictionary."""

import collections

import numpy as np

from jointpose.datasets import arrays, flic


def split_of(files, rng):
    """A split of people on these frames; a frame's pixels are its name's number."""
    stored = np.zeros(len(files), flic.PERSON_DTYPE)
    stored['file'] = [f'{file}.jpg' for file in files]
    stored['torsobox'] = np.column_stack(
        [rng.uniform(0, 300, (len(files), 2)), rng.uniform(320, 400, (len(files), 2))]
    )
    joints_xy = rng.uniform(0, 480, (len(files), flic.N_MAPS, 2)).astype(np.float32)
    images = np.repeat(np.array(files, np.uint8), 4).reshape(-1, 2, 2)
    return arrays.Split(
        images,
        joints_xy,
        flic.Flic().complete_people(stored, joints_xy),
        np.arange(len(files)),
        'train',
    )


def test_people_of_a_frame_come_together():
    files = [30, 7, 7, 12, 30, 30, 5]
    split = split_of(files, np.random.default_rng(0))
    pictures = arrays.by_picture(split, 2)
    wanted = collections.defaultdict(list)
    for row in np.argsort(-split.people['area']):  # large ones first, two at most
        wanted[f'{files[row]}.jpg'] += [row][: 2 - len(wanted[f'{files[row]}.jpg'])]
    assert len(pictures.images) == len(pictures.people) == 4
    for i, record in enumerate(pictures.people):
        rows = wanted.pop(str(record['file']))
        assert (pictures.images[i] == files[rows[0]]).all()
        np.testing.assert_array_equal(pictures.joints[i][: len(rows)], split.joints[rows])
        np.testing.assert_array_equal(record['unit'][: len(rows)], split.people['unit'][rows])
        assert record['visible'][: len(rows)].all() and not record['visible'][len(rows) :].any()
    assert not wanted


def test_groups_and_people_without_joints_come_last():
    """A group fills a free place, but no picture is trained on for its sake alone."""
    files = [7, 7, 7, 7, 12]
    split = split_of(files, np.random.default_rng(0))
    split.people['area'] = [10, 20, 30, 40, 50]
    split.people['visible'][[1, 3]] = 0
    split.people['crowd'] = [False, False, False, True, True]
    for most, rows in ((4, [2, 0, 1, 3]), (3, [2, 0, 1]), (2, [2, 0])):
        (record,) = arrays.by_picture(split, most).people
        assert record['rows'][: len(rows)].tolist() == rows
    split.people['crowd'][4] = False
    assert len(arrays.by_picture(split, 4).people) == 2
