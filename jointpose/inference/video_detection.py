"""Detects the people of a video: now and then in the whole frame, in between where they were."""

from jointpose.media.frames import Timing
from jointpose.media.sources import Source
from jointpose.vision.found_person import FoundPerson

DETECTION_INTERVAL = 0.5  # seconds of the video between detections in the whole frame


class VideoDetector:
    """Finds the people of one source, a picture or a video.

    The whole frame is searched every DETECTION_INTERVAL, and after somebody was lost.  In between,
    the people of the frame before are looked for where they were.

    rate: frames a second; None: the source is a picture.
    """

    def __init__(self, estimator, rate: float | None):
        self.estimator = estimator
        self.interval = max(1, round(DETECTION_INTERVAL * rate)) if rate else 1  # frames
        self.interval_number = None
        self.previous = None

    def __call__(
        self, number: int | None, image, points_xy=None, boxes_xy=None
    ) -> list[FoundPerson]:
        """The people of a picture or of a video's frame; some people may be missing.

        Args:
            number: the frame's, from 1, at a constant rate; None for a picture.
            points_xy, boxes_xy: prompts, as PoseEstimator.predict has them.
        """
        interval_number = number and (number - 1) // self.interval
        is_due = self.interval == 1 or interval_number != self.interval_number
        if is_due or boxes_xy is not None:
            self.previous = None
        self.interval_number = interval_number
        people = self.estimator.predict(image, points_xy, boxes_xy, self.previous)
        lost = self.previous is not None and len(people) < len(self.previous)
        self.previous = None if lost else people
        return people


def constant_rate_number(
    source: Source, timing: Timing | None, number: int | None, time: float | None
) -> int | None:
    """A frame's number, from 1, if the video had a constant rate; None of a picture.

    A camera's frames are counted: they come as slowly as people are found.
    """
    if timing is None or timing.constant or isinstance(source.path, int):
        return number
    return round(time * timing.rate) + 1
