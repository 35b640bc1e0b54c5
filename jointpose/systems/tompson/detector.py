"""The detector of people: their torsos by the people search, then the joint model for each."""

import numpy as np

from jointpose.nn import test_time_augmentation
from jointpose.systems.base import Candidate
from jointpose.systems.tompson import people_search, torso_inference
from jointpose.utils.log import log
from jointpose.vision import affine
from jointpose.vision.affine import invert

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
        self.priors = torso_inference.priors(session.run(networks[0].parts[1].energies))
        if self.options.certainty is None:
            log(
                "note: people's scores use the calibration of pretrained/flic; "
                'python -m tools.certainty fits one to this run'
            )

    def __call__(self, image, points_xy=None, boxes=None, before=None):
        detections = self.detections(image, points_xy, boxes, before)
        found = {}
        for group in people_search.group_by_view(detections):
            for detection, candidate in zip(group, self.pose_group(group)):
                found[id(detection)] = candidate
        found = [found[id(detection)] for detection in detections]
        if points_xy is not None or boxes is not None:
            return found
        found = [candidate for candidate in found if candidate.score >= self.options.threshold]
        kept = people_search.without_legs([self.trunk_of(candidate) for candidate in found])
        return [found[i] for i in kept]

    def detections(self, image, points_xy, boxes, before):
        """The people_search.Detections of a call."""
        search = (self.run_detector, self.priors, image)
        if before is not None:
            return people_search.propagate(image, [candidate.detection for candidate in before])
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
        """The Candidates of Detections in one view, for each of which the joint model runs."""
        evaluation = self.evaluation
        scales = self.system.scales
        view = group[0].view
        feed = {
            evaluation.batch.images: test_time_augmentation.scaled_images(view.image, scales),
        }
        fetched = [evaluation.combined['pd'], self.part_detectors]
        maps, scaled_maps = self.session.run(fetched, feed)
        feed.update(zip(self.part_detectors, scaled_maps))
        calibration = self.options.certainty or people_search.CALIBRATION
        for torso in people_search.redetect(maps[0], self.priors, group):
            torso_maps = torso_inference.torso_maps(torso.torso_xy[None], scales)
            feed[evaluation.batch.targets['torso_map']] = torso_maps
            output = self.session.run(evaluation.combined['sm'], feed)
            torso_xy = people_search.to_picture(view, torso.torso_xy)
            yield Candidate(
                output,
                torso.torso_xy,
                invert(view.matrix),
                people_search.detection_probability(torso.score, calibration),
                people_search.Detection(view, torso_xy, torso.score),
            )

    def trunk_of(self, candidate):
        """The people_search.Trunk of a Candidate."""
        (pose,) = self.system.decode(candidate.output)[0]
        joints_xy = affine.transform_points(candidate.back, pose.joints_xy)
        return people_search.trunk(joints_xy, candidate.score)
