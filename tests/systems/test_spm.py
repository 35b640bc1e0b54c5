"""SPM: targets, loss and decoding by loops in float64; what is encoded is decoded again."""

import argparse
import itertools
import os
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import SHARED

from jointpose import data, run_options
from jointpose.datasets import arrays, coco
from jointpose.inference import pose_estimator, predict, rendering
from jointpose.metrics.average_precision import coco_result, precision_table
from jointpose.nn.tf1 import tf
from jointpose.systems import Network, hrnet, spm
from jointpose.training import batches, summaries
from jointpose.vision import crops
from jointpose.vision.affine import transform_points

K = len(coco.JOINTS)
CHAINS = (
    'nose leye lear',
    'nose reye rear',
    'lsho lelb lwri',
    'rsho relb rwri',
    'lhip lkne lank',
    'rhip rkne rank',
)


def settings(**changes):
    parser = argparse.ArgumentParser()
    spm.SPM.add_options(parser)
    parser.set_defaults(**{'dataset': 'coco', 'lmbd': 0.0, **changes})
    return parser.parse_args([])


def drawn(rng, n=3, p=8):
    """n pictures of p people each, crowded so that neighbourhoods overlap; some joints without a
    label, one person without any; two are far outside the frame."""
    joints_xy = rng.uniform(120, 260, (n, p, 1, 2)) + rng.normal(0, 40, (n, p, K, 2))
    visible = rng.integers(0, 3, (n, p, K))
    visible[0, 0], visible[0, 1] = 0, 2
    joints_xy[1, 0] += 300
    joints_xy[1, 1] -= 300
    joints_xy[visible == 0] = np.nan
    return joints_xy.astype(np.float32), visible.astype(np.uint8)


def apart():
    """A picture of four people in its quarters, each with all joints within 20 pixels of the chain's last."""
    rng = np.random.default_rng(0)
    centres = np.array(list(itertools.product((100, 284), (100, 284))), np.float64)
    joints_xy = centres[:, None] + rng.uniform(-50, 50, (4, K, 2))
    return joints_xy[None].astype(np.float32), np.full((1, 4, K), 2, np.uint8)


# --- samples ------------------------------------------------------------------------------------------------------


def test_targets_by_loops():
    joints_xy, visible = drawn(np.random.default_rng(0))
    got = spm.SPM(settings()).encode(joints_xy, visible)
    assert {name: array.shape[1:] for name, array in got.items()} == spm.SPM(
        settings()
    ).target_shapes()
    for n in range(len(joints_xy)):
        confidence, counts = np.zeros((96, 96)), np.zeros((96, 96, K))
        sums = np.zeros((96, 96, K, 2))
        for xy, labelled in zip(joints_xy[n].astype(np.float64) / 4 - 0.5, visible[n] > 0):
            if not labelled.any():
                continue
            box = [np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)]
            torso = [coco.JOINTS.index(joint) for joint in ('lsho', 'rsho', 'lhip', 'rhip')]
            root = xy[torso].mean(axis=0) if labelled[torso].all() else np.mean(box, axis=0)
            sigma = max(0.1 * np.sqrt(np.prod(box[1] - box[0])), 1)
            starts = {}
            for chain in CHAINS:
                start = root
                for joint in map(coco.JOINTS.index, chain.split()):
                    starts[joint] = start
                    start = xy[joint] if labelled[joint] else start
            for r, c in np.ndindex(96, 96):
                confidence[r, c] = max(
                    confidence[r, c],
                    np.exp(-((c - root[0]) ** 2 + (r - root[1]) ** 2) / (2 * sigma**2)),
                )
            for joint, start in starts.items():
                if not labelled[joint]:
                    continue
                for r, c in np.ndindex(96, 96):
                    if (c - start[0]) ** 2 + (r - start[1]) ** 2 <= 7:
                        counts[r, c, joint] += 1
                        sums[r, c, joint] += (xy[joint] - (c, r)) / 8
        assert counts.max() > 1  # neighbourhoods overlap
        displacements = sums / np.maximum(counts, 1)[..., None]
        np.testing.assert_allclose(got['confidence'][n, ..., 0], confidence, atol=1e-5)
        np.testing.assert_allclose(
            got['displacements'][n], displacements.reshape(96, 96, 2 * K), atol=1e-6
        )
        np.testing.assert_array_equal(got['wanted'][n], counts > 0)
    assert (got['weights'] == 1).all()


