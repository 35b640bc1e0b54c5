"""What is said about point prompts and boxes: people made by hand."""

import numpy as np
import pytest

from jointpose.datasets import flic
from jointpose.inference import prompts
from jointpose.vision.found_person import FoundPerson

BODY = np.array(
    [(30, -40), (40, 0), (30, 30), (-30, -40), (-40, 0), (-30, 30), (20, 60), (-20, 60), (0, -80)],
    float,
)


def person(x, y, score=0.9):
    return FoundPerson(
        BODY + (x, y), np.full(9, 0.9), score, np.array([x, y]), None, None, None, score < 0.5
    )


def said(points, people):
    called = prompts.from_call(points, None)
    return prompts.messages(called, people, prompts.first_of_same(people, flic.Flic()), 0.5)


def test_a_prompt_without_a_person():
    assert said([(20, 20), (250.5, 300)], [person(20, 20, 0.004), person(250, 300)]) == {
        0: '--torso 20,20: no person found there (score 0.00, threshold 0.5)'
    }


def test_two_prompts_of_one_person():
    people = [person(100, 100), person(300, 100), person(104, 98)]
    assert prompts.first_of_same(people, flic.Flic()) == [0, 1, 0]
    assert said([(100, 100), (300, 100), (110, 110)], people) == {
        2: '--torso 100,100 and 110,110: the same person'
    }


@pytest.mark.parametrize(
    ('other', 'first'),
    [
        (person(160, 100), [0, 1]),  # a neighbour, less than a torso away
        (person(100, 100, 0.2), [0, 1]),
    ],
)  # of low score: nobody is there
def test_neighbours_are_two_people(other, first):
    assert prompts.first_of_same([person(100, 100), other], flic.Flic()) == first


def test_one_wrist_makes_no_other_person():
    moved = person(100, 100)
    moved.joints_xy[2] += 200
    assert prompts.first_of_same([person(100, 100), moved], flic.Flic()) == [0, 0]


def test_boxes_are_named_and_no_prompts_are_none():
    assert prompts.from_call(None, None) is None
    called = prompts.from_call(None, [(1, 2, 30, 40)])
    assert called == [('box', '--boxes', '1,2,30,40')]
    assert str(called[0]) == '--boxes 1,2,30,40'
    assert prompts.messages(called, [person(9, 9, 0.1)], [0], 0.3) == {
        0: '--boxes 1,2,30,40: no person found in it (score 0.10, threshold 0.3)'
    }


def test_many_lines_are_shortened():
    assert prompts.shortened(list('abc')) == list('abc')
    assert prompts.shortened(list('abcde'))[2:] == ['c', '2 more like these: see poses.json']
