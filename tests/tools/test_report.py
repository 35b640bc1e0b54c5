"""report.py and figures.py: who is shown, what the tables say, readable pictures, and never a frame of FLIC."""

import contextlib
import inspect
import json
import os
import re
from types import SimpleNamespace

import cv2
import forked
import numpy as np
import pytest
from test_evaluate import make_arrays, own_file

from jointpose.datasets import arrays, flic
from jointpose.evaluation import other_systems
from jointpose.utils.errors import InputError
from jointpose.vision import heatmaps
from tools import analysis, figures, report, report_material, tables
from tools.figures import JOINT_MODEL, PART_DETECTOR

MOST_BYTES = 300_000
RNG = np.random.default_rng(5)
TRUE_XY = np.array(
    [
        (400, 150),
        (430, 220),
        (420, 290),
        (320, 150),
        (290, 220),
        (300, 290),
        (385, 300),
        (335, 300),
        (360, 100),
    ],
    np.float32,
)  # lhip-rsho: 163.5 pixels


def read_picture(path):
    """RGB uint8 of a picture that is small and not of one colour."""
    assert os.path.getsize(path) < MOST_BYTES
    image = cv2.imread(str(path))
    assert image is not None and len(np.unique(image.reshape(-1, 3), axis=0)) > 10
    return image[..., ::-1]


def peaks(points_xy):
    """[9, 2] pixels -> maps [60, 90, 9] that peak there, clear enough to decode."""
    return heatmaps.render_targets(points_xy[None], (60, 90))[0] + 1e-6


def record(step, **more):
    rates = {
        'loss_pd': 5.0 - step / 100,
        'loss_sm': 4.5 - step / 100,
        'rate_pd': 20.0 + step,
        'rate_sm': 30.0 + step,
    }
    return {'step': step, 'seconds': 0.5, **rates, 'train': rates, 'test': rates, **more}


@pytest.fixture
def made(tmp_path):
    """Options of report.py on hand-made arrays, predictions and logs of 12 people."""
    true_xy = TRUE_XY + RNG.uniform(-60, 60, (12, 1, 2))
    make_arrays(tmp_path / 'arrays', true_xy)
    own_file(
        tmp_path / 'p.mat',
        true_xy + RNG.normal(0, 20, true_xy.shape),
        true_xy + RNG.normal(0, 8, true_xy.shape),
    )
    run = tmp_path / 'models' / 'a_run'
    run.mkdir(parents=True)
    (run / 'steps.jsonl').write_text(
        ''.join(json.dumps(record(step)) + '\n' for step in range(1, 41))
    )
    epochs = [record(20, epoch=1, seconds=60), record(40, epoch=2, seconds=120)]
    epochs[0]['test'] = {**epochs[0]['test'], 'rate_sm': 90.0}
    (run / 'log.jsonl').write_text(''.join(json.dumps(epoch) + '\n' for epoch in epochs))
    settings = {
        'gpus': [0, 1],
        'width': 8,
        'batch_size': 10,
        'use_sm': True,
        'lr': 0.001,
        'test_examples': 12,
        'code': 'abc',
        'data_id': 'x',
    }
    (run / 'settings.json').write_text(json.dumps(settings))
    return SimpleNamespace(
        run=str(run),
        predictions=str(tmp_path / 'p.mat'),
        data=str(tmp_path / 'arrays'),
        out=str(tmp_path),
        scales='single',
        others=[],
    )


# ---------------------------------------------------------------- who is shown


def test_gain_counts_a_miss_as_a_miss():
    near, far = np.full((1, 9), 5.0), np.full((1, 9), 5.0)
    far[0, 0] = 1e6
    assert analysis.gains(far, near) == pytest.approx(15 / 9)
    assert analysis.gains(near, far) == pytest.approx(-15 / 9)


def test_most_helped_are_those_whom_the_spatial_model_helps_one_a_film():
    errors_sm = np.full((6, 9), 2.0)
    errors_pd = errors_sm + np.array([1, 9, 8, 3, 0, -1])[:, None]
    films = ['a', 'b', 'b', 'c', 'd', 'e']
    assert analysis.most_helped(errors_pd, errors_sm, films, 2) == [1, 3]  # 2 is of the film of 1
    assert analysis.most_helped(errors_pd, errors_sm, films, 6) == [1, 3, 0]  # 4 and 5 gain nothing


