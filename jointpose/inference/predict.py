"""Joints on custom images: pictures, folders, videos, a camera, of any size (main.py --predict).

    python main.py --restore RUN --predict PATH ... [--torso X,Y ...] [--boxes FILE] [--threshold P] [--overlay]
        [--frames] [--no_smoothing] [--scales single] [--out poses]

PATH: see media/sources.py; there may be several.  A picture is put into the middle of a black 720x480 frame, as large
as it goes in, and the joints found there are taken back to it; for people of other sizes it is a part of the picture
that shows them in the right one.  People are detected in the torso's score map (systems/tompson/people_search.py).  Target people are given by
point prompts on their torsos, the middle of shoulders and hips (--torso), or by boxes (--boxes, inference/detections.py): each
prompt returns one person, with low_score where there is probably nobody (inference/prompts.py).  Without a spatial model
in the checkpoint the joints are the part detector's, of one person, and there is no torso.  Written into OUT:

    NAME_pose.jpg       the picture with each person's skeleton, number and score, a cross at the torso, and names and
                        scores of the joints of people who are not small; dashed: low_score
    NAME_maps.jpg       with --overlay: each joint's heat map over the picture
    NAME_pose.mp4       of a video NAME; with --frames also its frames NAME_000001_pose.jpg ...
    coco_results.json   a list as pycocotools' loadRes takes it: image_id, category_id, keypoints, score
    poses.json          all of it, as COCO writes key points:
        info            checkpoint, code, scales (negative: of the mirrored frame); what x, y, v and score are,
                        and which side is left; `unreadable`: files that were left out
        images          id, file_name, width, height; of a video also video, frame, from 1, and time, seconds
        categories      one, person: the names of the keypoints (left_shoulder ...); skeleton, pairs counted from 1
        annotations     keypoints [x1, y1, v1, x2, ...], scores [9], score (the person's), torso [x, y] or null,
                        torso_source, the kind of prompt: 'torso', 'box', 'nobody', or null; person, the number in the
                        picture, from 1; of a video track, the person's number in all of it; low_score: true where a
                        prompt's person has a score below --threshold; duplicate: true where an earlier prompt had the
                        same person; bbox, area, num_keypoints, iscrowd

NAME is the file's name without its ending, or with it or with folders before it where names would be equal.  Pictures
are numbered from 1, or by their names where all of these are numbers, as COCO's are.  What an earlier call wrote about
the same NAME is replaced; a file that is not from --predict never is.

Coordinates are (x right, y down) in pixels of the picture as it is shown, i.e. turned as its EXIF orientation says;
pixel i covers [i, i+1).  v is 2 for a joint within the picture, 1 for one beyond its edge, 0 (and x = y = 0) for one
that is not found; coco_results.json has the best guess of these, too.  Of a video, joints are smoothed and people
followed (inference/tracking.py; --no_smoothing: neither smoothed).  The annotated video keeps the original's pace: at a
constant rate it has its frames, at a variable one they are repeated as their times ask for.

A joint's score is the
share of its heat map's mass in the 5x5 cells around the peak (40x40 pixels of the frame, about a quarter of a torso).
Of FLIC's 1016 test people, with pretrained/flic and the torso inferred, joints with a score of 0-0.2, 0.2-0.4, ...
0.8-1 lie within 10 % of ||lhip - rsho|| of the truth in 32, 32, 48, 67 and 90 % of all cases: a score does not
know whether the joint is the right person's.
"""

import collections
import contextlib
import os
import sys
from typing import NamedTuple

import cv2
import numpy as np

from jointpose.inference import detections, prompts, result_files, tracking
from jointpose.media import frames, sources, videos
from jointpose.media.images import STDIN, UnreadableMedia
from jointpose.nn import fft_conv
from jointpose.nn.tf1 import tf
from jointpose.training import batches, checkpoint, towers, trainer
from jointpose.training.devices import device_names
from jointpose.utils import outputs, progress
from jointpose.utils.errors import InputError
from jointpose.utils.log import log
from jointpose.vision import crops, drawing
from jointpose.vision.affine import compose, transform_points
from jointpose.vision.palette import rgb, side_colour

MAP_TILE = 480  # pixels, the longer side of a picture under a heat map
FAR = 10  # sides of the picture beyond which no box reaches
SEARCH_SECONDS = 0.5  # of a video: how often the whole of its picture is searched for people

# spectra: see convolution.spectra.  evaluation: towers.Evaluation of the views of one picture.
Graph = collections.namedtuple('Graph', 'evaluation spectra saver')


