"""A user's own pictures: whatever they are, joints come back in their pixels, and one bad file costs only itself."""

import collections
import json
import os
import signal
import time

import cv2
import forked
import numpy as np
import pytest
import simplejpeg
from PIL import Image
from tqdm import tqdm

from jointpose import model, systems
from jointpose.datasets import flic
from jointpose.datasets.synthetic import flic_set
from jointpose.inference import (
    inputs,
    pose_estimator,
    predict,
    prompts,
    rendering,
    result_entries,
    result_files,
    video_detection,
)
from jointpose.media import frames, images, source_names, sources
from jointpose.nn import spectrum_cache
from jointpose.options import options as command_line
from jointpose.systems import tompson
from jointpose.systems.tompson import people_search
from jointpose.training import batches
from jointpose.utils.errors import InputError
from jointpose.vision import affine, crops, drawing, heatmaps, text_labels
from jointpose.vision.affine import transform_points
from jointpose.vision.found_person import FoundPerson

FRAME = (480, 720)


def run(folder, *arguments):
    return forked.run(['tests/narrow_main.py', *arguments], cwd=folder)


def parse(arguments):
    return command_line.parse(tompson.Tompson, systems.names(), arguments)


def options_of(*arguments):
    """Options as main.py has them after a restored run with a spatial model gave its own."""
    options, _ = parse(['--restore', 'x', *map(str, arguments)])
    options.use_sm = True
    return options


def poses_of(folder, name=result_files.POSES):
    with open(os.path.join(folder, name), encoding='utf-8') as file:
        return json.load(file)


def shapes(height=50, width=70):
    """A picture with soft structure, RGB."""
    noise = np.random.default_rng(3).integers(0, 255, (6, 8, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


# --- picture and frame --------------------------------------------------------------------------------------------

SIZES = [
    (720, 480),
    (1, 1),
    (7, 3),
    (3, 701),
    (1801, 1203),
    (479, 719),
    (4001, 37),
    (721, 480),
    (240, 160),
]


@pytest.mark.parametrize(('width', 'height'), SIZES)
def test_letterbox_round_trip(width, height):
    matrix, size = crops.letterbox(width, height, FRAME)
    corners = np.array([(0, 0), (width, height), (width / 3, height / 7)])
    there = corners @ matrix[:, :2].T + matrix[:, 2]
    back = cv2.invertAffineTransform(matrix)
    np.testing.assert_allclose(there @ back[:, :2].T + back[:, 2], corners, atol=1e-9)
    assert (there[0] >= 0).all() and (there[1] <= (720, 480)).all()
    np.testing.assert_array_equal(
        there[0], np.rint(there[0])
    )  # whole pixels, no half-covered edges
    np.testing.assert_allclose(there[1] - there[0], size, atol=1e-9)
    assert size[0] == 720 or size[1] == 480  # as large as it goes in
    scale = min(720 / width, 480 / height)
    np.testing.assert_allclose(size, np.maximum(1, (width * scale, height * scale)), atol=0.5)
    assert np.abs(there[0] + there[1] - (720, 480)).max() <= 1  # in the middle


@pytest.mark.parametrize(('width', 'height'), [(1801, 1203), (351, 374), (240, 160), (1000, 333)])
def test_a_spot_lands_where_the_matrix_says(width, height):
    """Centre of mass of a bright disc, before and after: no half pixel is lost on the way, in either direction."""
    centre = np.array([0.31 * width, 0.64 * height])
    y, x = np.mgrid[:height, :width] + 0.5
    spot = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * (0.04 * height) ** 2))
    image = np.repeat(np.rint(255 * spot)[..., None], 3, axis=2).astype(np.uint8)
    frame, matrix = crops.fit_to_frame(image, FRAME)
    assert frame.shape == (480, 720, 3)
    mass, (y, x) = frame[..., 0].astype(float), np.mgrid[:480, :720] + 0.5
    found = np.array([(x * mass).sum(), (y * mass).sum()]) / mass.sum()
    np.testing.assert_allclose(found, matrix[:, :2] @ centre + matrix[:, 2], atol=0.05)


