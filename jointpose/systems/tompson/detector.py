"""The detector of people: their torsos by the people search, then the joint model for each."""

import numpy as np

from jointpose.nn import test_time_augmentation
from jointpose.systems.tompson import people_search, torso_inference
from jointpose.utils.log import log
from jointpose.vision.affine import invert, transform_points

BATCH = 8  # views that the part detector sees at a time


class Detector:
    """Finds the people of a picture, as System.detector describes.

    The part detector runs once over all views of the people search, and once over the scales of
    each view that shows people in their right size, for all of them together.
    """

    def __init__(self, system, session, evaluation):
        self.system = system
        self.options = system.options
        self.session = session
        self.evaluation = evaluation
        networks = evaluation.inference.networks
        self.part_detectors = [network.outputs['pd'] for network in networks]
        energies = session.run(networks[0].parts[1].energies)
        self.priors = torso_inference.priors(energies, system.dataset)
        if self.options.certainty is None:
            log(
                "note: people's scores use the calibration of pretrained/flic; "
                'python -m tools.certainty fits one to this run'
            )

    def __call__(self, image, points_xy=None, boxes=None, before=None):
        detected = self.detect(image, points_xy, boxes, before)
        posed = {}
        for group in people_search.group_by_view(detected):
            for person, with_joints in zip(group, self.pose_group(group)):
                posed[id(person)] = with_joints
        people = [posed[id(person)] for person in detected]
        if points_xy is not None or boxes is not None:
            return people
        people = [person for person in people if not person.low_score]
        trunks = [people_search.trunk(person.joints_xy, person.score) for person in people]
        return [people[i] for i in people_search.without_legs(trunks)]

    def detect(self, image, points_xy, boxes, before):
        """The FoundPersons of a call, without joints yet."""
        search = (self.run_detector, self.priors, image)
        if before is not None:
            return people_search.propagate(image, before)
        if points_xy is not None:
            return [
                people_search.detect_at_point(*search, xy, self.options.zooms) for xy in points_xy
            ]
        if boxes is not None:
            return [people_search.detect_in_box(*search, box) for box in boxes]
        return people_search.detect_people(*search, self.options.zooms)

    def run_detector(self, views):
        """The part detector's maps of people_search.Views: [n, 60, 90, 9]."""
        images = self.evaluation.batch.images
        output = self.evaluation.inference.outputs['pd']
        maps = []
        for i in range(0, len(views), BATCH):
            batch = np.stack([view.image for view in views[i : i + BATCH]])
            maps.append(self.session.run(output, {images: batch}))
        return np.concatenate(maps)

    def pose_group(self, group):
        """FoundPersons in one view -> they with their joints, for each of which the model runs."""
        evaluation = self.evaluation
        scales = self.system.scales
        view = group[0].view
        feed = {
            evaluation.batch.images: test_time_augmentation.scaled_images(view.image, scales),
        }
        fetched = [evaluation.combined['pd'], self.part_detectors]
        maps, scaled_maps = self.session.run(fetched, feed)
        feed.update(zip(self.part_detectors, scaled_maps))
        for torso in people_search.redetect(maps[0], self.priors, group):
            torso_maps = torso_inference.torso_maps(torso.torso_xy[None], scales, self.system.frame)
            feed[evaluation.batch.targets['torso_map']] = torso_maps
            output = self.session.run(evaluation.combined['sm'], feed)
            yield self.with_joints(view, torso, output)

    def with_joints(self, view, torso, output):
        """The FoundPerson of a Torso in a view; output: the joint model's [1, 60, 90, 9]."""
        to_image = invert(view.matrix)
        (person,) = self.system.found_people('sm', output, to_image)
        calibration = self.options.certainty or people_search.CALIBRATION
        score = people_search.detection_probability(torso.score, calibration)
        return person._replace(
            score=score,
            torso_xy=transform_points(to_image, torso.torso_xy),
            view=view,
            low_score=score < self.options.threshold,
            torso_score=torso.score,
        )
