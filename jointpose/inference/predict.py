"""Joints on custom images: pictures, folders, videos, a camera, of any size (main.py --predict).

    python main.py --restore RUN --predict PATH ... [--torso X,Y ...] [--boxes FILE]
        [--threshold P] [--overlay] [--frames] [--no_smoothing] [--scales single] [--out poses]

media/sources.py says what PATH may be.  Target people are given by point prompts on their torsos,
the middle of shoulders and hips (--torso), or by boxes (--boxes, detections.py).  Each prompt
returns one person, with low_score where there is probably nobody (prompts.py).  Without prompts
all people are returned whose score is at least --threshold (systems/tompson/people_search.py).
Without a spatial model in the checkpoint, the joints of one person are the part detector's, and
there is no torso.

Written into OUT:

    NAME_pose.jpg       the picture with each person's skeleton, number and score, and a cross at
                        the torso; joints are named and scored unless the person is small; dashed:
                        low_score
    NAME_maps.jpg       with --overlay: each joint's heat map over the picture; of spm the roots'
                        map, also where nobody is found
    NAME_pose.mp4       of a video NAME; with --frames also its frames NAME_000001_pose.jpg ...
    poses.json          all people, as COCO writes key points (result_entries.py)
    coco_results.json   the same people as pycocotools' loadRes takes them

NAME is the file's name without its ending; with the ending, or with folders before it, where names
would be equal.  Pictures are numbered from 1, or by their names where all of these are numbers, as
COCO's are.  What an earlier call wrote about the same NAME is replaced; other files never are.

Coordinates are (x right, y down) in pixels of the picture as it is shown, i.e. rotated as its EXIF
orientation says; pixel i covers [i, i+1).  In a video, people are tracked and joints smoothed
(tracking.py; --no_smoothing turns that off).

A joint's score is the share of its heat map's mass in the 5x5 cells around the peak: 40x40 pixels
of the frame, about a quarter of a torso.  Of FLIC's 1016 test people, with pretrained/flic and the
torso inferred, joints with a score of 0-0.2, 0.2-0.4, ... 0.8-1 lie within 10 % of ||lhip - rsho||
of the truth in 32, 32, 48, 67 and 90 % of all cases.  A score does not say whether the joint
belongs to the right person.
"""

import argparse
import contextlib
import os
from collections.abc import Sequence

import numpy as np

from jointpose.checkpoints.checkpoint import Checkpoint
from jointpose.inference import detections, prompts, rendering, result_entries, result_files
from jointpose.inference.detections import Boxes
from jointpose.inference.inputs import report_problem
from jointpose.inference.pose_estimator import PoseEstimator
from jointpose.inference.result_files import ResultFiles
from jointpose.inference.tracking import Tracker
from jointpose.inference.video_detection import VideoDetector, constant_rate_number
from jointpose.media import frames
from jointpose.media.frames import Frame
from jointpose.media.images import UnreadableMedia
from jointpose.media.sources import Source
from jointpose.training import stopping
from jointpose.utils import outputs, progress
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.utils.log import log
from jointpose.vision.found_person import FoundPerson


def predict_sources(
    estimator: PoseEstimator, sources: list[Source], options: argparse.Namespace, origin: Checkpoint
) -> int:
    """Finds the people of all sources and writes the results.

    Ctrl-C and SIGTERM end it after the current picture; with a camera, that is the usual end.

    Returns:
        The exit code: 0, 1 if a source could not be read or written, or that of a signal.
    """
    boxes = read_boxes(options, estimator.body.category)
    info = result_entries.info_of(estimator, origin)
    head = result_entries.head(estimator.body, info)
    files = ResultFiles(options.out, head, image_ids(sources, boxes))
    if files.replaced:
        log(outputs.replacement_note(files.poses_path, files.replaced))
    failed = files.document['info']['unreadable'] = []
    files.write()
    with stopping.Signals() as signals, progress.bar(frames.count(sources), 'poses', 'img') as bar:
        for source in sources:
            try:
                predict_source(estimator, source, options, boxes, files, bar, signals)
            except InputError as error:
                report_problem(error)
                failed.append(source.file)
            if signals.code is not None:
                break
    files.write()
    n_failed = f', {len(failed)} failed' if failed else ''
    log(f'{files.poses_path}: {summary(files.document, estimator.body)}{n_failed}')
    is_camera = isinstance(sources[0].path, int)
    if signals.code is not None and not is_camera:
        report_problem(f'stopped: {files.poses_path} has the results so far')
        return signals.code
    return 1 if failed else 0


