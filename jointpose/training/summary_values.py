"""Figures, histograms and images as TensorBoard's Values."""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from jointpose.nn.tf1 import tf
from jointpose.vision.drawing import draw_skeleton
from jointpose.vision.map_images import map_titles, overlay_maps

Value = tf.Summary.Value

N_BINS = 60  # of a histogram
LIMB_WIDTH = 2  # of skeletons, pixels
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 85)


def scalar(tag: str, value: float) -> Value:
    """A number."""
    return Value(tag=tag, simple_value=value)


def describe(tag: str, array: np.ndarray) -> Iterator[Value]:
    """An array's histogram, with equal bins from minimum to maximum, and its figures.

    Numbers that are not finite are left out; without any others, there are no Values.
    """
    finite = np.isfinite(array)
    values = array.ravel() if finite.all() else array[finite]
    if not values.size:
        return
    n = values.size
    mean = values.mean(dtype=np.float64)
    deviation = values.std(dtype=np.float64)
    ends = np.array([values.min(), values.max()], np.float64)  # float32 bins could coincide
    counts, edges = np.histogram(values, N_BINS, ends)
    histogram = tf.HistogramProto(
        min=ends[0],
        max=ends[1],
        num=n,
        sum=n * mean,
        sum_squares=n * (deviation**2 + mean**2),
        bucket_limit=edges[1:],
        bucket=counts,
    )
    yield Value(tag=tag, histo=histogram)
    yield scalar(f'{tag}/max', ends[1])
    yield scalar(f'{tag}/mean', mean)
    yield scalar(f'{tag}/min', ends[0])
    yield scalar(f'{tag}/std', deviation)
    yield scalar(f'{tag}/positive', (values > 0).mean())


def overlays(
    images: np.ndarray,
    maps: dict[str, np.ndarray],
    joints: Sequence[str],
    details: bool,
    side: Callable[[str], str],
) -> Iterator[Value]:
    """Heat maps over their images.

    Args:
        images: uint8 [n, h, w, 3].
        maps: {name: float [n, 60, 90, k]}.  Numbers stand for their titles if k is not the number
            of joints.
        joints: names.
        details: each map also by itself.
        side: the side of a joint, 'l', 'r' or ''.
    """
    for name, stack in maps.items():
        titles = map_titles(stack, joints)
        for person, (image, person_maps) in enumerate(zip(images, stack)):
            together = overlay_maps(image, person_maps, titles, range(len(titles)), side)
            yield picture(f'person_{person}/{name}', together, '.jpg', JPEG)
            if details:
                for i, title in enumerate(titles):
                    alone = overlay_maps(image, person_maps, titles, [i], side)
                    yield picture(f'more/person_{person}/{title}_{name}', alone, '.jpg', JPEG)


def skeletons(people, found: dict, body) -> Iterator[Value]:
    """The annotated and the predicted skeletons on the images of systems without maps.

    Args:
        people: a Batch of samples of one person each.
        found: {output: Poses of each sample}, in pixels of its image.
        body: the data set, of which joints and limbs are used.
    """
    k = len(body.joints)
    for i, image in enumerate(people.images):
        truth = draw_skeleton(
            image, people.joints_xy[i, :k], body, LIMB_WIDTH, visible=people.visible[i, :k]
        )
        yield picture(f'person_{i}/target', truth, '.jpg', JPEG)
        for name, of_samples in found.items():
            drawn = image
            for pose in of_samples[i]:
                drawn = draw_skeleton(drawn, pose.joints_xy, body, LIMB_WIDTH)
            yield picture(f'person_{i}/{name}', drawn, '.jpg', JPEG)


def picture(
    tag: str, image: np.ndarray, extension: str = '.png', settings: Sequence[int] = ()
) -> Value:
    """An image, uint8 [h, w, 3] RGB; settings: of OpenCV's encoder for the extension."""
    _, code = cv2.imencode(extension, np.ascontiguousarray(image[..., ::-1]), settings)
    encoded = tf.Summary.Image(
        height=image.shape[0],
        width=image.shape[1],
        colorspace=3,
        encoded_image_string=code.tobytes(),
    )
    return Value(tag=tag, image=encoded)