def test_a_frame_stays_as_it_is():
    image = np.random.default_rng(0).integers(0, 255, (480, 720, 3), np.uint8)
    frame, matrix = crops.fit_to_frame(image, FRAME)
    np.testing.assert_array_equal(frame, image)
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [0, 1, 0]])


def test_maps_lie_over_their_picture():
    """A peak at a frame's cell shows in the sheet's tile where the picture's own pixel is."""
    image, xy = np.zeros((300, 200, 3), np.uint8), np.array([60.0, 210.0])
    matrix, _ = crops.letterbox(200, 300, FRAME)
    column, row = (matrix[:, :2] @ xy + matrix[:, 2]) / 8 - 0.5
    y, x = np.mgrid[:60, :90]
    maps = np.repeat(
        np.exp(-((x - column) ** 2 + (y - row) ** 2) / 8)[..., None], 9, axis=2
    ).astype(np.float32)
    to_picture = affine.invert(matrix)
    to_picture[:, :2] *= 8
    sheet = rendering.map_sheet(image, maps, flic.Flic(), to_picture)
    assert sheet.shape == (3 * 480, 3 * 320, 3)
    tile = sheet[480:960, 320:640].sum(axis=2).astype(float)  # relb
    tile[:30] = 0  # its caption
    y, x = np.unravel_index(tile.argmax(), tile.shape)
    assert np.abs(np.array([x, y]) + 0.5 - xy * 1.6).max() < 4


# --- reading ------------------------------------------------------------------------------------------------------


def encoded(ending, image):
    ok, content = cv2.imencode(ending, image)
    assert ok
    return content.tobytes()


def written(path, content):
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize('ending', ['.png', '.bmp', '.tiff', '.ppm'])
def test_lossless_pictures_are_read_as_rgb(tmp_path, ending):
    image = shapes()
    path = written(tmp_path / f'a{ending}', encoded(ending, image[..., ::-1]))
    np.testing.assert_array_equal(images.read_image(path), image)


def test_grey_deep_and_transparent_pictures(tmp_path):
    image = shapes()
    grey = image[..., 0]
    for ending in ('.png', '.jpg'):
        found = images.read_image(written(tmp_path / f'grey{ending}', encoded(ending, grey)))
        assert found.shape == image.shape and np.abs(found.astype(int) - grey[..., None]).max() < 30
    for ending in ('.png', '.tiff'):
        deep = images.read_image(
            written(tmp_path / f'deep{ending}', encoded(ending, grey.astype(np.uint16) * 257))
        )
        assert deep.dtype == np.uint8 and np.abs(deep.astype(int) - grey[..., None]).max() <= 1
    alpha = np.zeros(grey.shape, np.uint8)
    alpha[:, 35:], alpha[:, 60:] = 128, 255
    for name, scale, dtype in (('a', 1, np.uint8), ('b', 257, np.uint16)):
        content = encoded('.png', np.dstack([image[..., ::-1], alpha]).astype(dtype) * dtype(scale))
        found = images.read_image(written(tmp_path / f'{name}.png', content))
        np.testing.assert_allclose(found, image * (alpha / 255)[..., None], atol=1)


def with_orientation(content, orientation):
    """A JPEG with an EXIF block that says how it is turned."""
    tiff = (
        b'II*\0\x08\0\0\0'
        + b'\x01\0'
        + b'\x12\x01\x03\0\x01\0\0\0'
        + bytes([orientation, 0, 0, 0])
        + b'\0\0\0\0'
    )
    block = b'Exif\0\0' + tiff
    return content[:2] + b'\xff\xe1' + (len(block) + 2).to_bytes(2, 'big') + block + content[2:]


def test_jpegs_are_turned_as_exif_says(tmp_path):
    image = shapes(48, 64)
    content = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=98)
    plain = images.read_image(written(tmp_path / 'plain.jpg', content))
    np.testing.assert_array_equal(
        plain, simplejpeg.decode_jpeg(content, 'RGB')
    )  # as data.py reads frames
    for orientation, turned in (
        (1, plain),
        (3, plain[::-1, ::-1]),
        (6, np.rot90(plain, -1)),
        (8, np.rot90(plain)),
    ):
        found = images.read_image(
            written(tmp_path / 'turned.jpg', with_orientation(content, orientation))
        )
        assert found.shape == turned.shape
        assert np.abs(found.astype(int) - turned).mean() < 2