@pytest.mark.parametrize('augmented', [False, True])
def test_groups_and_people_without_joints_are_no_background(augmented):
    """By the box in which each cell's centre lies in the picture, however that is moved."""
    joints_xy, visible = (array[0] for array in apart())
    joints_xy[1] = np.nan
    visible[1:] = 0
    visible[3, 0] = 1  # one joint is enough to be somebody
    boxes = np.array([(0, 0, 50, 50), (20, 30, 130, 250), (90, 90, 260, 140), (0, 0, 9, 9)])
    people = crops.Person(
        joints_xy, visible, boxes, *(np.zeros((4, 2)), np.ones(4), np.ones(4), ['x.jpg'] * 4)
    )
    system = spm.SPM(settings(data_augm=augmented))
    image = np.zeros((300, 400, 3), np.uint8)
    for seed in range(4):
        sample = system.training_sample(image, people, np.random.default_rng(seed))
        got = system.encode(sample.joints_xy[None], sample.visible[None])
        expected = np.ones((96, 96))
        for r, c in np.ndindex(96, 96):
            x, y = sample.to_image @ (4 * c + 2, 4 * r + 2, 1)
            if any(x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in boxes[1:3]):
                expected[r, c] = got['confidence'][0, r, c, 0]
        assert 0 < (expected < 0.5).sum() < 96 * 96 / 2 and expected[expected < 1].max() > 0.1
        assert np.abs(got['weights'][0, ..., 0] - expected).max() < 1e-6
        k = system.n_points
        alone = system.encode(sample.joints_xy[None, :, :k], sample.visible[None, :, :k])
        assert (alone['weights'] == 1).all()
        for name in ('confidence', 'displacements', 'wanted'):
            np.testing.assert_array_equal(got[name], alone[name])


def test_targets_of_coco_s_pictures_are_decoded_to_its_people(tmp_path, monkeypatch):
    """OKS AP 100; displacements from parents alone have 96.3, since four parents have no label."""
    folder = os.path.join(SHARED, 'coco_sample')
    meta = os.path.join(folder, 'test_coco.json')
    if not os.path.exists(meta):
        pytest.skip(f"COCO's pictures are not at {folder} (set POSE_SHARED)")
    arguments = ['--dataset', 'coco', '--meta', meta, meta, '--images', folder, folder]
    monkeypatch.setattr('sys.argv', ['data.py', *arguments, '--out', str(tmp_path)])
    data.main()
    manifest = arrays.read_manifest(tmp_path)
    everybody = arrays.load_split(tmp_path, 'train', manifest)
    system = spm.SPM(settings())
    split = arrays.system_samples(everybody, system.MAX_PEOPLE)
    batch = batches.plain_batch(system, split, range(4))
    is_ignored = batch.visible[:, :, K:].any(axis=2)
    assert batch.visible[:, :, :K].any(axis=2).sum() == 12 and is_ignored.sum() == 2
    assert (batch.targets['weights'] < 0.5).sum() > 30
    maps = np.concatenate([batch.targets['confidence'], batch.targets['displacements']], axis=-1)
    table = arrays.load_array(tmp_path, 'pictures', 'train', manifest)
    results = []
    for row, people in enumerate(system.decode(maps)):
        for pose in people:
            joints_xy = transform_points(batch.back[row], pose.joints_xy)
            picture = table['id'][split.people['picture'][row]]
            results.append(coco_result(picture, joints_xy, pose.scores, pose.score))
    precision = dict(precision_table(coco.JOINTS, table, everybody, results).rows)
    assert precision['AP'] == '100.0' and precision['AR'] == '100.0'


def maps_of(joints_xy, visible, **changes):
    targets = spm.SPM(settings(**changes)).encode(joints_xy, visible)
    return np.concatenate([targets['confidence'], targets['displacements']], axis=-1)


def test_what_is_encoded_is_decoded():
    """Of people whose neighbourhoods do not overlap, to a hundredth of a pixel, best first."""
    joints_xy, visible = apart()
    found = spm.SPM(settings()).decode(maps_of(joints_xy, visible))[0]
    assert len(found) == 4 and all(a.score >= b.score for a, b in itertools.pairwise(found))
    for truth in joints_xy[0]:
        assert min(np.abs(person.joints_xy - truth).max() for person in found) < 0.01
    assert all(
        person.scores.tolist() == [person.score] * K and person.score > 0.75 for person in found
    )


def test_neighbours_do_not_mix():
    """Two people of one posture, six cells from each other: neither has the other's displacements."""
    joints_xy, visible = apart()
    joints_xy[0, 1] = joints_xy[0, 0] + [24, 0]
    found = spm.SPM(settings()).decode(maps_of(joints_xy[:, :2], visible[:, :2]))[0]
    assert len(found) == 2
    for truth in joints_xy[0, :2]:
        assert min(np.abs(person.joints_xy - truth).max() for person in found) < 0.01


