"""The drawn sample set: FLIC's format to the byte, joints where the pictures show them, the same set every time."""

import os
import resource

import cv2
import numpy as np
import pytest
from scipy.io import loadmat

from jointpose.datasets.synthetic import flic_set, people
from jointpose.datasets.synthetic.canvas import Canvas
from jointpose.datasets.synthetic.people import sample_style
from jointpose.datasets.synthetic.poses import COLUMNS, sample_pose
from jointpose.utils.errors import InputError

LABELLED = sorted(COLUMNS.values())


@pytest.fixture(scope='module')
def pictures():
    return [flic_set.render(7, index) for index in range(160)]


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp('drawn'))
    flic_set.write(folder, 40, 3)
    return folder


def load(folder):
    return loadmat(os.path.join(folder, 'examples.mat'))['examples']


def all_bytes(folder):
    """{path relative to the folder: content}"""
    paths = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]
    return {os.path.relpath(path, folder): open(path, 'rb').read() for path in paths}


def chroma(image, xy):
    """Mean Cr, Cb of the 5x5 pixels around xy: colour without brightness."""
    x, y = np.round(xy).astype(int)
    patch = image[y - 2 : y + 3, x - 2 : x + 3]
    return cv2.cvtColor(patch, cv2.COLOR_RGB2YCrCb)[..., 1:].mean(axis=(0, 1))


def test_same_bytes_twice_whatever_the_threads(written, tmp_path):
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        flic_set.write(str(tmp_path), 40, 3)
    finally:
        cv2.setNumThreads(threads)
    assert all_bytes(tmp_path) == all_bytes(written)


def test_another_seed_gives_other_pictures():
    assert (flic_set.render(0, 0).image != flic_set.render(1, 0).image).mean() > 0.5
    assert (flic_set.render(0, 0).image != flic_set.render(0, 1).image).mean() > 0.5


def test_a_larger_set_only_adds_people(written, tmp_path):
    flic_set.write(str(tmp_path), 25, 3)
    few, many = all_bytes(tmp_path), all_bytes(written)
    few.pop('examples.mat')
    assert few.items() < many.items()
    for small, large in zip(load(tmp_path)[0], load(written)[0]):
        assert small['filepath'] == large['filepath']
        np.testing.assert_array_equal(small['coords'], large['coords'])


def test_format_is_flics(written, flic):
    ours, real = load(written), loadmat(os.path.join(flic, 'examples.mat'))['examples']
    assert ours.dtype == real.dtype
    assert ours.shape == (1, 40)
    for name in real.dtype.names:
        a, b = ours[0, 0][name], real[0, 0][name]
        assert a.dtype.kind == b.dtype.kind and a.ndim == b.ndim, name
        if a.dtype.kind != 'U':
            assert a.dtype == b.dtype, name
        if name != 'poselet_hit_idx':  # as many as there were hits: none here
            assert a.shape == b.shape, name
    np.testing.assert_array_equal(
        np.isfinite(ours[0, 0]['coords']), np.isfinite(real[0, 0]['coords'])
    )
    np.testing.assert_array_equal(ours[0, 0]['imgdims'], real[0, 0]['imgdims'])


def test_images_and_annotations_belong_together(written):
    examples = load(written)[0]
    files = {example['filepath'].item() for example in examples}
    assert files == set(os.listdir(os.path.join(written, 'images')))
    assert len(files) < len(examples)  # somewhere two people are annotated
    image = cv2.imread(os.path.join(written, 'images', examples[0]['filepath'].item()))[..., ::-1]
    drawn = flic_set.render(3, 0)
    assert image.shape == (480, 720, 3)
    assert (
        np.abs(image.astype(int) - drawn.image).mean() < 8
    )  # the colours' order survives, grain does not
    assert np.abs(image.mean(axis=(0, 1)) - drawn.image.mean(axis=(0, 1))).max() < 1
    np.testing.assert_array_equal(examples[0]['coords'], drawn.people[0])


def test_splits_share_no_frame(written, tmp_path):
    split = {}
    for example in load(written)[0]:
        assert example['istrain'] + example['istest'] == 1
        split.setdefault(example['filepath'].item(), set()).add(example['istest'].item())
    assert all(len(values) == 1 for values in split.values())
    assert 0.15 < np.mean([values == {1} for values in split.values()]) < 0.25
    flic_set.write(str(tmp_path), 2, 3)
    assert [example['istest'].item() for example in load(tmp_path)[0]] == [0, 1]


def test_joints_lie_in_the_frame(pictures):
    coords = np.stack([coords for picture in pictures for coords in picture.people])[:, :, LABELLED]
    assert np.isfinite(coords).all()
    assert (coords >= 0).all() and (coords[:, 0] < 720).all() and (coords[:, 1] < 489).all()
    assert (coords[:, 1] >= 480).any(axis=1).mean() < 0.04
    height = coords[:, 1][:, [6, 7]].mean(axis=1) - coords[:, 1][:, [0, 3]].mean(axis=1)
    assert height.min() > 65 and height.max() < 260 and 110 < np.median(height) < 190


def test_some_poses_leave_the_frame_slightly():
    lowest = np.array(
        [
            np.stack(
                list(flic_set.to_flic(sample_pose(np.random.default_rng(seed), 360, (95, 235))))
            )[1, LABELLED].max()
            for seed in range(600)
        ]
    )
    assert 0 < (lowest >= 480).sum() < 20
    assert lowest.max() <= 488