def read_boxes(options: argparse.Namespace, category: str) -> Boxes | None:
    """The boxes of --boxes of a category, after reporting what was left out of the file."""
    if not options.boxes:
        return None
    boxes = detections.read(options.boxes, category)
    for line in boxes.messages:
        report_problem(f'{options.boxes}: {line}')
    return boxes


def summary(document: dict, body) -> str:
    """'2 pictures, 3 people'; people of low score are counted separately, duplicates not at all.

    body: the data set, which says what they are called.
    """
    n = len(document['images'])
    annotations = document['annotations']
    n_low = sum('low_score' in annotation for annotation in annotations)
    n_people = sum('duplicate' not in annotation for annotation in annotations) - n_low
    text = f'{counted(n, "picture")}, {body.counted(n_people)}'
    return text + (f', {n_low} below the threshold' if n_low else '')


def image_ids(sources: list[Source], boxes: Boxes | None) -> dict[str, int]:
    """{file name: image_id} of the boxes' file, or by the numbers in the names.

    It is empty unless these are different numbers, as in COCO.
    """
    if boxes:
        names = [source.file for source in sources]
        ids = detections.image_ids(boxes, names)
        has_any = any(detections.boxes_in(boxes, name) for name in names)
        if boxes.by_image and not has_any:
            known = detections.known_images(boxes)
            report_problem(f'{boxes.path}: no box is in these pictures; the file has {known}')
        return ids
    pictures = [source for source in sources if not source.is_video]
    numbers = [int(source.name) for source in pictures if source.name.isdecimal()]
    if len(set(numbers)) < len(sources):
        return {}
    return {source.file: number for source, number in zip(sources, numbers)}


def predict_source(
    estimator: PoseEstimator,
    source: Source,
    options: argparse.Namespace,
    boxes: Boxes | None,
    files: ResultFiles,
    bar,
    signals,
) -> None:
    """Writes everything about one picture, or about one video and its frames, until a signal comes.

    Of a video that breaks off, the annotated one has the frames so far, like poses.json, before
    UnreadableMedia is raised.
    """
    result_files.remove_stale(options.out, source)
    boxes_xy = detections.boxes_in(boxes, source.file) if boxes else None
    predictor = SourcePredictor(estimator, source, options, boxes_xy)
    show = None  # writes a frame of the annotated video
    with contextlib.ExitStack() as stack:
        shown = stack.enter_context(contextlib.closing(frames.read(source)))
        try:
            for frame in shown:
                people, numbers = predictor.predict(frame)
                drawn = rendering.draw_people(frame.image, people, numbers, estimator.body)
                if options.frames or not source.is_video:
                    path = os.path.join(options.out, frame.name)
                    maps = shown_maps(estimator, frame.image, people) if options.overlay else None
                    rendering.write_images(path, frame.image, drawn, maps, estimator.body)
                if source.is_video:
                    if show is None:
                        video = rendering.annotated_video(
                            source, drawn.shape, predictor.timing, options.out
                        )
                        show = stack.enter_context(video)
                    show(drawn, frame.time)
                add_results(files, source, frame, people, numbers, options)
                bar.update()
                if signals.code is not None:
                    break
        except UnreadableMedia:
            stack.close()  # as at the end of a whole video
            raise


