"""--detector: another checkpoint finds the people around whom a system crops."""

import json
import os
import sys
import types

import cv2
import numpy as np
import pytest
from conftest import ROOT, SHARED

from jointpose import main, run_options, systems
from jointpose.datasets import flic, mpii
from jointpose.inference import api, pose_estimator, result_entries
from jointpose.nn.tf1 import tf
from jointpose.options import options as command_line
from jointpose.systems import hrnet
from jointpose.training import batches
from jointpose.utils.errors import InputError
from jointpose.vision.found_person import FoundPerson
from jointpose.vision.joints import TORSO_JOINTS

DETECTOR = os.path.join(ROOT, 'pretrained', 'flic')


# --- boxes ----------------------------------------------------------------------------------------


def stored_person(torsobox):
    """A row of FLIC's people."""
    people = np.zeros(1, flic.PERSON_DTYPE)
    people['torsobox'] = torsobox
    return people


def test_flic_s_box_is_that_of_a_torsobox_of_the_usual_height():
    """An upright torso 100 pixels long, its middle at (300, 200)."""
    corners_xy = np.array([(340, 150), (260, 150), (325, 250), (275, 250)], float)
    people = stored_person([268, 200 - 47.7, 332, 200 + 47.7])
    expected = flic.Flic().complete_people(people, np.zeros((1, 10, 2), np.float32))['box'][0]
    np.testing.assert_allclose(flic.Flic().box_around_torso(corners_xy), expected, atol=0.01)


def test_a_foreshortened_torso_has_the_shoulders_length():
    corners_xy = np.array([(350, 180), (250, 180), (330, 220), (270, 220)], float)
    box = mpii.Mpii().box_around_torso(corners_xy)
    side = 2 * 1.7 * 120
    np.testing.assert_allclose(box[2:] - box[:2], side)
    np.testing.assert_allclose((box[2:] + box[:2]) / 2, (300, 200))


def test_the_boxes_are_those_of_flic_s_training():
    """Over the 3987 people: the derived box's size and middle against the box of the torsobox."""
    meta = os.path.join(SHARED, 'flic', 'examples.mat')
    if not os.path.exists(meta):
        pytest.skip(f'real FLIC is not at {meta} (set POSE_SHARED)')
    everybody = flic.read_annotations(meta)
    people = everybody.select(everybody.split == 'train')
    columns = [flic.JOINTS.index(joint) for joint in TORSO_JOINTS]
    corners = people.joints_xy[:, columns]
    found = np.array([flic.Flic().box_around_torso(one) for one in corners])
    middle = np.tile((people.torsobox[:, :2] + people.torsobox[:, 2:]) / 2, 2)
    height = people.torsobox[:, 3:] - people.torsobox[:, 1:2]
    expected = middle + height * flic.UPPER_BODY
    sides = expected[:, 3] - expected[:, 1]
    ratio = (found[:, 3] - found[:, 1]) / sides
    offset = (found[:, :2] + found[:, 2:] - expected[:, :2] - expected[:, 2:]) / 2 / sides[:, None]
    assert len(found) == 3987
    assert np.median(ratio) == pytest.approx(1, abs=0.005)
    np.testing.assert_allclose(np.percentile(ratio, [25, 75]), [0.887, 1.144], atol=0.01)
    assert np.abs(np.median(offset, axis=0)).max() < 0.01
    distance = np.linalg.norm(offset, axis=1)
    np.testing.assert_allclose(np.percentile(distance, [25, 50, 75]), [0.03, 0.06, 0.1], atol=0.01)


# --- options --------------------------------------------------------------------------------------


def crop_options(*arguments):
    names = systems.names()
    words = ['--restore', 'x', '--predict', 'a.jpg', *arguments]
    return command_line.parse(systems.load('hrnet'), names, words)[0]


@pytest.mark.parametrize('prompt', [['--torso', '1,2'], ['--boxes', 'b.json']])
def test_prompts_contradict_it(prompt, capsys):
    with pytest.raises(SystemExit):
        crop_options('--detector', DETECTOR, *prompt)
    assert f'--detector goes without {prompt[0]}' in capsys.readouterr().err