@pytest.mark.parametrize('ending', ['.jpg', '.png', '.bmp', '.tiff', '.webp', '.ppm'])
@pytest.mark.parametrize('share', [0.5, 0.9])
def test_truncated_pictures_are_unreadable(tmp_path, ending, share, capfd):
    content = encoded(ending, np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8))
    path = written(tmp_path / f'cut{ending}', content[: int(share * len(content))])
    with pytest.raises(images.UnreadableMedia, match=f'cut{ending}'):
        images.read_image(path)
    assert capfd.readouterr().err == ''  # the codecs' own words are not shown


def test_what_is_no_picture_is_unreadable(tmp_path):
    for name, content in (
        ('empty.png', b''),
        ('text.jpg', b'hello'),
        ('start.jpg', b'\xff\xd8'),
        ('head.png', b'\x89PNG\r\n\x1a\n'),
    ):
        with pytest.raises(images.UnreadableMedia, match=name):
            images.read_image(written(tmp_path / name, content))
    (tmp_path / 'folder.jpg').mkdir()
    for name in ('folder.jpg', 'absent.jpg'):
        with pytest.raises(images.UnreadableMedia, match=name):
            images.read_image(str(tmp_path / name))


def test_a_jpeg_that_asks_for_gigabytes_is_refused(tmp_path):
    content = bytearray(simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8)))
    at = content.index(b'\xff\xc0') + 5
    content[at : at + 4] = b'\xff\xdc\xff\xdc'  # 65500 x 65500
    with pytest.raises(images.UnreadableMedia, match='65500x65500'):
        images.read_image(written(tmp_path / 'huge.jpg', bytes(content)))


# --- which pictures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('files', 'names'),
    [
        (['a.jpg', 'b.png'], ['a', 'b']),
        (['a.jpg', 'a.png', 'c.jpg'], ['a.jpg', 'a.png', 'c']),
        (['a.jpg', 'a.jpg.png', 'a.png'], ['a.jpg', 'a.jpg.png', 'a.png']),
    ],
)
def test_names_do_not_collide(files, names):
    assert source_names.unique_names(files) == names


@pytest.mark.parametrize(
    ('box', 'fine'),
    [
        ((10, 5, 20, 30), True),
        ((-30, -20, 31, 21), True),
        ((69, 49, 500, 400), True),
        ((0, 0, 70, 50), True),
        ((70, 5, 20, 30), False),
        ((10, -30, 20, 30), False),
        ((-1e12, 5, 3, 3), False),
        ((-1e12, 5, 2e12, 3), False),
        ((10, 5, 1e-300, 1e-300), False),
        ((10, 5, 20, 0.9), False),
        ((np.nan, 5, 20, 30), False),
    ],
)
def test_boxes_are_of_their_picture(box, fine):
    image = shapes(50, 70)
    if fine:
        prompts.check_inside(image, None, [(1, 1, 5, 5), box], 'a.png')
    else:
        with pytest.raises(InputError, match=r'--boxes: .* is outside a\.png, which is 70x50'):
            prompts.check_inside(image, None, [(1, 1, 5, 5), box], 'a.png')


def find_sources(options):
    return inputs.find_sources(options, tompson.Tompson(options))


def test_folders_are_listed_by_name(tmp_path):
    for name in ('b.PNG', 'a.jpeg', '.hidden.jpg', 'notes.txt', 'c.tif'):
        (tmp_path / name).write_bytes(b'')
    found = find_sources(options_of('--predict', tmp_path, '--out', tmp_path / 'out'))
    assert [source.name for source in found] == ['a', 'b', 'c'] and (tmp_path / 'out').is_dir()
    with pytest.raises(InputError, match='images themselves'):
        find_sources(options_of('--predict', tmp_path, '--out', f'{tmp_path}/.'))


