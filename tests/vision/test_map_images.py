"""Heat maps, priors and filters as images."""

import numpy as np

from jointpose.datasets.flic import JOINTS
from jointpose.vision import map_images, palette


def test_overlay_paints_the_cell_in_the_joints_colour():
    frame = np.full((480, 720, 3), 100, np.uint8)
    maps = np.zeros((60, 90, 9), np.float32)
    maps[30, 70, 5], maps[40, 50, 2] = 1e-3, 0.9
    both, one = (map_images.overlay_maps(frame, maps, JOINTS, shown) for shown in (range(9), [2]))
    assert both.shape == (240, 360, 3)
    assert (both[:, 100:] != 100).any(axis=-1).nonzero()[
        0
    ].min() >= 116  # beside the names, only around the cells
    for image, row, col, joint in ((both, 30, 70, 5), (both, 40, 50, 2), (one, 40, 50, 2)):
        pixel = image[4 * row + 1 : 4 * row + 3, 4 * col + 1 : 4 * col + 3].mean(axis=(0, 1)) - 100
        toward = np.array(palette.rgb(palette.joint_colours(JOINTS)[JOINTS[joint]])) - 100.0
        assert pixel @ toward > 0.95 * np.linalg.norm(pixel) * np.linalg.norm(toward) > 0
    assert (one[4 * 30 : 4 * 31, 4 * 70 : 4 * 71] == 100).all()
    assert (
        map_images.overlay_maps(frame, np.full_like(maps, np.nan), JOINTS, [2])[40:] == 100
    ).all()


def test_map_image_is_brightest_at_the_peak_and_legible_when_flat():
    values = np.zeros((120, 180))
    values[90, 20] = 2.0
    image = map_images.map_image(values, 'lsho given lelb').astype(int).sum(axis=-1)
    assert (image[40:] == image[40:].max()).nonzero()[0].tolist() == [140, 140, 141, 141]
    assert map_images.map_image(np.full((60, 90), 0.14), 'flat').shape == (240, 360, 3)


def test_filter_grid_shows_zero_grey_and_filters_in_order():
    weights = np.zeros((5, 5, 3, 16), np.float32)
    weights[0, 1, 0, 6] = 0.5  # red, second row of tiles, third column
    weights[2, 2, :, 9] = -0.5  # black
    image = map_images.filter_grid(weights)
    assert image.shape == (240, 240, 3)
    assert image[60 * 1 + 5, 60 * 2 + 15].tolist() == [255, 128, 128]
    assert image[60 * 2 + 25, 60 * 1 + 25].tolist() == [0, 0, 0]
    assert (image == 128).all(axis=-1).sum() == 240 * 240 - 2 * 100