def test_it_needs_predict(capsys):
    with pytest.raises(SystemExit):
        command_line.parse(hrnet.HRNet, systems.names(), ['--train', '--detector', DETECTOR])
    assert '--detector goes with --predict' in capsys.readouterr().err


@pytest.mark.parametrize('words', [['spm', '--dataset', 'coco'], ['tompson', '--use_sm']])
def test_systems_of_whole_pictures_need_none(words):
    resolved = run_options.resolve_options(['--train', '--system', *words])
    resolved.options.detector = DETECTOR
    with pytest.raises(InputError, match=f'--system {words[0]} --dataset .* takes whole pictures'):
        run_options.resolve_detector(resolved.options, resolved.system)


@pytest.mark.parametrize(('dataset', 'crops_people'), [('flic', False), ('lsp', True)])
def test_the_joint_model_crops_the_people_of_other_data_sets(dataset, crops_people):
    words = ['--train', '--system', 'tompson', '--dataset', dataset, '--use_sm']
    system = run_options.resolve_options(words).system
    assert system.crops_people == crops_people


@pytest.mark.parametrize('name', ['cpm', 'deeppose', 'hrnet', 'spm'])
def test_a_checkpoint_of_a_system_that_detects_nobody_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setattr(run_options, 'resolve_system', lambda names, words: name)
    options = crop_options('--detector', 'other')
    with pytest.raises(InputError, match=f'^--detector other: {name} does not detect people'):
        run_options.resolve_detector(options, hrnet.HRNet(options))


def test_a_missing_checkpoint_is_named_by_its_option(tmp_path):
    options = crop_options('--detector', 'absent', '--model_path', str(tmp_path))
    with pytest.raises(InputError, match=r'^--detector'):
        run_options.resolve_detector(options, hrnet.HRNet(options))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'use_sm': False}, 'has no spatial model: expected a checkpoint of tompson'),
        ({'joints': ('nose', 'tail')}, 'has no shoulders and hips'),
    ],
)
def test_a_joint_model_without_what_it_takes_is_refused(change, message, monkeypatch):
    resolved = run_options.resolve_options(['--restore', DETECTOR], note=str)
    system = types.SimpleNamespace(
        takes_prompts=change.get('use_sm', True),
        dataset=types.SimpleNamespace(joints=change.get('joints', flic.JOINTS)),
    )
    changed = resolved._replace(system=system)
    monkeypatch.setattr(run_options, 'resolve_options', lambda *_: changed)
    options = crop_options('--detector', DETECTOR)
    with pytest.raises(InputError, match=f'^--detector {DETECTOR}: {message}'):
        run_options.resolve_detector(options, hrnet.HRNet(options))


def test_the_detector_looks_at_one_scale():
    options = crop_options('--detector', DETECTOR)
    found = run_options.resolve_detector(options, hrnet.HRNet(options), note=str)
    assert found.system.takes_prompts
    assert found.system.n_views == 1


# --- people ---------------------------------------------------------------------------------------

SPOTS = ((150, 130), (420, 260))  # (x, y) in the middle of the torsos of two people


def detected(spot, score):
    """A FoundPerson with an upright torso 60 pixels long around a spot, and the rest of the joints at 0."""
    joints_xy = np.zeros((9, 2))
    corners = np.array([(15, -30), (-15, -30), (10, 30), (-10, 30)])
    for joint, offset in zip(TORSO_JOINTS, corners):
        joints_xy[flic.JOINTS.index(joint)] = offset + spot
    return FoundPerson(joints_xy, np.ones(9), score, np.array(spot), view=f'view of {spot}')


class Detector:
    """Finds the same people in each picture; keeps whom it was asked to look for."""

    body = flic.Flic()

    def __init__(self):
        self.asked = []

    def predict(self, image, points_xy=None, boxes_xy=None, previous=None):
        self.asked.append(previous)
        return [detected(spot, 0.9 - 0.2 * i) for i, spot in enumerate(SPOTS)]