def test_refused_paths_and_torsos(tmp_path):
    empty, picture = tmp_path / 'empty', tmp_path / 'a.png'
    empty.mkdir()
    picture.write_bytes(encoded('.png', shapes(50, 70)))
    out = tmp_path / 'out'
    for arguments, message in [
        ((tmp_path / 'absent',), 'no such file'),
        ((empty,), 'no images'),
        ((picture, '--torso', '70,10'), 'outside .*70x50'),
        ((picture, '--torso', '10,-1'), 'outside'),
        ((tmp_path, '--torso', '10,10'), 'is a folder'),
    ]:
        with pytest.raises(InputError, match=message):
            find_sources(options_of('--out', out, '--predict', *arguments))
    without = options_of('--predict', picture, '--out', out, '--torso', '1,1')
    without.use_sm = False
    with pytest.raises(InputError, match='no spatial model'):
        find_sources(without)
    written(tmp_path / 'file', b'')
    with pytest.raises(InputError):
        find_sources(options_of('--predict', picture, '--out', tmp_path / 'file' / 'below'))
    assert find_sources(options_of('--predict', picture, '--out', out, '--torso', '69.5,0'))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--predict', 'a.jpg'], '--restore'),
        (['--predict', 'a.jpg', '--train', '--restore'], 'without --train'),
        (['--restore', '--torso', '1,2'], '--torso'),
        (['--restore', '--out', 'x'], '--out'),
        (['--restore', '--predict', 'a.jpg', '--torso', '1'], 'X,Y'),
        (['--restore', '--predict', 'a.jpg', '--torso', 'nan,2'], 'finite'),
        (['--restore', '--predict', 'a.jpg', '--infer_torso'], 'without --predict'),
        (['--restore', '--predict', 'a.jpg', '--zooms', '1', '9'], '<= 8'),
        (['--train', '--infer_torso'], '--use_sm'),
        (['--restore', '--predict', ''], 'empty'),
    ],
)
def test_refused_options(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_a_call_is_not_part_of_a_run():
    options = options_of(
        '--predict', 'a.jpg', '--torso', '1,2', '--overlay', '--out', 'x', '--flip_average'
    )
    assert options.flip_average
    settings = command_line.settings_of(options, tompson.Tompson)
    assert not {'predict', 'torso', 'overlay', 'out', 'infer_torso', 'flip_average'} & set(settings)


# --- scores and labels --------------------------------------------------------------------------------------------


def test_confidence_is_the_mass_around_the_peak():
    maps = np.zeros((60, 90, 3), np.float32)
    maps[30, 40, 0] = 1  # all in one cell
    maps[0, 0, 1], maps[2, 2, 1], maps[3, 0, 1] = 0.5, 0.25, 0.25  # in the corner, one part too far
    maps[..., 2] = 1  # nothing known: the corner's 3x3 of 5400
    np.testing.assert_allclose(heatmaps.peak_confidence(maps), [1, 0.75, 9 / 5400], rtol=1e-6)


def test_labels_do_not_cover_each_other():
    xy = np.full((9, 2), (300.0, 240.0)) + np.arange(9)[:, None]
    image = np.zeros((480, 720, 3), np.uint8)
    placed = text_labels.Labels(image)
    for i, at in enumerate(xy):
        placed.add(
            f'label {i}',
            at,
            0.3 + 0.05 * i,
            (255, 255, 255),
            (text_labels.LEFT, text_labels.ABOVE, text_labels.RIGHT)[i % 3],
        )
    ink = np.zeros((480, 720), int)
    for one in placed.placed:
        assert one.left >= 0 and one.left + one.width <= 720 and one.height <= one.bottom <= 480
        ink[one.bottom - one.height : one.bottom, one.left : one.left + one.width] += 1
    assert ink.max() == 1


@pytest.mark.parametrize('shape', [(1, 1), (5, 3), (1, 3000), (480, 720), (1203, 1801)])
def test_poses_are_drawn_on_any_size(shape):
    image = np.zeros((*shape, 3), np.uint8)
    xy = np.random.default_rng(0).uniform(-0.5, 1.5, (9, 2)) * shape[::-1]
    drawn = drawing.draw_poses(
        image,
        [FoundPerson(xy, np.linspace(0, 1, 9), 0.5, torso_xy=[0, 0])],
        flic.Flic(),
    )
    factor = drawn.shape[0] // shape[0]
    assert drawn.shape == (shape[0] * factor, shape[1] * factor, 3) and max(drawn.shape) >= 640
    assert drawn.any() and not image.any()


# --- through the command line -------------------------------------------------------------------------------------


def test_a_folder_with_bad_pictures(untrained, tmp_path):
    folder, out = tmp_path / 'in', tmp_path / 'out'
    folder.mkdir()
    (folder / 'a.jpg').write_bytes(encoded('.jpg', shapes(301, 167)))
    (folder / 'a.png').write_bytes(encoded('.png', shapes(90, 400)))
    (folder / 'b.jpg').write_bytes(encoded('.jpg', shapes())[:-200])
    (folder / 'c.png').write_bytes(b'no picture')
    (folder / 'd.png').write_bytes(encoded('.png', shapes(33, 41)))
    long, shown = 248 * 'e', 230 * 'e'  # _pose.jpg would make it too long a name
    for name in (long, 'f'):
        (folder / f'{name}.png').write_bytes(encoded('.png', shapes()))
    out.mkdir()
    (out / 'f_pose.jpg').write_bytes(b"somebody else's")
    done = run(
        tmp_path,
        '--restore',
        untrained / 'models_ex' / 'pd',
        '--predict',
        folder,
        '--overlay',
        '--out',
        out,
    )
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith('main.py:')]
    assert len(lines) == 3 and all(
        name in line for name, line in zip(('b.jpg', 'c.png', 'f_pose.jpg'), lines)
    )
    assert 'Traceback' not in done.stderr and '4 pictures, 4 people, 3 failed' in done.stdout
    assert (out / 'f_pose.jpg').read_bytes() == b"somebody else's"
    os.unlink(out / 'f_pose.jpg')
    names = ['a.jpg', 'a.png', 'd', shown]
    assert sorted(os.listdir(out)) == sorted(
        [f'{name}_{kind}.jpg' for name in names for kind in ('maps', 'pose')]
        + ['coco_results.json', 'poses.json']
    )
    assert all(
        images.read_image(str(out / name)).size for name in os.listdir(out) if name.endswith('.jpg')
    )
    poses = poses_of(out)
    assert poses['info']['unreadable'] == ['b.jpg', 'c.png', 'f.png']
    assert len(poses['info']['scales']) == 8
    assert [(image['file_name'], image['width'], image['height']) for image in poses['images']] == [
        ('a.jpg', 167, 301),
        ('a.png', 400, 90),
        ('d.png', 41, 33),
        (f'{long}.png', 70, 50),
    ]
    check_coco(poses)
    assert all(person['torso_source'] is None for person in poses['annotations'])