def test_limbs_hang_together(pictures):
    """Limb lengths in torso heights: a swapped side or column would break them."""
    coords = np.stack([coords for picture in pictures for coords in picture.people])

    def length(a, b):
        return np.hypot(*(coords[:, :, a].reshape(-1, 2) - coords[:, :, b].reshape(-1, 2)).T)

    torso = (length(0, 6) + length(3, 9)) / 2
    for a, b, low, high in (
        (0, 1, 0.5, 0.8),
        (3, 4, 0.5, 0.8),
        (1, 2, 0.3, 0.65),
        (4, 5, 0.3, 0.65),
        (12, 13, 0.06, 0.16),
        (12, 16, 0.05, 0.2),
        (13, 16, 0.05, 0.2),
    ):
        assert (length(a, b) > low * torso).all() and (length(a, b) < high * torso).all(), (a, b)


def test_torsobox_surrounds_the_torso(pictures):
    for picture in pictures:
        for coords, box in zip(picture.people, picture.torsoboxes):
            centre = coords[:, [0, 3, 6, 9]].mean(axis=1)
            assert (box[:2] < centre).all() and (centre < box[2:]).all()


def test_backward_people_are_few_and_swapped(pictures):
    coords = np.stack([coords for picture in pictures for coords in picture.people])
    backward = coords[:, 0, 6] < coords[:, 0, 9]
    assert 0.02 < backward.mean() < 0.12
    np.testing.assert_array_equal(backward, coords[:, 0, 0] < coords[:, 0, 3])
    np.testing.assert_array_equal(backward, coords[:, 0, 12] < coords[:, 0, 13])


def test_wrists_and_nose_have_the_colour_of_skin(pictures):
    """Colour at the wrists is the nose's, far more often than at random places; a turned person may hide one wrist."""
    rng, at_wrist, elsewhere = np.random.default_rng(0), [], []
    for picture in pictures:
        for coords in picture.people:
            if coords[0, 6] < coords[0, 9] or coords[1, LABELLED].max() > 475:
                continue
            nose = chroma(picture.image, coords[:, 16])
            at_wrist += [
                np.abs(chroma(picture.image, coords[:, wrist]) - nose).max() for wrist in (2, 5)
            ]
            elsewhere += [
                np.abs(chroma(picture.image, xy) - nose).max()
                for xy in rng.uniform(10, (700, 460), (2, 2))
            ]
    assert np.mean(np.array(at_wrist) < 10) > 0.8
    assert np.mean(np.array(elsewhere) < 10) < 0.2


def test_both_shoulders_have_the_colour_of_the_clothes(pictures):
    difference = [
        np.abs(chroma(picture.image, coords[:, 0]) - chroma(picture.image, coords[:, 3])).max()
        for picture in pictures
        for coords in picture.people[-1:]
    ]  # the last one drawn is in front
    assert np.mean(np.array(difference) < 6) > 0.85


def test_the_person_differs_from_the_background(monkeypatch, pictures):
    """Without the people the same pictures have other pixels at the joints, and the same ones away from them."""
    monkeypatch.setattr(flic_set, 'draw_person', lambda *args: None)
    monkeypatch.setattr(flic_set, 'develop', lambda rng, canvas: canvas.image)
    at_joints = []
    for index in range(60):
        empty = flic_set.render(7, index).image.astype(int)
        for coords in pictures[index].people:
            if coords[1, LABELLED].max() < 480:
                x, y = np.round(coords[:, LABELLED]).astype(int)
                at_joints.append(np.abs(empty[y, x] - pictures[index].image[y, x]).max(axis=1))
    assert np.mean(np.array(at_joints) > 15) > 0.9


@pytest.mark.parametrize(
    'joint, drawn',
    [
        ('lwri', '_draw_arm'),
        ('relb', '_draw_arm'),
        ('lhip', '_draw_torso'),
        ('rsho', '_draw_torso'),
        ('nose', '_draw_head'),
    ],
)
def test_each_part_covers_its_joint(joint, drawn):
    """Each part alone, drawn white on black, is white at its joint."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        pose = sample_pose(rng, 360, (95, 235))._replace(backward=False)
        style = sample_style(rng)
        white = style._replace(
            **dict.fromkeys(('skin', 'hair', 'top', 'under', 'trousers'), (255, 255, 255))
        )
        canvas = Canvas(
            np.zeros((480, 720, 3), np.uint8), np.zeros((480, 720), np.uint8), np.array([1, 0.9])
        )
        side = (joint[0],) if drawn == '_draw_arm' else ()
        getattr(people, drawn)(canvas, pose, white, *side)
        x, y = np.round(pose.xy[joint]).astype(int)
        assert y >= 480 or canvas.image[y, x].max() > 100


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='file/set/images'):
        flic_set.write(str(tmp_path / 'file' / 'set'), 3, 0)


def test_full_disk_names_the_file(tmp_path):
    """A limit on the size of files stands in for a full disk; no half-written picture stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(
            InputError, match=r'images/synthetic-0-00000001\.jpg: cannot be written'
        ):
            flic_set.write(str(tmp_path), 3, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path / 'images') == []


def test_unwritable_annotations(tmp_path):
    (tmp_path / 'examples.mat').mkdir()
    with pytest.raises(InputError, match=r'examples\.mat: cannot be written'):
        flic_set.write(str(tmp_path), 1, 0)
