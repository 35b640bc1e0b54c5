"""People found by the torso's field: in maps made for people of known place and size."""

import numpy as np
import pytest
from bodies import OFFSETS, energies_of, person

from jointpose.datasets import flic
from jointpose.systems.tompson import people_search, torso_inference
from jointpose.vision.affine import transform_points

PRIORS = torso_inference.priors(energies_of(OFFSETS), flic.Flic())


def camera(folk):
    """look(views) of a detector that sees each of the folk, (torso_xy [2], torso's length) pixels
    of the picture: all four joints where they are in the view."""

    def look(views):
        maps = np.full((len(views), 60, 90, 9), 1e-6)
        for one, view in zip(maps, views):
            for torso_xy, length in folk:
                size = length * view.matrix[0, 0] / people_search.TORSO
                for name, offset in OFFSETS.items():
                    column, row = np.floor(
                        transform_points(view.matrix, torso_xy) / 8 + size * np.array(offset)
                    ).astype(int)
                    if 0 <= row < 60 and 0 <= column < 90:
                        one[row, column, flic.JOINTS.index(name)] += 1
        return maps / maps.sum(axis=(1, 2), keepdims=True)

    return look


def image(width, height):
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ('width', 'height'), [(720, 480), (300, 900), (2000, 500), (31, 17), (720, 481)]
)
def test_tiles_show_every_point_in_their_middle_half(width, height):
    """Of each zoom some view shows a point no nearer to its border than a quarter of a frame,
    unless that is the picture's own; and what the view shows there is the picture."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (height, width, 3), np.uint8)
    views = list(people_search.pyramid_views(picture))
    for x, y in rng.uniform(0, (width, height), (20, 2)):
        for zoom in people_search.ZOOMS:
            scale = zoom * min(720 / width, 480 / height)
            there = [
                transform_points(view.matrix, (x, y))
                for view in views
                if abs(view.matrix[0, 0] / scale - 1) < 0.05
            ]
            near = [min(at) >= 0 and at[0] < 720 and at[1] < 480 for at in there]
            assert any(near)
            deep = [min(max(at[0], 720 - at[0]) - 360, 0) for at in there]
            assert max(deep) <= 0
    same = next(view for view in people_search.pyramid_views(image(720, 480) + 7, (1,)))
    np.testing.assert_array_equal(same.matrix, [[1, 0, 0], [0, 1, 0]])
    assert (same.image == 7).all()


@pytest.mark.parametrize(
    ('width', 'height'), [(720, 480), (300, 900), (2000, 500), (31, 17), (721, 480)]
)
def test_the_same_part_of_the_next_picture(width, height):
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 255, (2, height, width, 3), np.uint8)
    for one, other in zip(people_search.pyramid_views(first), people_search.pyramid_views(second)):
        found = people_search.same_region(second, one)
        np.testing.assert_allclose(found.matrix, one.matrix)
        np.testing.assert_array_equal(found.image, other.image)


def test_a_view_shows_what_its_matrix_says():
    picture = image(800, 600)
    picture[300:320, 500:520] = 255
    for zoom in (0.5, 1, 2):
        view = people_search.view_around(picture, zoom, (510, 310))
        y, x = np.argwhere(view.image[..., 0] > 128).mean(axis=0) + 0.5
        np.testing.assert_allclose(transform_points(view.matrix, (510, 310)), (x, y), atol=0.6)


def test_a_small_box_takes_no_memory():
    """In the size that a person of eight pixels asks for, the whole picture would be 80 gigabytes;
    the views show its pixels where their matrices say."""
    picture = np.random.default_rng(2).integers(0, 255, (4000, 6000, 3), np.uint8)
    views = []
    people_search.detect_in_box(
        lambda seen: views.extend(seen) or np.full((3, 60, 90, 9), 1e-6),
        PRIORS,
        picture,
        (5003, 707, 3, 8),
    )
    for view in views:
        scale = view.matrix[0, 0]
        assert 25 < scale < 60
        for xy in np.floor(transform_points(view.matrix, (5004.5, 711.5))) + [
            (0, 0),
            (scale, 0),
            (0, scale),
        ]:
            x, y = np.floor(people_search.to_picture(view, xy)).astype(int)
            np.testing.assert_allclose(view.image[int(xy[1]), int(xy[0])], picture[y, x], atol=8)
    np.testing.assert_array_equal(
        people_search.same_region(picture, views[0]).image, views[0].image
    )


def test_people_of_one_view_are_told_apart():
    """Four of them, whose field would sink below LOWEST if each had a quarter of the maps; and a joint on its own."""
    maps = np.full((1, 60, 90, 9), 1e-6)
    places = [(12, 30, 1), (33, 30, 0.8), (54, 30, 0.6), (76, 30, 0.4)]
    for column, row, mass in places:
        person(maps, column, row, mass)
    maps[0, 10, 50, 0] += 0.1
    found = people_search.detect_in_view(maps[0] / maps[0].sum(axis=(0, 1)), PRIORS).people
    np.testing.assert_allclose(
        [one.torso_xy for one in found[:4]], [(8 * x + 4, 8 * y + 4) for x, y, _ in places], atol=4
    )
    assert len(found) == 4 and all(one.score > -6 for one in found)


def test_people_of_three_sizes():
    folk = [((200, 240), 131), ((560, 120), 60), ((500, 330), 250)]
    found = people_search.detect_people(camera(folk), PRIORS, image(720, 480))
    assert len(found) == 3
    for xy, length in folk:
        one = min(found, key=lambda one: np.linalg.norm(one.torso_xy - xy))
        assert np.linalg.norm(one.torso_xy - xy) < 0.1 * length
        assert 0.6 < people_search.torso_length(one) / length < 1.6


def test_nobody():
    assert people_search.detect_people(camera([]), PRIORS, image(720, 480)) == []


@pytest.mark.parametrize('length', [66, 131, 240])
def test_a_click_beside_the_torso_means_it(length):
    """And the size is that of the person, whatever else there is."""
    folk = [((400, 220), length), ((80, 200), 131)]
    for angle in np.linspace(0, 6, 7):
        click = np.array([400, 220]) + 0.25 * length * np.array([np.cos(angle), np.sin(angle)])
        seen = people_search.detect_at_point(camera(folk), PRIORS, image(720, 480), click)
        assert np.linalg.norm(seen.torso_xy - (400, 220)) < 0.1 * length
        assert 0.6 < people_search.torso_length(seen) / length < 1.6


def test_a_click_on_nothing_stays():
    seen = people_search.detect_at_point(camera([]), PRIORS, image(720, 480), (100, 50))
    np.testing.assert_array_equal(seen.torso_xy, (100, 50))
    assert people_search.detection_probability(seen.torso_score) < 0.2


@pytest.mark.parametrize(('torsos', 'depth'), people_search.BOX_SHAPES)
def test_boxes_of_whole_and_half_people(torsos, depth):
    height = torsos * 80
    box = (300, 100, 120, height)
    torso_xy = (360, 100 + depth * height)
    seen = people_search.detect_in_box(
        camera([(torso_xy, 80), ((150, 300), 80)]), PRIORS, image(720, 480), box
    )
    assert (
        np.linalg.norm(seen.torso_xy - torso_xy) < 12
        and 0.6 < people_search.torso_length(seen) / 80 < 1.6
    )


def test_certainty_rises_with_the_field():
    values = [
        people_search.detection_probability(field)
        for field in (-20, people_search.MIN_SCORE, people_search.CALIBRATION[0], -2, 0)
    ]
    assert values == sorted(values) and values[2] == 0.5 and values[0] >= 0 and values[-1] <= 1
    assert people_search.detection_probability(-4.0, (-4.5, 2)) == pytest.approx(
        1 / (1 + np.exp(-1))
    )


def two_people():
    """Maps [60, 90, 9] of two people, who share all mass."""
    maps = np.full((1, 60, 90, 9), 1e-6)
    person(maps, 30, 30, 1)
    person(maps, 45, 30, 1)
    return maps[0] / maps[0].sum(axis=(0, 1))


@pytest.mark.parametrize(
    ('click', 'expected'), [((30, 30), 30), ((34, 30), 30), ((41, 31), 45), ((45, 26), 45)]
)
def test_a_prompt_beside_a_person_means_one_of_them(click, expected):
    xy = 8 * np.array(click) + 4
    found = people_search.select_prompted(
        people_search.detect_in_view(two_people(), PRIORS),
        PRIORS,
        people_search.cells_near(xy, 0.4 * people_search.TORSO),
    )
    np.testing.assert_allclose(found.torso_xy, (8 * expected + 4, 8 * 30 + 4), atol=4)
    assert found.score > -3


def wide_priors():
    """Priors of joints up to a torso's width from where OFFSETS have them."""
    row, column = np.mgrid[:120, :180]
    bumps = [
        np.exp(-((row - 60 - down) ** 2 + (column - 90 - right) ** 2) / 60)
        for right, down in (OFFSETS[flic.JOINTS[joint]] for joint in PRIORS.joints)
    ]
    values = np.stack(bumps)
    return torso_inference.Priors(PRIORS.joints, values, np.conj(np.fft.rfft2(values)))