def check_coco(poses):
    """What readers of COCO key points rely on."""
    (category,) = poses['categories']
    assert category['keypoints'] == [
        'left_shoulder',
        'left_elbow',
        'left_wrist',
        'right_shoulder',
        'right_elbow',
        'right_wrist',
        'left_hip',
        'right_hip',
        'nose',
    ]
    assert 'own left' in poses['info']['sides']
    assert {tuple(pair) for pair in category['skeleton']} == {
        (a + 1, b + 1) for a, b in flic.Flic().limb_indices
    }
    sizes = {image['id']: (image['width'], image['height']) for image in poses['images']}
    assert len(sizes) == len(poses['images']) == len(poses['annotations'])
    for person in poses['annotations']:
        points, found = (
            np.array(person['keypoints']).reshape(9, 3),
            np.array(person['scores']) >= result_entries.NOT_FOUND,
        )
        inside = ((points[:, :2] >= 0) & (points[:, :2] < sizes[person['image_id']])).all(axis=1)
        np.testing.assert_array_equal(points[:, 2], np.where(found, np.where(inside, 2, 1), 0))
        assert not points[~found].any() and person['num_keypoints'] == found.sum()
        assert person['category_id'] == category['id']
        assert len(person['scores']) == 9 and all(0 <= score <= 1 for score in person['scores'])
        assert 0 <= person['score'] <= 1
        if found.any():
            np.testing.assert_allclose(person['bbox'][:2], points[found, :2].min(axis=0))