def test_failures_are_the_hurt_and_the_worst():
    errors_pd = np.full((7, 9), 4.0)
    errors_sm = errors_pd.copy()
    errors_sm[1] += 6  # hurt most
    errors_sm[2] += 3
    errors_sm[3] += 1
    errors_pd[4] = errors_sm[4] = 50  # wrong before and after
    errors_pd[5], errors_sm[5] = 300, 90  # worse, and helped
    films = list('abcdefg')
    assert analysis.failures(errors_pd, errors_sm, films, 4) == ([1, 2], [5, 4])
    films[5] = films[1]
    assert analysis.failures(errors_pd, errors_sm, films, 4) == (
        [1, 2],
        [4, 3],
    )  # not the film of 1 again
    assert analysis.failures(errors_pd, errors_pd, list('abcdefg'), 2) == (
        [],
        [5, 4],
    )  # nobody is hurt


def test_film_is_the_name_without_its_frame():
    assert analysis.film('along-came-polly-00119461.jpg') == 'along-came-polly'
    assert analysis.film('princess-diaries-2-00152201.jpg') == 'princess-diaries-2'


# ---------------------------------------------------------------- published figures

PUBLISHED = """
| system | wrist | elbow | shoulder | nose | hip |
| paper, part detector only | 66 (74) | | | | |
| paper, + spatial model, not joint | 75 (85) | | | | |
| paper, joint training, left joints | 79.5 (88) | 78 (91.5) | 94 (98.5) | 93 (98) | |
| reference, part detector, left joints | 72 | 75.5 | 85.5 | 88 | 50.5 |
| reference, joint, left joints | 79 (87) | 81 (94) | 93.5 (98) | 95.5 (98) | 57.5 (85.5) |
"""


def test_published_figures_are_those_of_the_publications():
    """Against a table copied separately: rate at radius 10 (20)."""
    noted = set()
    for system, name, cells in re.findall(
        r'^\| (paper|reference), (.*?) \|(.*)\|$', PUBLISHED, re.MULTILINE
    ):
        model = (
            PART_DETECTOR
            if 'part detector' in name
            else 'with spatial model, not joint'
            if 'not joint' in name
            else JOINT_MODEL
        )
        for joint, numbers in zip(('lwri', 'lelb', 'lsho', 'nose', 'lhip'), cells.split('|')):
            noted |= {
                (system, model, joint, radius, float(number))
                for radius, number in zip((10, 20), re.findall(r'[\d.]+', numbers))
            }
    assert len(noted) == 27
    assert {tuple(point) for point in tables.published_points()} == noted


# ---------------------------------------------------------------- pictures


def test_curves_and_losses_are_drawn(made, tmp_path):
    material = report.Material(made)
    report.make_curves(material)
    report.make_loss(material)
    assert {(read_picture(tmp_path / f'{name}.png') > 0).any() for name in ('curves', 'loss')} == {
        True
    }


def test_curves_hold_left_joints_and_their_marks(made, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(figures, 'save', lambda figure, path: kept.append(figure))
    material = report.Material(made)
    report.make_curves(material)
    wrist, *_, mean = kept[0].axes
    detector, joint_model, *marks = wrist.lines
    lwri = flic.JOINTS.index('lwri')
    assert (detector.get_linestyle(), joint_model.get_linestyle()) == ('--', '-')
    for line, model in ((detector, PART_DETECTOR), (joint_model, JOINT_MODEL)):
        at_10 = line.get_ydata()[list(line.get_xdata()).index(10)]
        assert at_10 == pytest.approx(100 * (material.errors[model][:, lwri] <= 10).mean())
    assert sorted(mark.get_ydata()[0] for mark in marks) == [66, 72, 74, 75, 79, 79.5, 85, 87, 88]
    assert all(
        min(abs(mark.get_xdata()[0] - radius) for radius in (10, 20)) < 0.5 for mark in marks
    )
    assert len(mean.lines) == 2


def test_blend_shows_a_peak_in_its_joint_s_colour_on_dark():
    maps = np.zeros((60, 90, 9))
    maps[10, 20, 0] = 0.001  # however low: each map is scaled by its own peak
    maps[30, 40, 5] = 0.7
    image = np.round(255 * figures.blend(maps))
    background = image[0, 0]
    assert background.max() < 40
    assert ((image != background).any(axis=2).nonzero()[0] == [10, 30]).all()
    for (row, col), joint in (((10, 20), 'lsho'), ((30, 40), 'rwri')):
        code = figures.JOINT_COLOURS[joint]
        colour = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)])
        screened = 255 - (255 - background) * (255 - colour) / 255
        assert np.abs(image[row, col] - screened).max() <= 1
    assert np.isfinite(figures.blend(np.full((60, 90, 9), np.nan))).all()