class Result(NamedTuple):
    """One person found in a picture."""

    joints_xy: np.ndarray  # [k, 2] (x, y), pixels of the picture
    scores: np.ndarray  # [k], 0..1
    score: float  # the person's
    torso_xy: np.ndarray | None  # [2], pixels of the picture
    maps: np.ndarray | None  # [h, w, k]
    matrix: np.ndarray | None  # [2, 3], from their cells to the picture
    sought: tuple | None  # systems.Sought, where the system seeks people
    low_score: bool = False  # of a prompt: its score is below --threshold, there is probably nobody


# --- which pictures -----------------------------------------------------------------------------------------------


def find_sources(options, system):
    """The Sources of --predict in order; makes the folder --out, says what is passed over and checks --torso."""
    try:
        found, passed_over = sources.find(options.predict, options.out)
        check_torso(options, system, found)
        os.makedirs(options.out, exist_ok=True)
    except OSError as error:
        raise InputError(f'{error.filename}: cannot be used: {error.strerror}') from error
    if not os.access(options.out, os.W_OK):
        raise InputError(f'--out {options.out}: cannot be written to')
    for line in passed_over:
        complain(line)
    return found


def check_torso(options, system, found):
    """Every --torso lies within its picture, and the model asks for one."""
    if options.torso is None:
        return
    if options.boxes:
        raise InputError('--torso: either this or --boxes says who is meant')
    if not system.takes_anchor(options):
        raise InputError('--torso: the restored run has no spatial model, which alone could use it')
    if os.path.isdir(options.predict[0]):
        raise InputError(
            f'--torso: means people of one picture, and {options.predict[0]} is a folder'
        )
    if len(found) > 1:
        raise InputError(f'--torso: means people of one picture, and --predict names {len(found)}')
    if found[0].path != STDIN and not isinstance(found[0].path, int):
        with (
            contextlib.suppress(UnreadableMedia),
            contextlib.closing(frames.read(found[0])) as first,
        ):
            check_inside(
                next(first).image, options.torso, None, found[0].path
            )  # else reported in its turn


def check_inside(image, points_xy, boxes_xy, name):
    """Torsos, [(x, y), ...], lie within a picture; boxes, [(x, y, width, height), ...], have a pixel of it and no more
    than FAR of its sides beyond it."""
    size = np.array(image.shape[1::-1])
    outside = 'outside {}, which is {}x{}'.format(name, *size)
    for xy in points_xy or ():
        if not ((np.array(xy) >= 0) & (xy < size)).all():  # NaN compares false
            raise InputError('--torso {:g},{:g}: {}'.format(*xy, outside))
    for box in boxes_xy or ():
        first, last = np.array(box[:2]), np.add(box[:2], box[2:])
        if not (
            (np.minimum(last, size) - np.maximum(first, 0) >= 1)
            & (first >= -FAR * size)
            & (last <= (1 + FAR) * size)
        ).all():
            raise InputError('--boxes: {:g},{:g},{:g},{:g} is {}'.format(*box, outside))


def complain(message):
    log(
        'main.py: ' + ' '.join(str(message).split()).encode(errors='backslashreplace').decode(),
        sys.stderr,
    )


# --- poses --------------------------------------------------------------------------------------------------------


def build_graph(system, options, found=None):
    """The graph of the evaluation alone, to be fed with one picture's views; returns a Graph.

    found: the Checkpoint that is to be restored into it, or None: other values will be.
    """
    batch = batches.placeholders(system, options)
    devices = device_names(options.gpus, log, options.gpus_named)
    with checkpoint.constant_vectors(found) if found else contextlib.nullcontext():
        evaluation = towers.build_evaluation(system, batch, devices, options)
    return Graph(evaluation, fft_conv.spectrum_ops(), tf.train.Saver())


def whole_image_person(system, options, image, points_xy=None):
    """A crops.Person of whom nothing is known but that the picture shows them; or the system's number of such people.

    points_xy: where all points are said to be, pixels.
    """
    height, width = image.shape[:2]
    person = crops.person_from_box(
        (0, 0, width, height), system.n_points(options), (0, 0) if points_xy is None else points_xy
    )
    if system.MOST_PEOPLE is None:
        return person
    return crops.Person(
        *(np.repeat(np.asarray(part)[None], system.MOST_PEOPLE, axis=0) for part in person)
    )