@pytest.mark.parametrize('scales', [pytest.param('multi', marks=pytest.mark.long), 'single'])
def test_a_frame_gives_the_joints_of_the_evaluation(tf_graph, monkeypatch, scales):
    """The same frame and torso, as a picture and by the way that test people go."""
    from jointpose.nn.tf1 import tf

    monkeypatch.setattr(model, 'CHANNELS', (1, 1, 1, 1, 1))
    options = options_of('--predict', 'x', '--width', '4', '--scales', scales)
    system = tompson.Tompson(options)
    graph = pose_estimator.build_graph(system, options)
    image = flic_set.render(0, 2).image
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        with spectrum_cache.filled(session, graph.spectra):
            (found,) = pose_estimator.PoseEstimator(
                session, graph, system, flic.Flic(), options
            ).predict(image, [(300.0, 200.0)])
            view = people_search.view_around(
                image, 8 / found.matrix[0, 0], (300, 200)
            )  # where it found them
            torso_xy = transform_points(view.matrix, found.torso_xy)
            views = tompson.Tompson(options).views(
                view.image, crops.person_from_box((0, 0, 720, 480), 10, torso_xy)
            )
            batch = batches.collate(
                tompson.Tompson(options), [0] * len(views), np.ones(len(views)), views
            )
            evaluate = tompson.Tompson(options).predictor(session, graph.evaluation)
            outputs, _, _ = evaluate(batches.feed(graph.evaluation.batch, batch))
    ((expected,),) = tompson.Tompson(options).decode(outputs['sm'])
    np.testing.assert_allclose(
        transform_points(view.matrix, found.joints_xy), expected.joints_xy, atol=0.02
    )
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)


def test_nobody(untrained, tmp_path):
    """A picture without people is written as it is, and has no annotations."""
    (tmp_path / 'black.png').write_bytes(encoded('.png', np.zeros((480, 720, 3), np.uint8)))
    done = run(
        tmp_path,
        '--restore',
        untrained / 'models_ex' / 'sm',
        '--predict',
        'black.png',
        '--scales',
        'single',
    )
    assert done.returncode == 0 and '1 picture, 0 people' in done.stdout, done.stderr
    poses = poses_of(tmp_path / 'poses')
    assert len(poses['images']) == 1 and poses['annotations'] == [] == poses_of(
        tmp_path / 'poses', result_files.RESULTS
    )
    assert images.read_image(str(tmp_path / 'poses' / 'black_pose.jpg')).max() < 8


@pytest.mark.long
def test_without_a_spatial_model(untrained, tmp_path):
    image = np.ascontiguousarray(flic_set.render(0, 2).image[:, 100:500])
    (tmp_path / 'one.png').write_bytes(encoded('.png', image[..., ::-1]))
    run_pd = untrained / 'models_ex' / 'pd'
    done = run(tmp_path, '--restore', run_pd, '--predict', 'one.png')
    assert done.returncode == 0, done.stderr
    (pose,) = poses_of(tmp_path / 'poses')['annotations']
    assert pose['torso'] is None and pose['torso_source'] is None
    check_coco(poses_of(tmp_path / 'poses'))
    for arguments, message in (
        (['--predict', 'one.png', '--torso', '5,5'], 'no spatial model'),
        (['--infer_torso'], '--infer_torso goes with --use_sm'),
    ):
        refused = run(tmp_path, '--restore', run_pd, *arguments)
        assert refused.returncode == 2 and message in refused.stderr


@pytest.mark.long
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_what_was_found_survives(untrained, tmp_path, number):
    (tmp_path / 'in').mkdir()
    for i in range(50):
        (tmp_path / 'in' / f'{i}.png').write_bytes(encoded('.png', shapes(33, 41)))
    (tmp_path / 'gate').write_text('-----')  # it has not found more by then
    process = forked.start(
        ['tests/narrow_main.py', '--restore', untrained / 'models_ex' / 'pd', '--predict', 'in'],
        cwd=tmp_path,
        env={**os.environ, 'GATE': 'gate'},
    )
    written = tmp_path / 'poses' / result_files.POSES
    while process.poll() is None and not (written.exists() and poses_of(written.parent)['images']):
        time.sleep(0.05)
    process.send_signal(number)
    os.truncate(tmp_path / 'gate', 50)
    said = process.communicate()[1]
    assert process.returncode == (143 if number == signal.SIGTERM else -9)
    poses = poses_of(written.parent)
    assert 1 <= len(poses['images']) == len(poses['annotations']) <= 6
    assert number == signal.SIGKILL or 'stopped: poses/poses.json has what was found' in said