def test_joint_colours_differ():
    assert len(set(figures.JOINT_COLOURS.values())) == 9


def test_heat_maps_are_drawn_of_maps_and_joints_alone(tmp_path, monkeypatch):
    """No argument could carry a frame, and nothing but the blended maps is shown."""
    assert set(figures.MappedPerson._fields) == {
        'maps_pd',
        'maps_sm',
        'found_pd',
        'found_sm',
        'true_xy',
        'caption_pd',
        'caption_sm',
        'label',
    }
    assert list(inspect.signature(figures.heat_maps).parameters) == ['path', 'people', 'title']
    assert list(inspect.signature(report.mapped_person).parameters) == [
        'maps_pd',
        'maps_sm',
        'true_xy',
        'label',
        'subcell',
    ]
    people = [
        report.mapped_person(peaks(TRUE_XY + 40), peaks(TRUE_XY + shift), TRUE_XY, 'why')
        for shift in (0, 10)
    ]
    figures.heat_maps(str(tmp_path / 'maps.png'), people, 'title')
    image = read_picture(tmp_path / 'maps.png')
    assert (image.max(axis=2) < 60).mean() > 0.7  # a plain dark background
    kept = []
    monkeypatch.setattr(figures, 'save', lambda figure, path: kept.append(figure))
    figures.heat_maps('unused.png', people, 'title')
    shown = [axis.images[0].get_array() for axis in kept[0].axes]
    wanted = [figures.blend(maps) for person in people for maps in (person.maps_pd, person.maps_sm)]
    np.testing.assert_array_equal(shown, wanted)
    assert all(len(axis.images) == 1 for axis in kept[0].axes)


def test_mapped_person_is_captioned_by_what_is_found():
    found_sm = TRUE_XY.copy()
    found_sm[:4] += 100
    person = report.mapped_person(peaks(TRUE_XY), peaks(found_sm), TRUE_XY, 'why')
    assert person.caption_pd == 'part detector: 9 of 9 joints within 10 %'
    assert person.caption_sm == 'joint model: 5 of 9 joints within 10 %'
    assert np.abs(person.found_sm - found_sm).max() <= 8


def test_heat_maps_of_chosen_people_go_with_their_own_frames_joints(made, monkeypatch):
    """The network is asked for the rows of the split that the predictions name, not for their positions."""
    material = report.Material(made)
    truth = material.truth
    rows = np.arange(12)[::-1]
    material.found = material.found._replace(rows=rows)
    asked, drawn = [], []

    class Fake:
        subcell = True

        def maps(self, split, row):
            asked.append(row)
            return peaks(truth.joints_xy[row]), peaks(truth.joints_xy[row])

        __enter__, __exit__ = (lambda self: self), (lambda self, *_: None)

    monkeypatch.setattr(report, 'restored', lambda run, scales: Fake())
    monkeypatch.setattr(
        report_material.arrays, 'load_split', lambda *_: SimpleNamespace(joints=truth.joints_xy)
    )
    monkeypatch.setattr(figures, 'heat_maps', lambda path, people, title: drawn.extend(people))
    report.make_heat_maps(material, [(0, 'first'), (3, 'other')], 'maps.png', 'title')
    assert asked == [11, 8]
    np.testing.assert_array_equal([person.true_xy for person in drawn], truth.joints_xy[[11, 8]])
    assert [person.label for person in drawn] == ['first', 'other']
    with pytest.raises(InputError, match='nobody to show'):
        report.make_heat_maps(material, [], 'maps.png', 'title')


