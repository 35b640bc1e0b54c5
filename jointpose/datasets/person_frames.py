"""The frame in which the joint model sees a person: its size, the part of the picture, the points in it.

Where all pictures have one size (FLIC), the picture is the frame, and may show other people.
Elsewhere the frame is a square around the person's box, in which people are about as large as
FLIC's: the median of (|lhip - rsho| + |rhip - lsho|) / 2 is 159 pixels of the frame for FLIC's
training people, 147 for the first 10,000 of LSP-extended, 129 for PARSE's.

The points are the joints and an anchor, whose map is given to the spatial model:

    source      anchor
    joints      torso: the mean of shoulders and hips, as annotated
    torsobox    the centre of FLIC's torsobox
    box         the centre of the person's box; MPII: its annotated centre
    none        there is none

In a square the box's centre says nothing that the crop does not; 'joints' are part of the truth.
"""

import functools

import numpy as np

from jointpose.datasets import flic
from jointpose.datasets.arrays import Split
from jointpose.datasets.base import DataSet
from jointpose.vision import affine, crops
from jointpose.vision.heatmaps import STRIDE

CROP = (480, 480)  # (height, width) of the square, pixels
MARGIN = 1.1  # its side, in sides of the person's box
ANCHOR_NAMES = {'joints': 'torso', 'torsobox': 'torsobox', 'box': 'box', 'none': ''}


class PersonFrame:
    """How the joint model sees the people of one data set.  m points: k joints, then the anchor."""

    def __init__(self, data_set: DataSet, source: str | None = None):
        """source: of the anchor, see above; None: the data set's own.

        Raises:
            ValueError: the data set has no such anchor.
        """
        self.data_set = data_set
        self.source = source or data_set.anchor_sources[0]
        if self.source not in data_set.anchor_sources:
            raise ValueError(
                f'--torso_from {self.source}: {data_set.name} has '
                f'{", ".join(data_set.anchor_sources)}'
            )

    @property
    def is_picture(self) -> bool:
        """Whether the frame is the whole picture."""
        return self.data_set.frame_size is not None

    @property
    def has_torso(self) -> bool:
        """Whether the anchor is a torso, the middle of shoulders and hips."""
        return self.source in ('joints', 'torsobox')

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), pixels."""
        return self.data_set.frame_size or CROP

    @property
    def map_size(self) -> tuple[int, int]:
        """(rows, columns) of a heat map."""
        height, width = self.size
        return height // STRIDE, width // STRIDE

    @property
    def n_joints(self) -> int:
        return len(self.data_set.joints)

    @property
    def map_names(self) -> tuple[str, ...]:
        """The names of the m points, and of the maps that enter the spatial model."""
        anchor = ANCHOR_NAMES[self.source]
        return (*self.data_set.joints, anchor) if anchor else tuple(self.data_set.joints)

    @functools.cached_property
    def flip(self) -> tuple[int, ...]:
        """In a mirrored frame point i is where point flip[i] was: m indices."""
        own = self.data_set.flip[: self.n_joints]
        return (*own, self.n_joints)[: len(self.map_names)]

    # --- one person ---------------------------------------------------------------------------------

    def points(self, person: crops.Person) -> np.ndarray:
        """The m points [m, 2], pixels of the picture; NaN where a joint is unlabelled."""
        k = self.n_joints
        is_labelled = person.visible[:k, None] > 0
        joints_xy = np.where(is_labelled, person.joints_xy[:k], np.nan)
        anchor_xy = self._anchor(person, joints_xy)
        return np.concatenate([joints_xy, anchor_xy]).astype(np.float32)

    def _anchor(self, person, joints_xy):
        """[1, 2], or [0, 2] without an anchor."""
        if self.source == 'none':
            return np.zeros((0, 2))
        if self.data_set.anchor:  # stored with the joints
            return person.joints_xy[self.n_joints :]
        if self.source == 'box':
            return person.centre[None]
        rows = [self.data_set.joints.index(joint) for joint in self.data_set.torso_joints]
        return joints_xy[rows].mean(axis=0, keepdims=True)

    def crop_matrix(self, person: crops.Person) -> np.ndarray:
        """The matrix [2, 3] from a picture to the square around a person."""
        extent = MARGIN * crops.SCALE_PIXELS * person.scale
        height, width = self.size
        return crops.crop_matrix(person.centre, (extent, extent), (width, height))

    def cut(
        self, image: np.ndarray, person: crops.Person
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A person in their frame.

        Args:
            image: uint8 [h, w, 3], a whole picture of any size.

        Returns:
            The frame, uint8 [*size, 3]; the points in it [m, 2], those beyond the edge of a whole
            picture moved to it; and the matrix [2, 3] from picture to frame.
        """
        if self.is_picture:
            frame, matrix = crops.fit_to_frame(image, self.size)
            points_xy = affine.transform_points(matrix, self.points(person))
            return frame, self.clamp(points_xy), matrix
        matrix = self.crop_matrix(person)
        frame = affine.warp_image(image, matrix, self.size[::-1])
        return frame, affine.transform_points(matrix, self.points(person)), matrix

    def clamp(self, points_xy: np.ndarray) -> np.ndarray:
        """The nearest position in the frame: [..., 2] -> [..., 2]; NaN stays NaN."""
        height, width = self.size
        return np.clip(points_xy, 0, np.array([width - 1, height - 1], np.float32))

    # --- all people ---------------------------------------------------------------------------------

    def prepare(self, split: Split) -> Split:
        """The Split in which stored anchors are those of the source; `points` takes its people."""
        if self.source != 'torsobox':
            return split
        return split._replace(joints=flic.torso_from_box(split.joints, split.people['torsobox']))

    def points_of_split(self, split: Split) -> np.ndarray:
        """The points of a prepared Split's people in their frames: float32 [n, m, 2].

        NaN where a joint is unlabelled or beyond the edge of a square.
        """
        result = np.empty((len(split.people), len(self.map_names), 2), np.float32)
        for row in range(len(result)):
            person = crops.person_from_row(split, row)
            result[row] = self.points(person)
            if not self.is_picture:
                result[row] = affine.transform_points(self.crop_matrix(person), result[row])
        if self.is_picture:
            return self.clamp(result)
        height, width = self.size
        is_outside = ~((result >= 0) & (result < [width, height])).all(axis=-1)
        result[is_outside] = np.nan
        return result
