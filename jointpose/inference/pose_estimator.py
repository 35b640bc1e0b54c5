"""Finds people and their joints in one picture, by a restored network.

`main.py --predict` (predict.py) and the Python interface (api.py) share this.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jointpose.checkpoints import checkpoint_variables
from jointpose.nn import spectrum_cache
from jointpose.nn.tf1 import tf
from jointpose.training import batches, towers
from jointpose.training.devices import device_names, session_config
from jointpose.utils.log import log
from jointpose.vision import crops
from jointpose.vision.found_person import FoundPerson
from jointpose.vision.joints import TORSO_JOINTS


class Graph(NamedTuple):
    """The graph of the evaluation, to be fed with the views of one picture."""

    evaluation: towers.Evaluation
    spectra: Any  # see fft_conv.spectra
    saver: tf.train.Saver


def build_graph(system, options, found=None) -> Graph:
    """The graph of the evaluation alone.

    Args:
        found: the Checkpoint that will be restored into it; None if other values will be.
    """
    batch = batches.placeholders(system)
    devices = device_names(options.gpus, log, options.gpus_named)
    with checkpoint_variables.constant_vectors(found) if found else contextlib.nullcontext():
        evaluation = towers.build_evaluation(system, batch, devices)
    return Graph(evaluation, spectrum_cache.operations_of_graph(), tf.train.Saver())


def whole_image_person(system, image, points_xy=(0, 0)) -> crops.Person:
    """The crops.Person of an unannotated picture: their box is the whole picture.

    A system that takes several people of a picture gets as many copies of this person.

    Args:
        image: uint8 [h, w, 3].
        points_xy: where all points are said to be, pixels.
    """
    height, width = image.shape[:2]
    box = (0, 0, width, height)
    person = crops.person_from_box(box, system.n_points, points_xy)
    if system.MAX_PEOPLE is None:
        return person
    repeated = [np.repeat(np.asarray(part)[None], system.MAX_PEOPLE, axis=0) for part in person]
    return crops.Person(*repeated)


@contextlib.contextmanager
def restored(system, options, found, detecting=None) -> Iterator['PoseEstimator']:
    """A PoseEstimator with the weights of a checkpoint, in a graph and a session of its own.

    Args:
        found: the Checkpoint.
        detecting: run_options.RunOptions of the checkpoint that detects the people; None: there is
            none.
    """
    with contextlib.ExitStack() as stack:
        detector = None
        if detecting:
            parts = detecting.system, detecting.options, detecting.restored
            detector = stack.enter_context(restored(*parts))
        with tf.Graph().as_default():
            graph = build_graph(system, options, found)
            session = tf.Session(config=session_config(options.gpus, optimised=False))
            stack.callback(session.close)
            checkpoint_variables.restore(session, graph.saver, found)
            stack.enter_context(spectrum_cache.filled(session, graph.spectra))
            estimator = PoseEstimator(session, graph, system, system.dataset, options, detector)
        yield estimator


class PoseEstimator:
    """Finds people and their joints in pictures.

    session has the restored variables of `graph`; `body` is the data set whose joints are found.
    detector: a PoseEstimator that detects people, around whom `system` crops; None: there is none.
    """

    def __init__(
        self,
        session: tf.Session,
        graph: Graph,
        system,
        body,
        options,
        detector: 'PoseEstimator | None' = None,
    ):
        self.graph = graph
        self.detector = detector
        self.system = system
        self.body = body
        self.options = options
        self.output_name = list(graph.evaluation.combined)[-1]
        self.detect = None  # finds people anywhere in a picture, or at prompts
        self.run = None  # runs the network on prepared views
        if system.takes_prompts:
            self.detect = system.detector(session, graph.evaluation)
        else:
            self.run = system.predictor(session, graph.evaluation)

    def predict(
        self,
        image: np.ndarray,
        points_xy: list | None = None,
        boxes_xy: list | None = None,
        previous: list[FoundPerson] | None = None,
    ) -> list[FoundPerson]:
        """The people of a picture; without prompts, the highest score first.

        Args:
            image: RGB uint8 [h, w, 3].
            points_xy: point prompts [(x, y), ...] on torsos, pixels; one person each.
            boxes_xy: box prompts [(x, y, width, height), ...], pixels; one person each.
            previous: the people of a video's frame before; if the system detects people, or has a
                detector, only these are looked for, near where they were.
        """
        if self.detector and boxes_xy is None:
            detected = self.detector.predict(image, previous=previous)
            return [self._estimate_around(image, person) for person in detected]
        if not self.detect:
            people = []
            for person in self._people_to_crop(image, boxes_xy):
                people += self._estimate(image, person)
            return people
        people = self.detect(image, points_xy, boxes_xy, previous)
        if points_xy is None and boxes_xy is None:
            people.sort(key=lambda person: -person.score)
        return people

    def _estimate_around(self, image, detected):
        """The FoundPerson of the detector, with the joints that are found in the crop around them."""
        joints = list(self.detector.body.joints)
        corners_xy = detected.joints_xy[[joints.index(joint) for joint in TORSO_JOINTS]]
        box = self.body.box_around_torso(corners_xy)
        person = crops.person_from_box(box, self.system.n_points, detected.torso_xy)
        (found,) = self._estimate(image, person)
        return detected._replace(
            joints_xy=found.joints_xy, scores=found.scores, maps=found.maps, matrix=found.matrix
        )

    def _people_to_crop(self, image, boxes_xy):
        """The crops.Persons to estimate: one a box if the system crops people, else one."""
        system = self.system
        if boxes_xy is None or system.MAX_PEOPLE is not None:
            return [whole_image_person(system, image)]
        n_points = system.n_points
        return [
            crops.person_from_box((x, y, x + width, y + height), n_points)
            for x, y, width, height in boxes_xy
        ]

    def maps_without_people(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """(maps, matrix) as in FoundPerson, of a picture without people; None if it has none.

        Only systems that take whole pictures have them.
        """
        if self.detect or self.system.MAX_PEOPLE is None:
            return None
        found = self._run(image, whole_image_person(self.system, image))
        return self.system.maps_in_picture(self.output_name, *found)

    def _estimate(self, image, person):
        """The FoundPersons in a crop; several where the system takes whole pictures."""
        return self.system.found_people(self.output_name, *self._run(image, person))

    def _run(self, image, person):
        """(prediction [1, ...], matrix [2, 3] from decode's pixels to the picture's) of a Person."""
        views = self.system.views(image, person)
        n = len(views)
        batch = batches.collate(self.system, [0] * n, [person.norm_length] * n, views, False)
        outputs, _, back = self.run(batches.feed(self.graph.evaluation.batch, batch), True)
        return outputs[self.output_name], back[0]