def test_drawn_people_are_alone_and_labelled_as_data_py_does():
    split = report.drawn_people(3)
    assert split.images.shape == (3, 480, 720, 3) and split.joints.shape == (3, 10, 2)
    lhip, rhip = (split.joints[:, flic.JOINTS.index(hip), 0] for hip in ('lhip', 'rhip'))
    assert (lhip > rhip).all()  # left is on the picture's right
    np.testing.assert_array_equal(split.images, report.drawn_people(3).images)


def test_poses_and_priors_are_drawn(tmp_path):
    split = report.drawn_people(2)
    true = split.joints[:, :9]
    figures.poses(
        str(tmp_path / 'poses.jpg'), split.images, true + 9, true, ['one', 'two'], 'title'
    )
    assert (tmp_path / 'poses.jpg').read_bytes()[:2] == b'\xff\xd8'
    read_picture(tmp_path / 'poses.jpg')
    start, trained, biases = (
        RNG.random((2, 120, 180)),
        RNG.random((2, 120, 180)),
        RNG.random((2, 60, 90)),
    )
    figures.priors(
        str(tmp_path / 'priors.png'), report.PAIRS_SHOWN[:2], start, trained, biases, 'title'
    )
    read_picture(tmp_path / 'priors.png')


def test_priors_are_cropped_about_zero_displacement_on_one_scale(monkeypatch):
    kept = []
    monkeypatch.setattr(figures, 'save', lambda figure, path: kept.append(figure))
    start, trained, biases = np.zeros((1, 120, 180)), np.zeros((1, 120, 180)), np.zeros((1, 60, 90))
    start[0, 60, 90], start[0, 65, 100], trained[0, 60, 90] = (
        1,
        0.5,
        4,
    )  # 5 cells below, 10 to the right
    figures.priors('unused.png', [('lsho', 'torso')], start, trained, biases, 'title')
    before, after = (axis.images[0] for axis in kept[0].axes[:2])
    assert before.get_clim() == after.get_clim() == (0, 4)
    left, right, bottom, top = before.get_extent()
    values = np.asarray(before.get_array())
    for cell, x, y in ((1, 0, 0), (0.5, 80, 40)):
        row, col = (int(index[0]) for index in np.nonzero(values == cell))
        height, width = values.shape
        assert left + (col + 0.5) * (right - left) / width == pytest.approx(x)
        assert top + (row + 0.5) * (bottom - top) / height == pytest.approx(y)


def test_other_systems_are_scored_by_the_side_they_take(made, tmp_path):
    """The truth itself with left and right as annotated, and the other way: both are right everywhere."""
    seen_xy, backward = TRUE_XY + RNG.uniform(-60, 60, (12, 1, 2)), np.arange(12) % 3 == 0
    make_arrays(tmp_path / 'arrays', seen_xy, backward)
    annotated_xy = np.where(backward[:, None, None], flic.swap_sides(seen_xy), seen_xy)
    names = other_systems.joint_names(other_systems.FLIC_FILE_JOINTS)
    for name, joints_xy in (('person', annotated_xy), ('observer', seen_xy)):
        pred = np.zeros((12, len(names), 2))  # eyes at 0: not predicted
        pred[:, [names.index(joint) for joint in flic.JOINTS]] = joints_xy
        np.savez(tmp_path / f'{name}.npz', pred=pred)
    made.others, material = (
        [str(tmp_path / f'{name}.npz') for name in ('person', 'observer')],
        report.Material(made),
    )
    rates = report.other_curves(material)
    assert {model for model, _ in rates} == {'person', 'observer'} and (
        'person',
        'mean of 9',
    ) not in rates
    assert all((rate[1:] == 100).all() for rate in rates.values())  # rounding: not at radius 0
    report.make_curves(material)
    assert cv2.imread(material.out('curves.png')) is not None


# ---------------------------------------------------------------- errors, evolution


def test_rates_by_film():
    errors = {
        'a': np.array([[5.0] * 9, [15] * 9, [5] * 9]),
        'b': np.array([[5.0] * 9, [15] * 9, [15] * 9]),
    }
    assert analysis.by_film(errors, ['x', 'y', 'x'], 10) == [
        ('y', 1, {'a': 0, 'b': 0}),
        ('x', 2, {'a': 100, 'b': 50}),
    ]


