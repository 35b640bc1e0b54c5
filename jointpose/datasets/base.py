"""The interface of a data set: its skeleton, its metrics, its annotation files, its arrays.

A new data set is one file in this folder, NAME.py, with a subclass of DataSet, most often of
PictureDataSet, whose `name` is NAME.  Nothing else lists the data sets: `data.py --dataset`, the
manifest of arrays, main.py, evaluate.py and show.py find it by its name (datasets/__init__.py).

Coordinates are (x right, y down) in pixels of the picture; arrays that hold them end in `xy`.
Letters of shapes: n people, k joints, p points (the joints, then the anchor if there is one).
"""

import abc
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from jointpose.datasets import arrays, records
from jointpose.datasets.skeleton import Skeleton
from jointpose.metrics.tables import Table
from jointpose.vision.heatmaps import STRIDE
from jointpose.vision.joints import TORSO_JOINTS, coco_name

TORSO_OF_SHOULDERS = 1.2  # min length of a torso, in distances between the shoulders

Layout = dict[str, tuple[np.dtype, tuple[int, ...]]]  # {kind of array: (dtype, shape of one row)}


class DataSet(abc.ABC):
    """A data set: attributes without a value here must be set, and abstract methods written, by each."""

    name: ClassVar[str]  # of --dataset, of the arrays' files, of predictions

    # --- Skeleton.

    skeleton_is_data: bool = False  # arrays and runs store the skeleton (own.py)
    skeleton: Skeleton | None = None  # where it is data
    category: str = 'person'  # of COCO's files
    instance_names: tuple[str, str] = ('person', 'people')  # one, several; in what is printed
    joints: Sequence[
        str
    ]  # the k joints to predict; names of a side's begin with l or r, no other does: or mirror_pairs
    anchor: str = ''  # a point beside the joints that says which person is meant; '': there is none
    limbs: Sequence[tuple[str, str]]  # pairs of joints to draw a line between
    torso_joints: Sequence[str] = TORSO_JOINTS  # their mean is the torso
    # Of the anchor that the joint model is given (person_frames.py); the first is the default.
    anchor_sources: Sequence[str] = ('box', 'none')
    normaliser: (
        tuple[str, str] | None
    )  # joints whose distance gives a person's `unit`; None: the area does
    side_convention: str  # which side is left, in words
    frame_size: tuple[int, int] | None = None  # (height, width) of all pictures; None: they differ
    # The box of an upright person, x1 y1 x2 y2 in torso lengths from the torso's middle.  Median edges
    # of 263 upright people of PARSE: -0.85 -1.38 0.80 2.32, of 2701 of LSP extended: -1.06 -1.30
    # 1.05 1.75, of 11 of COCO: -0.82 -1.13 0.93 2.16.
    torso_to_box: Sequence[float] = (-0.9, -1.3, 0.9, 2.2)

    # --- Metrics: a joint is found if its error is at most hit_radius * unit.

    rate_name: str  # in logs and TensorBoard
    hit_radius: float
    uncounted_joints: Sequence[str] = ()  # left out of the mean over the joints
    more_rates: Mapping[str, Sequence[str]] = {}  # {further measure in logs: its labels}
    has_rate_curves: bool = False  # evaluate.py: detection rates over the radius, FLIC's measure
    multi_person: bool = False  # predictions are all people of a picture, in a .json as COCO's

    # --- Annotation files.

    same_form: Sequence[
        str
    ] = ()  # other data sets with these joints, which data.py reads as this one
    max_annotation_files: int | None = 2  # of --meta; None: any number
    tenth_is_test: bool = True  # of a single file, every tenth picture is a test one

    @classmethod
    def missing(cls) -> list[str]:
        """Returns the names of attributes and methods that a data set must define and this one does not."""
        attributes = [name for name in DataSet.__annotations__ if not hasattr(cls, name)]
        return [*attributes, *sorted(cls.__abstractmethods__)]

    # --- What follows from the skeleton.

    @property
    def points(self) -> tuple[str, ...]:
        """The names of the p points that the arrays hold: the joints, then the anchor."""
        return (*self.joints, self.anchor) if self.anchor else tuple(self.joints)

    @property
    def mirror_pairs(self) -> tuple[tuple[str, str], ...]:
        """The points that change places in a mirrored picture, as (left, right)."""
        pairs = []
        for left in self.points:
            right = 'r' + left[1:]
            if left.startswith('l') and right in self.points:
                pairs.append((left, right))
        return tuple(pairs)

    @property
    def flip(self) -> tuple[int, ...]:
        """In a mirrored picture, point i is where point flip[i] was: p indices."""
        other = {}
        for left, right in self.mirror_pairs:
            other[left] = right
            other[right] = left
        return tuple(self.points.index(other.get(point, point)) for point in self.points)

    def side(self, *joints: str) -> str:
        """Returns 'l' or 'r' if all these joints are on that side, else ''."""
        sides = set()
        for joint in joints:
            of_joint = [pair.index(joint) for pair in self.mirror_pairs if joint in pair]
            sides.add('lr'[of_joint[0]] if of_joint else '')
        return sides.pop() if len(sides) == 1 else ''

    @property
    def coco_joints(self) -> list[str]:
        """The names of the joints in files of COCO's form."""
        return [coco_name(joint) for joint in self.joints]

    def counted(self, n: int) -> str:
        """Returns '1 person', '2 people', or what else the instances are called."""
        one, several = self.instance_names
        return f'{n} {one if n == 1 else several}'

    @property
    def limb_indices(self) -> tuple[tuple[int, int], ...]:
        """The limbs as pairs of indices of joints."""
        return tuple((self.joints.index(a), self.joints.index(b)) for a, b in self.limbs)

    def torso_labelled(self, visible: np.ndarray) -> np.ndarray:
        """Returns whose shoulders and hips are all labelled: [n, p] -> bool [n]; nobody without these joints."""
        if not set(TORSO_JOINTS) <= set(self.joints):
            return np.zeros(len(visible), bool)
        columns = [self.joints.index(joint) for joint in TORSO_JOINTS]
        return (visible[:, columns] > 0).all(axis=1)

    def faces_backward(self, joints_xy: np.ndarray) -> np.ndarray:
        """Returns who is seen from behind: [..., p, 2] -> bool [...]; nobody without shoulders and hips.

        They are if shoulders and hips both cross: the person's own left lies left of the right in
        the picture.  All of FLIC's people with crossed hips have crossed shoulders, too.
        Elsewhere, one of the two often crosses by itself, of people who twist, bend or stand in
        profile, and most of them face the camera.  Unlabelled joints (NaN) do not cross.
        """
        if not set(TORSO_JOINTS) <= set(self.joints):
            return np.zeros(joints_xy.shape[:-2], bool)
        by_joint = np.moveaxis(joints_xy[..., 0], -1, 0)  # [p, ...]
        x = dict(zip(self.points, by_joint))
        shoulders_cross = x['lsho'] < x['rsho']
        hips_cross = x['lhip'] < x['rhip']
        return shoulders_cross & hips_cross

    def box_around_torso(self, corners_xy: np.ndarray) -> np.ndarray:
        """The box x1 y1 x2 y2 of a person of whom only the torso is known, like the set's own boxes.

        corners_xy: [4, 2], TORSO_JOINTS.  A torso that is foreshortened has the shoulders' length.
        """
        shoulders = corners_xy[:2]
        middles = shoulders.mean(axis=0), corners_xy[2:].mean(axis=0)
        height = np.linalg.norm(np.subtract(*middles))
        width = np.linalg.norm(np.subtract(*shoulders))
        length = max(height, TORSO_OF_SHOULDERS * width, 1.0)
        middle = np.tile(corners_xy.mean(axis=0), 2)
        return middle + length * np.asarray(self.torso_to_box)

    @property
    def map_size(self) -> tuple[int, int] | None:
        """(rows, columns) of a heat map of a whole picture; None where pictures differ in size."""
        if self.frame_size is None:
            return None
        height, width = self.frame_size
        return height // STRIDE, width // STRIDE

    # --- Arrays.

    @property
    @abc.abstractmethod
    def layout(self) -> Layout:
        """The arrays that data.py writes for each split."""

    @abc.abstractmethod
    def complete_people(self, stored: np.ndarray, joints_xy: np.ndarray) -> np.ndarray:
        """Returns the stored people [n] with all the fields that a crops.Person has."""

    @abc.abstractmethod
    def check_joints(self, joints_xy: np.ndarray, path: str) -> None:
        """Raises InputError, which names the file, for joints that are NaN or far outside."""

    # --- Reading and drawing.

    @abc.abstractmethod
    def write_synthetic(self, folder: str, n: int, seed: int) -> tuple[list[str], list[str]]:
        """Draws n people in the data set's own format.

        Returns:
            Paths of the annotation files, and for each the folder of its pictures.
        """

    # --- Evaluation.

    def measure_more(self, pred_xy, truth_xy, visible) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Returns the measures of `more_rates`: {measure: (rate of each label in %, counts)}.

        Args:
            pred_xy, truth_xy: [n, k, 2], pixels of the picture.
            visible: [n, k], 0 where unlabelled.
        """
        return {}

    def tables(self, found, joints_xy, people) -> list[Table]:
        """Returns the tables of publications on this data set, of predicted joints of annotated people.

        Args:
            found: {model: predicted joints [n, k, 2]}.
            joints_xy: the truth, [n, k, 2].
            people: [n], arrays.person_dtype.
        """
        return []

    def result_tables(self, pictures, split, results, evaluated=None) -> list[Table]:
        """Returns the tables of all people found in pictures, where the data set is multi_person.

        Args:
            pictures: the split's pictures, arrays.picture_dtype.
            split: arrays.Split with all its people.
            results: list of average_precision.coco_result.
            evaluated: rows of `pictures` that were predicted; None: all.
        """
        raise NotImplementedError(f'{self.name}: predictions are of one person each')


class PictureDataSet(DataSet):
    """A data set with pictures of any size, which stay where they are; joints as annotated."""

    side_convention = "left is the person's own left"

    @property
    def layout(self) -> Layout:
        return arrays.picture_layout(len(self.joints))

    def complete_people(self, stored, joints_xy):
        """They are stored with all fields."""
        return stored

    def check_joints(self, joints_xy, path):
        records.check_joints(joints_xy, path)

    @abc.abstractmethod
    def read(self, metas, folders) -> tuple[str, dict[str, records.Annotated]]:
        """Reads the annotation files.

        Args:
            metas: paths of the annotation files.
            folders: one folder of pictures for each.

        Returns:
            The folder that the names of pictures are relative to, and the people of each split,
            {'train', 'test'}.
        """

    def label_warnings(self, part: records.Annotated) -> list[str]:
        """Returns a line for each kind of doubtful label of one split."""
        return []