def cropping_estimator(detector):
    """HRNet's PoseEstimator whose network finds all joints in the brightest cell of a crop."""
    options = crop_options('--detector', DETECTOR)
    options.dataset = 'flic'
    system = hrnet.HRNet(options)
    names = batches.specification(system)._fields[:-1]
    targets = {name: name for name in system.target_shapes()}
    batch = batches.Batch(*names, targets)
    evaluation = types.SimpleNamespace(combined={'hrnet': None}, batch=batch)
    graph = pose_estimator.Graph(evaluation, None, None)
    estimator = pose_estimator.PoseEstimator(None, graph, system, system.dataset, options, detector)

    def run(feed, given):
        brightness = feed['images'][0].mean(axis=2)
        maps = cv2.resize(brightness, (64, 64), interpolation=cv2.INTER_AREA) / 255
        repeated = np.repeat(maps[None, ..., None], 9, axis=3)
        return {'hrnet': repeated.astype(np.float32)}, None, feed['back'][:1]

    estimator.run = run
    return estimator


def test_each_person_is_found_in_their_own_crop():
    image = np.zeros((400, 600, 3), np.uint8)
    for x, y in SPOTS:
        image[y - 3 : y + 3, x - 3 : x + 3] = 255
    detector = Detector()
    estimator = cropping_estimator(detector)
    people = estimator.predict(image)
    assert [person.score for person in people] == pytest.approx([0.9, 0.7])
    for person, spot in zip(people, SPOTS):
        assert np.abs(person.joints_xy - spot).max() < 4
        np.testing.assert_array_equal(person.torso_xy, spot)

    again = estimator.predict(image, previous=people)
    assert detector.asked == [None, people]
    assert [person.view for person in again] == [f'view of {spot}' for spot in SPOTS]


def test_boxes_of_a_call_go_before_the_detector():
    detector = Detector()
    image = np.zeros((400, 600, 3), np.uint8)
    people = cropping_estimator(detector).predict(image, boxes_xy=[(10, 10, 60, 60)])
    assert len(people) == 1
    assert not detector.asked


def test_result_files_say_so():
    options = crop_options('--detector', DETECTOR)
    assert result_entries.torso_source(options) == 'detector'


@pytest.mark.long
def test_several_people_of_a_real_picture(tmp_path, arrays_folder, monkeypatch):
    """Through main.py, with random weights of HRNet: crops around the people of pretrained/flic."""
    picture = os.path.join(SHARED, 'coco_sample', '000000197388.jpg')
    if not os.path.exists(picture):
        pytest.skip(f'{picture} is not there (set POSE_SHARED)')
    monkeypatch.setattr(hrnet, 'MODULES', (1, 1, 1))
    monkeypatch.setattr(hrnet, 'BLOCKS', 1)
    monkeypatch.chdir(tmp_path)
    training = ['--train', '--system', 'hrnet', '--dataset', 'flic', '--width', '4', '--run', 'a']
    training += ['--n_epochs', '0', '--test_examples', '1', '--tb_folder', '']
    call(monkeypatch, *training, '--data', arrays_folder)

    boxes = []
    views = hrnet.HRNet.views

    def recorded(self, image, person):
        boxes.append(person.box)
        return views(self, image, person)

    monkeypatch.setattr(hrnet.HRNet, 'views', recorded)
    call(monkeypatch, '--restore', 'a', '--predict', picture, '--detector', DETECTOR)
    with open('poses/poses.json', encoding='utf-8') as file:
        document = json.load(file)
    with api.load(DETECTOR, '--scales', 'single') as find:
        expected = find(api.read(picture))
    assert len(expected) == len(boxes) == len(document['annotations']) > 1
    assert document['info']['detector'] == DETECTOR
    columns = [flic.JOINTS.index(joint) for joint in TORSO_JOINTS]
    for person, box, entry in zip(expected, boxes, document['annotations']):
        np.testing.assert_allclose(
            box, flic.Flic().box_around_torso(person.joints_xy[columns]), atol=0.01
        )
        assert entry['torso_source'] == 'detector'
        np.testing.assert_allclose(entry['torso'], person.torso_xy, atol=0.01)
        assert entry['score'] == pytest.approx(person.score, abs=1e-4)
    shown = cv2.imread('poses/000000197388_pose.jpg')
    assert shown.shape == cv2.imread(picture).shape


def call(monkeypatch, *arguments):
    """main.py in a graph of its own."""
    monkeypatch.setattr(sys, 'argv', ['main.py', *map(str, arguments)])
    with tf.Graph().as_default():
        assert not main.run_main()