def test_rates_by_the_wrist_s_height():
    """One left wrist raised and found, one bent and missed; right wrists hang, one of two found."""
    true_xy, errors = np.zeros((2, 9, 2)), np.full((2, 9), 5.0)
    heights = {
        'lsho': (50, 50),
        'lelb': (100, 100),
        'lwri': (20, 70),
        'rsho': (50, 50),
        'relb': (100, 40),
        'rwri': (150, 60),
    }  # y points down
    for joint, y in heights.items():
        true_xy[:, flic.JOINTS.index(joint), 1] = y
    errors[1, [flic.JOINTS.index('lwri'), flic.JOINTS.index('rwri')]] = 15
    assert analysis.by_height({'m': errors}, true_xy, 10) == [
        ('above the shoulder', 1, {'m': 100}),
        ('between shoulder and elbow', 1, {'m': 0}),
        ('below the elbow', 2, {'m': 50}),
    ]


def test_errors_are_drawn(made):
    material = report.Material(made)
    report.make_errors(material)
    assert cv2.imread(material.out('errors.png')).mean() > 100


def test_evolution_shows_the_person_helped_most_at_checkpoints_from_first_to_last(
    made, monkeypatch
):
    material, seen = report.Material(made), []
    monkeypatch.setattr(
        report_material.arrays,
        'load_split',
        lambda *_: SimpleNamespace(joints=material.truth.joints_xy),
    )

    @contextlib.contextmanager
    def restored(path, scales):
        def maps(split, row):
            seen.append((path, row))
            return peaks(TRUE_XY), peaks(TRUE_XY)

        yield report_material.Network(maps, True)

    monkeypatch.setattr(report, 'restored', restored)
    with pytest.raises(InputError, match='one checkpoint shows no evolution'):
        report.make_evolution(material)
    for step in range(0, 110, 10):
        os.makedirs(os.path.join(made.run, f'step-{step:08d}'), exist_ok=True)
    report.make_evolution(material)
    errors = material.errors_of_both()
    helped = material.found.rows[analysis.gains(*errors).argmax()]
    assert [(os.path.basename(path), row) for path, row in seen] == [
        (f'step-{step:08d}', helped) for step in (0, 20, 40, 60, 80, 100)
    ]
    assert cv2.imread(material.out('evolution.png')) is not None


# ---------------------------------------------------------------- tables, command line


def test_results_hold_the_figures_of_evaluate_and_of_the_log(made, tmp_path):
    material = report.Material(made)
    report.make_results(material)
    text = re.sub(
        ' +', ' ', (tmp_path / 'results.md').read_text(encoding='utf-8')
    )  # tables are padded
    errors = material.errors[JOINT_MODEL]
    mean = next(line for line in text.splitlines() if line.startswith('| mean of 9'))
    cells = [float(number) for number in re.findall(r'[\d.]+', mean)[1:]]
    assert cells[4:7] == pytest.approx(
        [100 * (errors <= radius).mean() for radius in (5, 10, 20)], abs=0.051
    )
    assert cells[7] == pytest.approx(100 * np.maximum(0, 1 - errors / 20).mean(), abs=0.051)
    assert (
        '| paper, joint model | 79.5 (88.0) | 78.0 (91.5) | 94.0 (98.5) | 93.0 (98.0) | |' in text
    )
    assert '| reference, part detector | 72.0 | 75.5 | 85.5 | 88.0 | 50.5 |' in text
    assert (
        '| iterations | 40 |' in text and '| samples per second, median iteration | 20.0 |' in text
    )
    assert '| hours of all iterations | 0.01 |' in text  # 20 s
    assert '| minutes per epoch without evaluation, median | 1.5 |' in text
    assert (
        '| best epoch by test rate | 1: 90.0 % |' in text and '| last epoch | 2: 70.0 % |' in text
    )
    assert (
        '`python main.py --train --gpus 0 1 --width 8 --batch_size 10 --use_sm --test_examples 12 --data '
        f'{made.data} --run a_run`'
    ) in text


