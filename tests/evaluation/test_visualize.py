"""show.py: sides and people seen from behind are told apart by colour, of every data set, in both splits."""

import cv2
import forked
import numpy as np
import pytest

from jointpose import datasets
from jointpose.datasets import arrays, flic, lsp
from jointpose.evaluation import visualize
from jointpose.vision.crops import Person
from jointpose.vision.palette import SIDE_COLOURS, rgb

FLIC = datasets.load('flic')
GREY = 90
FRONT = np.array(
    [
        (420, 200),
        (470, 260),
        (480, 330),
        (300, 200),
        (250, 260),
        (240, 330),
        (400, 340),
        (320, 340),
        (360, 140),
        (360, 270),
    ],
    np.float32,
)


def person(joints_xy, visible=None):
    k = len(joints_xy)
    visible = np.full(k, 2, np.uint8) if visible is None else visible
    return Person(
        joints_xy, visible, np.array([200, 100, 520, 400], np.float32), None, None, None, 'a.jpg'
    )


def has(image, colour, xy, radius=1):
    """Whether pixels around xy have the colour, but for JPEG's and anti-aliasing's errors."""
    x, y = map(round, map(float, xy))
    patch = image[y - radius : y + radius + 1, x - radius : x + radius + 1].astype(int)
    return (np.abs(patch - colour).max(axis=-1) < 12).any()


@pytest.mark.parametrize('predicted', [False, True])
def test_joints_have_their_sides_colour(predicted):
    frame = np.full((480, 720, 3), GREY, np.uint8)
    found_xy = FRONT[:9] + 40 if predicted else None
    image = visualize.tile(frame, person(FRONT), FLIC, found_xy, '', behind=False)
    assert image.shape == (240, 360, 3)
    for name, xy in zip(flic.JOINTS, (FRONT[:9] if found_xy is None else found_xy) / 2):
        if name != 'nose':
            assert has(image, rgb(SIDE_COLOURS[name[0]]), xy), name
            assert not has(image, rgb(SIDE_COLOURS['l' if name[0] == 'r' else 'r']), xy), name
    assert has(image, GREY, (1, 1))


def test_unlabelled_joints_are_not_drawn():
    frame, joints_xy, visible = (
        np.full((480, 720, 3), GREY, np.uint8),
        FRONT.copy(),
        np.full(10, 2, np.uint8),
    )
    joints_xy[2], visible[2] = np.nan, 0
    image = visualize.tile(frame, person(joints_xy, visible), FLIC, None, '', behind=False)
    assert has(image, GREY, FRONT[2] / 2, radius=0) and has(
        image, rgb(SIDE_COLOURS['l']), FRONT[1] / 2
    )


def test_people_from_behind_have_a_frame():
    frame = np.full((480, 720, 3), GREY, np.uint8)
    for behind in (True, False):
        image = visualize.tile(frame, person(FRONT), FLIC, None, '', behind)
        assert [
            has(image, visualize.BEHIND, xy) for xy in ((2, 120), (357, 120), (180, 2), (180, 237))
        ] == [behind] * 4


def test_who_is_seen_from_behind():
    """FLIC's arrays say so, whatever the rule was when they were written; of LSP it follows from labelled joints."""
    stored = np.zeros(2, flic.PERSON_DTYPE)
    stored['backward'] = [True, False]
    split = arrays.Split(None, np.stack([FRONT, FRONT]), stored, np.arange(2), 'train')
    assert visualize.seen_from_behind(split, FLIC).tolist() == [True, False]
    joints, people = np.zeros((3, 14, 2), np.float32), np.zeros(3, arrays.person_dtype(14))
    people['visible'] = 2
    for name in ('rsho', 'rhip'):
        joints[1:, lsp.JOINTS.index(name), 0] = 5
    people['visible'][2, lsp.JOINTS.index('lsho')] = 0
    split = arrays.Split(None, joints, people, np.arange(3), 'train')
    assert visualize.seen_from_behind(split, datasets.load('lsp')).tolist() == [False, True, False]


def test_arrays_of_the_former_rule_are_known():
    """From behind, swapped rightly; only hips crossed, swapped; only hips crossed, as annotated."""
    annotated = np.stack([FRONT[list(flic.FLIP)], FRONT, FRONT])
    annotated[1:, [6, 7]] = annotated[1:, [7, 6]]
    stored = np.zeros(3, flic.PERSON_DTYPE)
    stored['backward'] = [True, True, False]
    joints_xy = np.where(stored['backward'][:, None, None], flic.swap_sides(annotated), annotated)
    assert visualize.wrongly_swapped(
        arrays.Split(None, joints_xy, stored, np.arange(3), 'train'), FLIC
    ).tolist() == [False, True, False]


@pytest.mark.parametrize('rows', [1, 2, 5, 12, 100])
def test_people_are_evenly_spread(rows):
    got = visualize.spread(np.arange(rows) * 3, 5)
    assert len(got) == min(rows, 5) == len(set(got)) and got[0] == 0 and got[-1] == 3 * (rows - 1)
    assert len(visualize.spread(np.arange(0), 5)) == 0


@pytest.mark.parametrize(
    'dataset',
    ['flic', *(pytest.param(name, marks=pytest.mark.long) for name in ('lsp', 'mpii')), 'coco'],
)
def test_every_data_set_is_shown(tmp_path, dataset):
    """A train and a test person of those that data.py --synthetic draws, or the one split asked for."""

    def run(*arguments):
        result = forked.run(arguments, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        return result.stdout

    run('data.py', '--dataset', dataset, '--synthetic', 12, '--out', 'made', '--workers', 1)
    out = run('show.py', '--data', 'made', '--people', 3, '--out', 'both.png')
    assert 'train: ' in out and 'test: ' in out and f'{dataset}: left is' in out
    both = cv2.imread(str(tmp_path / 'both.png'))
    assert both.shape == (240, 4 * 360, 3) and not both[:, 3 * 360 :].any()
    out = run('show.py', '--data', 'made', '--split', 'train', '--people', 2, '--out', 'train.png')
    assert 'test: ' not in out
    train = cv2.imread(str(tmp_path / 'train.png'))
    np.testing.assert_array_equal(
        train[:, : 2 * 360], both[:, : 2 * 360]
    )  # two train people, one test one


def test_options_that_do_not_go_together(tmp_path):
    for words, arguments in (
        ('--split', ['some.mat', '--split', 'train']),
        ('--worst', ['--worst']),
    ):
        result = forked.run(['show.py', *arguments], cwd=tmp_path)
        assert result.returncode == 2 and words in result.stderr.splitlines()[-1], result.stderr


@pytest.mark.parametrize(
    'settings, name', [({}, 'flic'), ({'source': 'own'}, 'custom data'), ({'source': 'lsp'}, 'lsp')]
)
def test_data_of_any_source_is_named(settings, name):
    assert visualize.source_of({'dataset': 'flic', 'settings': settings}) == name