class PoseEstimator:
    """Finds poses by a restored graph.  body: the data set's module, whose joints the system finds."""

    def __init__(self, session, graph, system, body, options):
        self.graph, self.system, self.body, self.options = graph, system, body, options
        anchored = system.takes_anchor(options)
        self.seek = system.seeker(session, graph.evaluation, options) if anchored else None
        self.run = None if anchored else system.predictor(session, graph.evaluation, options)

    def find(self, image, points_xy=None, boxes_xy=None, before=None):
        """The people Found in a picture, RGB uint8 [h, w, 3]: those at the torsos points_xy, [(x, y), ...], those in
        the boxes boxes_xy, [(x, y, width, height), ...], or everybody whom the system can tell apart, the clearest
        first; or, where the system seeks, of those Found in a video's picture `before` who are still there."""
        system, options = self.system, self.options
        if self.seek:
            name = list(self.graph.evaluation.combined)[-1]
            before = before and [person.sought for person in before]
            found = [
                self.found(
                    name, one.output, one.back, system.decode(one.output, options)[0][0], one
                )
                for one in self.seek(image, points_xy, boxes_xy, before)
            ]
            anybody = points_xy is None and boxes_xy is None
            return sorted(found, key=lambda person: -person.score) if anybody else found
        people = [whole_image_person(system, options, image)]
        if boxes_xy is not None and system.MOST_PEOPLE is None:
            people = [
                crops.person_from_box((x, y, x + width, y + height), system.n_points(options))
                for x, y, width, height in boxes_xy
            ]
        return [one for person in people for one in self.of_sample(image, person)]

    def of_sample(self, image, person):
        system, options = self.system, self.options
        views = system.views(image, person, options)
        batch = batches.collate(
            system, [0] * len(views), options, [person.unit] * len(views), views, False
        )
        outputs, _, back = self.run(batches.feed(self.graph.evaluation.batch, batch), True)
        name, answer = list(outputs.items())[-1]
        return [
            self.found(name, answer, back[0], pose) for pose in system.decode(answer, options)[0]
        ]

    def found(self, name, answer, back, pose, sought=None):
        system = self.system
        maps = system.maps({}, {name: answer}).get(name)
        stride = 1 if maps is None else system.input_size(self.options)[0] / maps.shape[1]
        return Result(
            joints_xy=transform_points(back, pose.joints_xy),
            scores=pose.scores,
            score=sought.score if sought else pose.score,
            torso_xy=transform_points(back, sought.anchor_xy) if sought else None,
            maps=None if maps is None else maps[0],
            matrix=compose(np.diag([stride, stride, 1])[:2], back),
            sought=sought,
            low_score=bool(sought) and sought.score < self.options.threshold,
        )


class Search:
    """Finds the people of one source.  Of a video all of the picture is searched every SEARCH_SECONDS, and after
    somebody was lost; in between, those who were there are looked for where they were.

    rate: frames a second; None: it is a picture.
    """

    def __init__(self, finder, rate):
        self.finder, self.before, self.period = finder, None, None
        self.every = max(1, round(SEARCH_SECONDS * rate)) if rate else 1

    def __call__(self, number, image, points_xy=None, boxes_xy=None):
        """The people Found in a picture, or in a video's frame of that number, from 1; some may be left out."""
        period = number and (number - 1) // self.every
        if self.every == 1 or period != self.period or boxes_xy is not None:
            self.before = None
        self.period = period
        found = self.finder.find(image, points_xy, boxes_xy, self.before)
        lost = self.before is not None and len(found) < len(self.before)
        self.before = None if lost else found
        return found


# --- what is written ----------------------------------------------------------------------------------------------


def predict_sources(finder, found, options, origin):
    """Finds and writes all poses of the Sources `found`; returns 0, 1 if a picture could not be read or written, or
    that of a signal.

    Ctrl-C and SIGTERM end it after the picture at work; with a camera, Ctrl-C is how it ends.
    """
    detected = detections.read(options.boxes) if options.boxes else None
    for line in detected.said if detected else ():
        complain(f'{options.boxes}: {line}')
    written = result_files.Results(
        options.out,
        result_files.head(finder.body, info_of(finder, origin)),
        numbers_of(found, detected),
    )
    if written.former:
        log(outputs.replacement_note(written.paths[0], written.former))
    failed = written.document['info']['unreadable'] = []
    written.write()
    with trainer.Signals() as signals, progress.bar(frames.count(found), 'poses', 'img') as bar:
        for source in found:
            try:
                write_source(finder, source, options, detected, written, bar, signals)
            except InputError as error:
                complain(error)
                failed.append(source.file)
            if signals.code is not None:
                break
    written.write()
    log(
        f'{written.paths[0]}: {summary(written.document)}'
        + (f', {len(failed)} failed' if failed else '')
    )
    if signals.code is not None and not isinstance(found[0].path, int):
        complain(f'stopped: {written.paths[0]} has what was found until then')
        return signals.code
    return 1 if failed else 0