def shown_maps(estimator: PoseEstimator, image: np.ndarray, people: list[FoundPerson]):
    """(maps, matrix) that --overlay shows: the first person's; None if there are none."""
    if not people:
        return estimator.maps_without_people(image)
    person = people[0]
    return None if person.maps is None else (person.maps, person.matrix)


def add_results(
    files: ResultFiles,
    source: Source,
    frame: Frame,
    people: list[FoundPerson],
    numbers: list[dict],
    options: argparse.Namespace,
) -> None:
    """Adds a picture or frame and its people to the documents."""
    prompt_kind = result_entries.torso_source(options)
    entries = [
        result_entries.person_entry(person, frame.image.shape, prompt_kind, number)
        for person, number in zip(people, numbers)
    ]
    files.add(result_entries.image_entry(source, frame), entries)


class SourcePredictor:
    """Finds, numbers and tracks the people of one source, a picture or a video.

    boxes_xy: its box prompts [(x, y, width, height), ...], pixels, or None.
    """

    def __init__(
        self,
        estimator: PoseEstimator,
        source: Source,
        options: argparse.Namespace,
        boxes_xy: list | None = None,
    ):
        self.estimator = estimator
        self.source = source
        self.options = options
        self.boxes_xy = boxes_xy
        self.points_xy = options.torso  # in a video they follow their people
        self.timing = frames.timing(source) if source.is_video else None
        self.tracker = Tracker() if source.is_video else None
        self.detector = VideoDetector(estimator, self.timing.rate if self.timing else None)
        self.reported = set()  # indices of prompts that a message was about

    def predict(self, frame: Frame) -> tuple[list[FoundPerson], list[dict]]:
        """The people of the next frame, and the `person`, `track` ... of each for poses.json."""
        prompts.check_inside(frame.image, self.options.torso, self.boxes_xy, frame.name)
        number = constant_rate_number(self.source, self.timing, frame.number, frame.time)
        people = self.detector(number, frame.image, self.points_xy, self.boxes_xy)
        numbers = self._number(people, frame.name)
        if self.tracker:
            tracked = self.tracker.update([person.joints_xy for person in people], frame.time)
            for number_of_one, one in zip(numbers, tracked):
                number_of_one['track'] = one.track
            if not self.options.no_smoothing:
                people = [
                    person._replace(joints_xy=one.joints_xy) for person, one in zip(people, tracked)
                ]
            if self.points_xy:
                self.points_xy = next_points(self.points_xy, people, frame.image)
        return people, numbers

    def _number(self, people, name):
        """[{'person': number, ...}] of a frame's people; reports what is wrong with prompts."""
        first = range(len(people))
        called = prompts.from_call(self.options.torso, self.boxes_xy)
        if called and self.estimator.detect:  # other systems' scores are no probabilities
            first = prompts.first_of_same(people, self.estimator.body)
            lines = prompts.messages(called, people, first, self.options.threshold)
            self._report(lines, name)
        numbers = []
        for i, person in enumerate(people):
            number = {'person': first[i] + 1}
            if person.low_score:
                number['low_score'] = True
            if first[i] != i:
                number['duplicate'] = True
            numbers.append(number)
        return numbers

    def _report(self, lines, name):
        """Reports messages about prompts, {index: line}, one a prompt of the source."""
        new = [line for i, line in lines.items() if i not in self.reported]
        self.reported.update(lines)
        is_only_picture = self.options.torso and not self.source.is_video
        for line in prompts.shortened(new):
            report_problem(line if is_only_picture else f'{name}: {line}')


def next_points(
    points_xy: Sequence, people: list[FoundPerson], image: np.ndarray
) -> list[np.ndarray]:
    """Point prompts of a video's next frame: where their people are, or were last.

    A point is kept inside the frame, since its person may be leaving it.
    """
    last = np.array(image.shape[1::-1]) - 1
    return [
        xy if person.low_score else np.clip(person.torso_xy, 0, last)
        for xy, person in zip(points_xy, people)
    ]