def test_nobody():
    joints_xy, visible = apart()
    maps = maps_of(joints_xy, 0 * visible)
    assert not maps.any() and spm.SPM(settings()).decode(maps) == [[]]


def test_beyond_the_edge():
    """A joint outside the frame is found from a parent within."""
    joints_xy, visible = apart()
    joints_xy, visible = joints_xy[:, :1], visible[:, :1]
    joints_xy[0, 0, coco.JOINTS.index('lwri')] = -30, 100
    (found,) = spm.SPM(settings()).decode(maps_of(joints_xy, visible))[0]
    np.testing.assert_allclose(found.joints_xy, joints_xy[0, 0], atol=0.01)


def test_peaks_by_loops():
    rng = np.random.default_rng(0)
    confidence = np.round(rng.random((40, 50)), 2)  # with equals
    got = spm.find_roots(confidence, 0.5)
    assert len(got) == spm.SPM.MAX_PEOPLE
    left = [
        (r, c)
        for r, c in np.ndindex(confidence.shape)
        if confidence[r, c] >= 0.5
        and confidence[r, c] == max(confidence[max(r - 2, 0) : r + 3, max(c - 2, 0) : c + 3].flat)
    ]
    expected = []
    while left and len(expected) < spm.SPM.MAX_PEOPLE:
        best = max(left, key=lambda at: confidence[at])  # the first of equals
        expected.append((*best, confidence[best]))
        left = [at for at in left if max(abs(at[0] - best[0]), abs(at[1] - best[1])) > 2]
    assert got == expected
    assert spm.find_roots(np.zeros((5, 5)), 0.1) == []


@pytest.mark.parametrize('augmented', [False, True])
def test_sample_is_of_the_whole_picture(augmented):
    """A wide picture in the square frame; joints and the way back agree, and a mirrored one has its sides exchanged."""
    people = crops.Person(
        *(array[0] for array in apart()),
        np.zeros((4, 4)),
        np.zeros((4, 2)),
        np.ones(4),
        np.ones(4),
        np.array(['x.jpg'] * 4),
    )
    image = np.random.default_rng(0).integers(256, size=(300, 600, 3), dtype=np.uint8)
    mirrors = []
    for seed in range(20):
        sample = spm.SPM(settings(data_augm=augmented)).training_sample(
            image, people, np.random.default_rng(seed)
        )
        mirrors.append(bool(np.linalg.det(sample.to_image[:, :2]) < 0))
        joints_xy = people.joints_xy[:, list(coco.Coco().flip)] if mirrors[-1] else people.joints_xy
        assert sample.image.shape == (384, 384, 3) and sample.joints_xy.shape == (4, K + 4, 2)
        np.testing.assert_allclose(
            sample.joints_xy[:, :K] @ sample.to_image[:, :2].T + sample.to_image[:, 2],
            joints_xy,
            atol=0.01,
        )
        if not augmented:
            np.testing.assert_allclose(
                sample.to_image, [[600 / 384, 0, 0], [0, 600 / 384, -150]], atol=1e-6
            )
    assert any(mirrors) == augmented and not all(mirrors)


# --- network and loss ---------------------------------------------------------------------------------------------


def test_network(tf_graph, monkeypatch):
    """The trunk and the heads: counted from their description; sigmoid of the first map alone, near the prior."""
    monkeypatch.setattr(hrnet, 'MODULES', (1, 1, 1))
    monkeypatch.setattr(hrnet, 'BLOCKS', 1)
    images = np.random.default_rng(0).integers(256, size=(2, 96, 64, 3), dtype=np.uint8)
    network = spm.SPM(settings(width=4)).build(tf.constant(images), None, training=True)
    of_heads = sum(
        np.prod(v.shape.as_list())
        for v in tf.trainable_variables()
        if v.op.name.startswith(('head', 'root', 'displacements'))
    )
    common, three = 9 * 4 * 32 + 2 * 32 + 32 * 32 + 32, 9 * 32 * 32 + 32
    assert of_heads == common + three + 32 + 1 + three + 32 * 2 * K + 2 * K
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        maps = session.run(network.outputs['spm'])
    assert maps.shape == (2, 24, 16, 1 + 2 * K)
    assert maps[..., 0].min() > 0.001 and maps[..., 0].max() < 0.1