def write_video(path, n, code):
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 12, (102, 76))
    assert video.isOpened()
    for i in range(n):
        video.write(np.roll(shapes(76, 102), 3 * i, axis=1)[..., ::-1])
    video.release()


@pytest.mark.parametrize(
    ('name', 'code'),
    [('clip.avi', 'MJPG'), pytest.param('clip.mp4', 'mp4v', marks=pytest.mark.long)],
)
def test_videos(untrained, tmp_path, name, code):
    write_video(tmp_path / name, 4, code)
    done = run(
        tmp_path,
        '--restore',
        untrained / 'models_ex' / 'sm',
        '--predict',
        name,
        '--scales',
        'single',
        '--torso',
        '50,30',
        *(['--frames', '--no_smoothing'] if code == 'MJPG' else []),
    )
    assert done.returncode == 0, done.stderr
    out = tmp_path / 'poses'
    names = [f'clip_{i:06d}' for i in range(1, 5)]
    written = [f'{frame}_pose.jpg' for frame in names if code == 'MJPG']
    assert sorted(os.listdir(out)) == sorted(
        [*written, 'clip_pose.mp4', 'coco_results.json', 'poses.json']
    )
    poses = poses_of(out)
    check_coco(poses)
    assert [
        (image['file_name'], image['video'], image['frame'], image['time'])
        for image in poses['images']
    ] == [(frame, name, i, round((i - 1) / 12, 4)) for i, frame in enumerate(names, 1)]
    assert all(
        person['torso_source'] == 'torso' and person['track'] == 1
        for person in poses['annotations']
    )
    video = cv2.VideoCapture(str(out / 'clip_pose.mp4'))
    assert round(video.get(cv2.CAP_PROP_FPS)) == 12
    assert [video.read()[0] for _ in range(5)] == [True] * 4 + [False]


class Crowd:
    """An estimator of people who come and go: people[i] at frame i + 1.  Whoever was `before` is
    found if still there."""

    def __init__(self, people):
        self.people, self.searched = people, []

    def predict(self, number, points_xy, boxes_xy, before):
        there = self.people[number - 1]
        if before is None:
            self.searched.append(number)
        return [one for one in (there if before is None else before) if one in there]


def test_a_video_is_searched_now_and_then():
    """Every half second, here six frames, and after somebody was lost: whoever comes is seen half a second later."""
    estimator = Crowd([*8 * ['ab'], *6 * ['b'], *6 * ['bc']])
    search = video_detection.VideoDetector(estimator, 12)
    found = [''.join(search(number, number)) for number in range(1, 21)]
    assert estimator.searched == [1, 7, 10, 13, 19]
    assert found == [*8 * ['ab'], *10 * ['b'], *2 * ['bc']]
    estimator.searched = []
    picture, boxes_too = (
        video_detection.VideoDetector(estimator, None),
        video_detection.VideoDetector(estimator, 12),
    )
    assert [''.join(picture(number, number)) for number in (1, 1)] == ['ab', 'ab']
    assert [''.join(boxes_too(number, number, None, ['a box'])) for number in (1, 2)] == [
        'ab',
        'ab',
    ]
    assert estimator.searched == [1, 1, 1, 2]


def test_frames_of_a_variable_rate_are_searched_by_their_times():
    estimator = Crowd(100 * ['a'])
    timing = frames.Timing(12, False, 6)
    search = video_detection.VideoDetector(estimator, 12)
    video = sources.Source('a.mp4', 'a', True)
    for number, seconds in enumerate([0, 0.1, 0.2, 2.0, 2.1, 3.5], 1):
        number = video_detection.constant_rate_number(video, timing, number, seconds)
        search(number, number)
    assert estimator.searched == [1, 25, 43]
    assert (
        video_detection.constant_rate_number(sources.Source(0, 'camera0', True), timing, 2, 9.0)
        == 2
    )
    assert video_detection.constant_rate_number(video, timing._replace(constant=True), 2, 9.0) == 2


