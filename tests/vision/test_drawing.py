"""People drawn on images: sizes, labels, low scores."""

import itertools

import numpy as np
import pytest

from jointpose.datasets import flic
from jointpose.vision import drawing, text_labels
from jointpose.vision.found_person import FoundPerson

BODY = np.array(
    [(30, -40), (45, 0), (40, 40), (-30, -40), (-45, 0), (-40, 40), (20, 60), (-20, 60), (0, -80)],
    float,
)


def person(x, y, size=1.0, score=0.9, low_score=False):
    return FoundPerson(
        size * BODY + (x, y), np.full(9, 0.9), score, np.array([x, y]), None, None, None, low_score
    )


def black(width, height):
    return np.zeros((height, width, 3), np.uint8)


def inked(image, *box):
    left, top, right, bottom = box
    return int((image[top:bottom, left:right].max(axis=2) > 100).sum())


def trunk_width(drawn, x, y, size):
    """Width in pixels of the line from shoulder to hip of a person drawn at (x, y) in that size."""
    row = drawn[round(y - 10 * size), round(x + 14 * size) : round(x + 34 * size)]
    return int((row.max(axis=1) > 100).sum())


def test_size_is_of_clear_limbs():
    assert drawing.median_limb(person(0, 0, 2.0), flic.Flic()) == pytest.approx(
        2 * drawing.median_limb(person(0, 0), flic.Flic())
    )
    strayed = person(0, 0)
    strayed.joints_xy[[2, 5]] += 1000
    strayed.scores[[2, 5]] = 0.1
    assert drawing.median_limb(strayed, flic.Flic()) < 1.5 * drawing.median_limb(
        person(0, 0), flic.Flic()
    )


def test_line_widths_follow_the_size_of_a_person():
    """The line from shoulder to hip of a small and of a large person in one image."""
    drawn = drawing.draw_poses(
        black(2000, 1000), [person(300, 500), person(1200, 500, 5)], flic.Flic()
    )
    small = trunk_width(drawn, 300, 500, 1)
    large = trunk_width(drawn, 1200, 500, 5)
    assert 1 <= small <= 8 and large >= 2 * small


@pytest.mark.parametrize('long', [64, 720, 4000])
def test_a_person_of_any_size_is_seen(long):
    """A person of a tenth of the image has a line of a pixel on a screen, and a label."""
    scale = long / 720
    drawn = drawing.draw_poses(
        black(long, long), [person(360 * scale, 360 * scale, 0.5 * scale)], flic.Flic()
    )
    unit = max(drawn.shape) / 720
    middle = 360 * unit
    width = trunk_width(drawn, middle, middle, 0.5 * unit)
    assert unit <= width <= 5 * unit
    left = round(middle - 40 * unit)
    right = round(middle + 40 * unit)
    assert (
        inked(drawn, left, round(middle - 90 * unit), right, round(middle - 50 * unit))
        > 20 * unit**2
    )


def texts_of(monkeypatch, *arguments):
    texts = []
    monkeypatch.setattr(
        'jointpose.vision.text_labels.write_text', lambda image, text, *_: texts.append(text)
    )
    drawing.draw_poses(*arguments)
    return texts


def test_two_people_have_numbers_and_named_joints(monkeypatch):
    texts = texts_of(
        monkeypatch,
        black(720, 480),
        [person(200, 240, 1.3), person(500, 240, 1.3, 0.75)],
        flic.Flic(),
    )
    assert (
        texts[:2] == ['1: 0.90', '2: 0.75']
        and len(texts) == 2 + 18
        and texts.count('lwri 0.90') == 2
    )


def test_small_people_of_many_have_numbers_only(monkeypatch):
    people = [person(x, 240, 0.5) for x in (100, 300, 500)]
    assert texts_of(monkeypatch, black(720, 480), people, flic.Flic(), [7, 8, 9]) == [
        '7: 0.90',
        '8: 0.90',
        '9: 0.90',
    ]


def test_low_score_is_thin_and_dashed(monkeypatch):
    clear, low = (
        drawing.draw_poses(black(720, 480), [person(360, 240, 2, low_score=flag)], flic.Flic())
        for flag in (False, True)
    )
    assert np.count_nonzero(low) < 0.6 * np.count_nonzero(clear)
    side = low[170:350, 390:440].max(axis=(1, 2)) > 100  # along the line from shoulder to hip
    assert sum(one != other for one, other in itertools.pairwise(side)) >= 3
    assert texts_of(
        monkeypatch, black(720, 480), [person(360, 240, 2, 0.1, True)], flic.Flic()
    ) == ['1: 0.10']


@pytest.mark.parametrize('scale', [0.45, 1, 2.2])
def test_the_outline_of_a_text_surrounds_it(scale):
    """On grey, the outline extends one line width beyond the text on all four sides."""
    image = np.full((120, 900, 3), 100, np.uint8)
    text_labels.write_text(image, 'from behind, 12', (20, 90), scale, (255, 255, 255))
    bright, dark = (np.argwhere(mask) for mask in (image[..., 0] > 130, image[..., 0] < 70))
    assert len(bright) and len(dark)
    width = round(1.5 * scale)
    for first, last in (
        (bright.min(axis=0), dark.min(axis=0)),
        (dark.max(axis=0), bright.max(axis=0)),
    ):
        assert (np.abs(first - last) <= width + 1).all()