def test_loss_is_numpy_s(tf_graph):
    rng = np.random.default_rng(0)
    targets = spm.SPM(settings()).encode(*drawn(rng))
    targets['weights'] = rng.integers(0, 2, (3, 96, 96, 1)).astype(np.float32)
    maps = rng.normal(size=(3, 96, 96, 1 + 2 * K)).astype(np.float32)
    loss = spm.SPM(settings()).losses(
        Network({'spm': tf.constant(maps)}, None, None, None),
        {name: tf.constant(array) for name, array in targets.items()},
    )
    with tf_graph() as session:
        got = session.run(loss)
    x, wanted = maps.astype(np.float64), np.repeat(targets['wanted'], 2, axis=-1)
    for n in range(3):
        squared = (x[n, ..., :1] - targets['confidence'][n]) ** 2
        root = squared[targets['weights'][n] > 0].sum()
        absolute = (np.abs(x[n, ..., 1:] - targets['displacements'][n]) * wanted[n]).sum()
        assert got['spm_root'][n] == pytest.approx(root, rel=1e-5)
        assert got['spm_displacements'][n] == pytest.approx(0.01 * absolute, rel=1e-5)
        assert got['spm'][n] == pytest.approx(root + 0.01 * absolute, rel=1e-5)


def test_both_summands_are_logged_and_trained_on_once(tf_graph):
    system = spm.SPM(settings())
    losses = {'spm_root': 3.0, 'spm_displacements': 4.0, 'spm': 7.0}
    with tf_graph() as session:
        total = system.total_loss({name: tf.constant(value) for name, value in losses.items()})
        assert session.run(total) == 7
    meter = system.meter(['spm'])
    joints_xy, visible = apart()
    facts = SimpleNamespace(
        rows=[0],
        joints_xy=joints_xy,
        visible=visible,
        back=np.eye(3)[None, :2],
        unit=np.ones((1, 4)),
    )
    meter.add(losses, {'spm': maps_of(joints_xy, visible)}, facts)
    meter = system.meter(['spm'], meter.state())  # a resumed epoch
    meter.add(dict.fromkeys(losses, 1.0), {'spm': maps_of(joints_xy, visible)}, facts)
    means = meter.means()
    assert (means['loss_spm'], means['loss_spm_root'], means['loss_spm_displacements']) == (
        4,
        2,
        2.5,
    )
    shown = {value.tag: value.simple_value for value in summaries.main_values(means, ['spm'])}
    assert shown['main/loss_spm_root'] == 2 and shown['main/loss_spm_displacements'] == 2.5


def test_the_roots_map_is_shown_also_where_nobody_is_found(tf_graph, monkeypatch, tmp_path):
    """It is the same map as that of a person who is found at a lower threshold."""
    monkeypatch.setattr(hrnet, 'MODULES', (1, 1, 1))
    monkeypatch.setattr(hrnet, 'BLOCKS', 1)
    words = ['--train', '--system', 'spm', '--width', '2', '--threshold', '0.999']
    options, system, *_ = run_options.resolve_options(words)
    image = np.random.default_rng(0).integers(256, size=(60, 90, 3), dtype=np.uint8)
    graph = pose_estimator.build_graph(system, options)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        estimator = pose_estimator.PoseEstimator(session, graph, system, coco.Coco(), options)
        assert estimator.predict(image) == []
        maps, matrix = predict.shown_maps(estimator, image, [])
        options.threshold = 0
        person = estimator.predict(image)[0]
    assert maps.shape == (96, 96, 1)
    np.testing.assert_array_equal(maps, person.maps)
    np.testing.assert_allclose(matrix, person.matrix)
    rendering.write_images(str(tmp_path / 'x'), image, image, (maps, matrix), coco.Coco())
    assert cv2.imread(str(tmp_path / 'x_maps.jpg')) is not None


def test_mirrored_maps_come_back(tf_graph):
    """The targets of mirrored people, brought back, are those of the people."""
    joints_xy, visible = drawn(np.random.default_rng(0))
    mirrored_xy = (joints_xy * [-1, 1] + [384, 0])[:, :, list(coco.Coco().flip)]
    pairs = np.stack(
        [maps_of(joints_xy, visible), maps_of(mirrored_xy, visible[:, :, list(coco.Coco().flip)])],
        axis=1,
    )
    combined = spm.SPM(settings(flip_average=True)).merge_views(
        tf.constant(pairs.reshape(-1, *pairs.shape[2:]))
    )
    with tf_graph() as session:
        np.testing.assert_allclose(session.run(combined), pairs[:, 0], atol=1e-5)