def test_helped_table_counts_joints(made):
    material = report.Material(made)
    pd, sm = np.full((4, 9), 5.0), np.full((4, 9), 5.0)
    pd[:2], sm[0], sm[3] = 15, 15, 15  # neither, only joint model, both, only part detector
    material.errors = {PART_DETECTOR: pd, JOINT_MODEL: sm}
    text = re.sub(' +', ' ', tables.helped_section(material))
    assert '| lwri | 25.0 | 25.0 | 25.0 | 25.0 |' in text
    assert 'falls for 25.0 % of the people and rises for 25.0 %' in text.replace('\n', ' ')


@pytest.mark.parametrize(
    'damage, named',
    [
        ('p.mat', 'p.mat'),
        ('models/a_run/steps.jsonl', 'steps.jsonl'),
        ('models/a_run/settings.json', 'settings.json'),
    ],
)
def test_bad_input_is_one_line(made, tmp_path, damage, named):
    (tmp_path / damage).write_bytes(b'\x00damaged')
    result = forked.run(
        [
            '-m',
            'tools.report',
            '--run',
            made.run,
            '--predictions',
            made.predictions,
            '--data',
            made.data,
            '--out',
            tmp_path / 'out',
            '--only',
            'results',
            'loss',
        ],
        cwd=forked.ROOT,
    )
    assert (
        result.returncode == 2 and named in result.stderr and len(result.stderr.splitlines()) == 1
    )


def test_predictions_without_spatial_model_have_no_heat_maps(made, tmp_path):
    own_file(made.predictions, np.repeat(TRUE_XY[None], 12, axis=0))
    log = tmp_path / 'models' / 'a_run' / 'log.jsonl'
    epochs = [json.loads(line) for line in log.read_text().splitlines()]
    for epoch in epochs:
        del epoch['test']['rate_sm']
    log.write_text(''.join(json.dumps(epoch) + '\n' for epoch in epochs))
    material = report.Material(made)
    report.make_curves(material)
    report.make_results(material)
    text = re.sub(' +', ' ', (tmp_path / 'results.md').read_text(encoding='utf-8'))
    assert 'Joints found by both models' not in text
    assert (
        '| best epoch by test rate | 2: 60.0 % |' in text
        and f'radius 10, {PART_DETECTOR}, one' in text
    )
    with pytest.raises(InputError, match='flic_pred_sm'):
        report.make_success(material)


def test_a_run_without_checkpoints_is_named_as_it_was_given(made):
    made.run = 'nowhere'
    with pytest.raises(InputError, match=r"^--run: no run 'nowhere' in "):
        report.read_pairs(report.Material(made))
    with (
        pytest.raises(InputError, match=r"^--run: no run 'nowhere' in "),
        report.restored(made.run, 'single'),
    ):
        pass


# ---------------------------------------------------------------- the network


@pytest.fixture
def of_untrained(untrained, arrays_folder, tmp_path):
    """Options of report.py for the narrow, untrained network on the drawn test people."""
    return SimpleNamespace(
        run=str(untrained / 'models_ex' / 'sm'),
        predictions=str(untrained / 'predictions.mat'),
        data=arrays_folder,
        out=str(tmp_path),
        scales='multi',
    )


def test_restored_network_finds_what_main_wrote(of_untrained, monkeypatch):
    from jointpose import model

    monkeypatch.setattr(model, 'CHANNELS', (1, 1, 1, 1, 1))  # as narrow_main.py
    material = report.Material(of_untrained)
    wanted = material.found
    split = arrays.load_split(of_untrained.data, wanted.split, material.manifest)
    with report.restored(of_untrained.run, 'multi') as network:
        for i, row in enumerate(wanted.rows[:2]):
            found = heatmaps.decode(np.stack(network.maps(split, row)), network.subcell)
            for model_name, found_xy in zip((PART_DETECTOR, JOINT_MODEL), found):
                np.testing.assert_allclose(found_xy, wanted.models[model_name][i], atol=0.1)


def test_pairs_of_an_untrained_network_are_those_of_the_start(of_untrained):
    start, trained, biases = report.read_pairs(report.Material(of_untrained))
    assert start.shape == (81, 120, 180) and biases.shape == (81, 60, 90)
    np.testing.assert_allclose(trained, start, rtol=1e-5)
    np.testing.assert_allclose(start.max(axis=(1, 2)), 1, rtol=1e-5)  # 'exact': each pair's largest
    np.testing.assert_allclose(biases, np.log(2) / 5, rtol=1e-6)