def test_videos_that_cannot_be_read(tmp_path, monkeypatch):
    write_video(tmp_path / 'whole.avi', 4, 'MJPG')
    content = (tmp_path / 'whole.avi').read_bytes()
    for name, part in (
        ('cut.avi', content[: len(content) // 2]),
        ('junk.mp4', b'junk' * 50),
        ('empty.avi', b''),
    ):
        source = sources.Source(written(tmp_path / name, part), 'x', True)
        with pytest.raises(images.UnreadableMedia, match=name):
            collections.deque(frames.read(source), maxlen=0)
    # Damaged in the middle: as many frames as there are, then the complaint.
    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, 'VideoCapture', lambda *how: Stopping(capture(*how), 2, 4000))
    seen = []
    with pytest.raises(images.UnreadableMedia, match='ends after 2 of 4000 frames'):
        seen.extend(frames.read(sources.Source(str(tmp_path / 'whole.avi'), 'x', True)))
    assert [name for name, *_ in seen] == ['x_000001', 'x_000002']


Signals = collections.namedtuple('Signals', 'code')


class Nobody:
    body = flic.Flic()

    def predict(self, *_):
        return []


def test_a_video_that_breaks_off_is_annotated_up_to_there(tmp_path):
    write_video(tmp_path / 'whole.avi', 12, 'MJPG')
    content = (tmp_path / 'whole.avi').read_bytes()
    path = written(tmp_path / 'cut.avi', content[: len(content) // 2])
    document = result_files.ResultFiles(str(tmp_path), result_entries.head(flic.Flic(), {}))
    options = options_of('--predict', path, '--out', tmp_path)
    with pytest.raises(images.UnreadableMedia, match=r'cut\.avi: ends after \d of 12 frames'):
        predict.predict_source(
            Nobody(),
            sources.Source(path, 'cut', True),
            options,
            None,
            document,
            tqdm(disable=True),
            Signals(None),
        )
    video = cv2.VideoCapture(str(tmp_path / 'cut_pose.mp4'))
    n = len(document.document['images'])
    assert 2 < n < 10 and [video.read()[0] for _ in range(n + 1)] == [True] * n + [False]


def test_the_annotated_video_keeps_the_pace(tmp_path):
    """An animation whose frames last 0.04, 0.2 and 0.08 s: the times are in poses.json, and in the video."""
    shown = [
        Image.new('RGB', (64, 48), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))
    ]
    path = str(tmp_path / 'a.gif')
    shown[0].save(path, save_all=True, append_images=shown[1:], duration=[40, 200, 80])
    document = result_files.ResultFiles(str(tmp_path), result_entries.head(flic.Flic(), {}))
    (source,), _ = sources.find([path], str(tmp_path / 'out'))
    predict.predict_source(
        Nobody(),
        source,
        options_of('--predict', path, '--out', tmp_path),
        None,
        document,
        tqdm(disable=True),
        Signals(None),
    )
    assert [(image['frame'], image['time']) for image in document.document['images']] == [
        (1, 0),
        (2, 0.04),
        (3, 0.24),
    ]
    video = cv2.VideoCapture(str(tmp_path / 'a_pose.mp4'))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(25, abs=0.1)
    colours = []
    while (frame := video.read())[0]:
        colours.append('bgr'[frame[1][24, 32].argmax()])
    assert ''.join(colours) == 'r' + 5 * 'g' + 2 * 'b'


class Stopping:
    """A capture that fails after n frames of a video that claims more."""

    def __init__(self, capture, n, claimed):
        self.capture, self.n, self.claimed = capture, n, claimed

    def __getattr__(self, name):
        return getattr(self.capture, name)

    def get(self, what):
        return self.claimed if what == cv2.CAP_PROP_FRAME_COUNT else self.capture.get(what)

    def read(self):
        self.n -= 1
        return self.capture.read() if self.n >= 0 else (False, None)