def summary(document):
    """'2 pictures, 3 people': people of a low score are counted on their own, and nobody twice."""
    n, annotations = len(document['images']), document['annotations']
    low = sum('low_score' in one for one in annotations)
    people = sum('duplicate' not in one for one in annotations) - low
    return f'{n} picture{"s" * (n != 1)}, {people} {"person" if people == 1 else "people"}' + (
        f', {low} below the threshold' if low else ''
    )


def numbers_of(found, detected):
    """{file's name: image_id}: that of the detections, or their names' numbers, where all are different ones, as in
    COCO."""
    if detected:
        names = [source.file for source in found]
        numbers = detections.numbers(detected, names)
        if detected.boxes and not any(detections.of(detected, name) for name in names):
            complain(
                f'{detected.path}: no box is of these pictures, but of {detections.names(detected)}'
            )
        return numbers
    names = [source.name for source in found if not source.is_video]
    numbers = [int(name) for name in names if name.isdecimal()]
    same = len(found) > len(set(numbers))
    return {} if same else {source.file: number for source, number in zip(found, numbers)}


def info_of(finder, origin):
    """What poses.json says of where it comes from."""
    run, step = os.path.normpath(origin.path).split(os.sep)[-2:]
    system, options = finder.system, finder.options
    answer = list(finder.graph.evaluation.combined)[-1]
    return {
        'checkpoint': f'{run}/{step}',
        'code': checkpoint.code_version(),
        **system.about(options),
        'system': options.system,
        'model': system.OUTPUTS[answer],
        'scores': system.SCORE,
    }


def write_source(finder, source, options, detected, written, bar, signals):
    """One picture, or one video and all its frames, until a signal comes.  Of a video that breaks off the annotated
    one has what there is, like poses.json, before Unreadable is raised."""
    result_files.remove_stale(options.out, source)
    timing = frames.timing(source) if source.is_video else None
    tracks = tracking.Tracks() if timing else None
    search, points_xy = Search(finder, timing.rate if timing else None), options.torso
    called = Called(finder, options, alone=not source.is_video and options.torso)
    with contextlib.ExitStack() as stack:
        show, shown = None, stack.enter_context(contextlib.closing(frames.read(source)))
        try:
            for name, number, time, image in shown:
                boxes_xy = detected and detections.of(detected, source.file)
                check_inside(image, options.torso, boxes_xy, name)
                people = search(count_at(source, timing, number, time), image, points_xy, boxes_xy)
                more = called.check(people, boxes_xy, name)
                if tracks:
                    people, ids = followed(tracks, people, time, options)
                    more = [{**said, **id_} for said, id_ in zip(more, ids)]
                    points_xy = points_xy and next_points(points_xy, people, image)
                drawn = draw(image, people, more, finder.body)
                if options.frames or not source.is_video:
                    write_pictures(
                        os.path.join(options.out, name), image, drawn, people, finder.body, options
                    )
                if source.is_video:
                    show = show or stack.enter_context(
                        annotated_video(source, drawn.shape, timing, options.out)
                    )
                    show(drawn, time)
                written.add(
                    image_entry(source, name, number, time, image.shape),
                    [
                        entry(person, image.shape, source_of_torso(options), one)
                        for person, one in zip(people, more)
                    ],
                )
                bar.update()
                if signals.code is not None:
                    break
        except UnreadableMedia:
            stack.close()  # as at the end of a whole video
            raise


def count_at(source, timing, number, time):
    """A frame's number, from 1, as of a constant rate: at a variable one its time says it.  A camera's frames are
    counted: they are as rare as finding people is slow."""
    if timing is None or timing.constant or isinstance(source.path, int):
        return number
    return round(time * timing.rate) + 1


