"""Plain implementations that the project's are timed against."""

import os

import numpy as np
import scipy.ndimage

from jointpose import data, pairwise_distr
from jointpose.datasets.flic import (
    HEIGHT,
    MAP_HEIGHT,
    MAP_SIZE,
    MAP_WIDTH,
    N_MAPS,
    PAIRS,
    WIDTH,
    clamp_to_frame,
)
from jointpose.nn import test_time_augmentation
from jointpose.vision.heatmaps import cell_index


def plain_scaled(image):
    """uint8 [480, 720, 3] -> float64 [8, 480, 720, 3].

    Padded or cropped, then interpolated back to the frame.
    """
    image = image / 255
    result = []
    for pad in test_time_augmentation.PADS:
        h = round(HEIGHT * pad)
        w = round(WIDTH * pad)
        top = (h - HEIGHT) // 2
        left = (w - WIDTH) // 2
        framed = np.pad(image, [(top, h - HEIGHT - top), (left, w - WIDTH - left), (0, 0)])
        result.append(scipy.ndimage.zoom(framed, (HEIGHT / h, WIDTH / w, 1), order=1))
    for crop in test_time_augmentation.CROPS:
        h = round(HEIGHT * crop)
        w = round(WIDTH * crop)
        top = (HEIGHT - h) // 2
        left = (WIDTH - w) // 2
        part = image[top : top + h, left : left + w]
        result.append(scipy.ndimage.zoom(part, (HEIGHT / h, WIDTH / w, 1), order=1))
    return np.stack(result)


def plain_combined(maps):
    """Maps [8, 60, 90, k] of `plain_scaled` -> their mean in the frame, [60, 90, k]."""
    total = np.zeros(maps.shape[1:])
    for view, scale in zip(maps, test_time_augmentation.SCALES):
        h = round(MAP_HEIGHT / scale)
        w = round(MAP_WIDTH / scale)
        factors = (h / MAP_HEIGHT, w / MAP_WIDTH, 1)
        zoomed = scipy.ndimage.zoom(view.astype(np.float64), factors, order=1)
        top = abs(h - MAP_HEIGHT) // 2
        left = abs(w - MAP_WIDTH) // 2
        if scale < 1:
            total += zoomed[top : top + MAP_HEIGHT, left : left + MAP_WIDTH]
        else:
            total[top : top + h, left : left + w] += zoomed
    return total / len(maps)


def plain_histograms(joints_xy):
    """[n, 10, 2] -> [90, 120, 180] by loops over pairs and people."""
    cells = cell_index(clamp_to_frame(joints_xy))
    result = []
    window = np.outer(pairwise_distr.BINOMIAL_9, pairwise_distr.BINOMIAL_9)
    for joint, condjoint in PAIRS:
        histogram = np.zeros(pairwise_distr.prior_size(MAP_SIZE))
        for person in cells:
            row, col = person[joint] - person[condjoint]
            histogram[row + MAP_HEIGHT, col + MAP_WIDTH] += 1
        histogram = scipy.ndimage.convolve(histogram, window, mode='constant')
        result.append((histogram / histogram.sum()).astype(np.float32))
    return np.stack(result)


def plain_arrays(folder, paths, joints_xy):
    """Decodes and renders one after the other into float32 arrays in memory, then saves them."""
    images = []
    maps = []
    for path, xy in zip(paths, clamp_to_frame(joints_xy)):
        images.append(data.decode(path).astype(np.float32) / 255)
        heat = np.zeros((MAP_HEIGHT, MAP_WIDTH, N_MAPS), np.float32)
        for joint, (row, col) in enumerate(cell_index(xy)):
            heat[row, col, joint] = 1
            heat[..., joint] = scipy.ndimage.convolve(
                heat[..., joint], np.outer([1, 2, 1], [1, 2, 1]) / 16
            )
        maps.append(heat)
    np.save(os.path.join(folder, 'x.npy'), np.array(images))
    np.save(os.path.join(folder, 'y.npy'), np.array(maps))