@pytest.mark.parametrize('click', [(304, 164), (304, 244), (20, 20), (700, 244)])
def test_a_prompt_where_nobody_is_combines_no_people(click):
    """Between two people their four joints nearest to it fit a torso."""
    wanted, maps, priors = people_search.cells_near(click, 40), two_people(), wide_priors()
    if click == (304, 244):
        assert torso_inference.locate(maps, priors, wanted).score > people_search.CALIBRATION[0]
    found = people_search.select_prompted(
        people_search.detect_in_view(maps, priors), priors, wanted
    )
    assert found.score < people_search.MIN_SCORE
    assert np.linalg.norm(found.torso_xy - click) <= 48


def trunk(x, y, length=100, score=0.9, lean=(0, 1)):
    """The Trunk whose hips are at (x, y), pixels; lean: the direction from the shoulders to the hips."""
    hips_xy = np.array([x, y], float)
    return people_search.Trunk(
        hips_xy - length * np.array(lean) / np.linalg.norm(lean), hips_xy, score
    )


@pytest.mark.parametrize(
    ('one', 'trousers'),
    [
        (trunk(300, 400, score=0.8), True),  # from the hips to the knees
        (trunk(320, 370, 70, 0.8), True),
        (trunk(300, 400, score=0.95), True),
        (trunk(300, 400, score=1.0), True),
        (trunk(300, 480, 110, 0.8), False),  # in front: below the knees
        (trunk(380, 400, score=0.8), False),  # beside
        (trunk(300, 420, 150, 0.8), False),  # nearer
        (trunk(300, 300, score=0.8), False),
        (trunk(300, 100, score=0.8), False),
    ],
)
def test_trousers_are_no_second_person(one, trousers):
    standing, elsewhere = trunk(300, 300), trunk(600, 200, score=0.99)
    assert people_search.without_legs([elsewhere, standing, one]) == (
        [0, 1] if trousers else [0, 1, 2]
    )


def test_a_clear_person_is_nobodys_trousers():
    """Someone who kneels in front of what was found with a much lower score."""
    assert people_search.without_legs(
        [trunk(300, 400, score=0.9), trunk(300, 300, score=0.75)]
    ) == [0, 1]
    assert people_search.without_legs(
        [trunk(300, 400, score=0.8), trunk(300, 300, score=0.75)]
    ) == [1]


def test_legs_of_who_lies_are_beside():
    lying = trunk(300, 300, lean=(1, 0))
    assert people_search.without_legs([lying, trunk(380, 350, score=0.6)]) == [0]
    assert people_search.without_legs([lying, trunk(300, 400, score=0.6)]) == [0, 1]