class Called:
    """Checks the people of one source that prompts called, and says once of each prompt what is wrong.

    alone: there is one picture, which need not be named.
    """

    def __init__(self, finder, options, alone):
        self.finder, self.options, self.alone = finder, options, alone
        self.said = set()

    def check(self, people, boxes_xy, name):
        """[{'person': number, ...}] of a picture's people, for poses.json.  name: the picture's."""
        body = self.finder.body
        called = prompts.of_call(self.options.torso, boxes_xy)
        sought = called and self.finder.seek  # other systems' scores are no probabilities
        first = prompts.duplicates(people, body) if sought else range(len(people))
        if sought:
            self.say(prompts.remarks(called, people, first, self.options.threshold), name)
        return [
            {
                'person': first[i] + 1,
                **({'low_score': True} if person.low_score else {}),
                **({'duplicate': True} if first[i] != i else {}),
            }
            for i, person in enumerate(people)
        ]

    def say(self, remarks, name):
        lines = [line for i, line in remarks.items() if i not in self.said]
        self.said.update(remarks)
        for line in prompts.shortened(lines):
            complain(line if self.alone else f'{name}: {line}')


def next_points(points_xy, people, image):
    """Where those at points are looked for in a video's next picture: where they are, or where they were last."""
    return [
        xy if person.low_score else inside(person.torso_xy, image)
        for xy, person in zip(points_xy, people)
    ]


def draw(image, people, more, body):
    """The picture with its people, each once, and the numbers that poses.json has."""
    once = [i for i, one in enumerate(more) if not one.get('duplicate')]
    numbers = [more[i].get('track', more[i]['person']) for i in once]
    return drawing.draw_poses(image, [people[i] for i in once], body, numbers)


def followed(tracks, people, time, options):
    """People of the next frame -> (the same with their joints smoothed, [{'track': number}, ...])."""
    known = tracks.follow([person.joints_xy for person in people], time)
    if not options.no_smoothing:
        people = [person._replace(joints_xy=xy) for person, (_, xy) in zip(people, known)]
    return people, [{'track': number} for number, _ in known]


def write_pictures(path, image, drawn, people, body, options):
    """PATH_pose.jpg, and with --overlay PATH_maps.jpg: of the first person."""
    result_files.write_picture(f'{path}_pose.jpg', drawn)
    if options.overlay and people:
        if people[0].maps is None:
            raise InputError(f'--overlay: {options.system} has no maps')
        result_files.write_picture(
            f'{path}_maps.jpg', map_sheet(image, people[0].maps, body.JOINTS, people[0].matrix)
        )


@contextlib.contextmanager
def annotated_video(source, shape, timing, out):
    """Yields show(RGB uint8 [h, w, 3], seconds) of NAME_pose.mp4, which keeps the original's pace."""
    path = os.path.join(out, f'{source.name}_pose.mp4')
    with videos.writer(path, shape[1::-1], timing.rate, result_files.MARK, complain) as write:
        in_step = videos.ConstantRateWriter(write, timing.rate, timing.constant)
        yield in_step.show
        in_step.close(timing.end if in_step.shown == timing.count else None)


def image_entry(source, name, number, time, shape):
    """A picture in poses.json, but for its id."""
    height, width = shape[:2]
    image = {'file_name': source.file, 'width': width, 'height': height}
    if not source.is_video:
        return image
    return {
        **image,
        'file_name': name,
        'video': source.file,
        'frame': number,
        'time': round(time, 4),
    }


def inside(xy, image):
    """Where to look for somebody in the next frame: they may be leaving this one."""
    return np.clip(xy, 0, np.array(image.shape[1::-1]) - 1)


def source_of_torso(options):
    return 'torso' if options.torso else 'box' if options.boxes else 'nobody'


def entry(person, shape, source, more):
    """A person in poses.json; source: who said that they are meant."""
    torso_xy = None if person.torso_xy is None else [round(float(v), 2) for v in person.torso_xy]
    return result_files.person(
        person.joints_xy,
        person.scores,
        person.score,
        shape[:2],
        torso=torso_xy,
        torso_source=torso_xy and source,
        **more,
    )


def map_sheet(image, maps, joints, matrix):
    """The heat maps over the picture, side by side: RGB uint8 [h, w, 3], [rows, columns, m], the 2x3 matrix from cells
    to the picture's pixels."""
    height, width = image.shape[:2]
    scale = MAP_TILE / max(height, width)
    size = tuple(max(1, round(scale * side)) for side in (width, height))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    matrix = compose(
        matrix, np.array([[size[0] / width, 0, 0], [0, size[1] / height, 0]])
    )  # to the tile
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV's pixel i is the point i
    tiles = [
        drawing.heat_map_tile(
            small,
            cv2.warpAffine(np.ascontiguousarray(maps[..., j]), matrix, size),
            name,
            rgb(side_colour(name)),
        )
        for j, name in enumerate(drawing.map_titles(maps, joints))
    ]
    return drawing.tile_grid(tiles, min(3, len(tiles)))
