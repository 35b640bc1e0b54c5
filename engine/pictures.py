"""Joints on a user's own pictures: one picture, a folder or a video, of any size (main.py --predict).

    python main.py --restore RUN --predict PATH [--torso X,Y] [--overlay] [--scales single] [--out poses]

A picture is put into the middle of a black 720x480 frame, as large as it goes in, and the joints found there are taken
back to it.  Nothing but the checkpoint is read.  Which person is meant is said by --torso, the middle of shoulders and
hips (of a picture, or of a whole video), or inferred (torso.py).  Without a spatial model in the checkpoint the joints
are the part detector's, and there is no torso.  Written into OUT:

    NAME_pose.jpg    the picture with skeleton, names and scores, and a cross at the torso
    NAME_maps.jpg    with --overlay: each joint's heat map over the picture
    NAME_pose.mp4    of a video NAME, beside its frames NAME_000001_pose.jpg ...
    poses.json       all of it, as COCO writes key points:
        info           checkpoint, code, scales (negative: of the mirrored frame); what x, y, v and score are;
                       `unreadable`: files that were left out
        images         id, file_name, width, height; of a video also video and frame, from 1
        categories     one, person: the names of the keypoints; skeleton, pairs of them counted from 1
        annotations    one an image: keypoints [x1, y1, v1, x2, ...], scores [9], score (their mean), torso [x, y] or
                       null, torso_source 'given', 'inferred' or null; bbox, area, num_keypoints, iscrowd

NAME is the file's name without its ending, or with it where two files of a folder differ in nothing else.
Coordinates are (x right, y down) in pixels of the picture as it is shown, i.e. turned as its EXIF orientation says;
pixel i covers [i, i+1).  v is 2 for a joint within the picture, 1 for one beyond its edge.  A joint's score is the
share of its heat map's mass in the 5x5 cells around the peak (40x40 pixels of the frame, about a quarter of a torso).
On 120 of FLIC's training people after one epoch at an eighth of the width, joints with a score of 0-0.2, 0.2-0.4, ...
0.8-1 were within 10 % of ||lhip - rsho|| of the truth in 30, 37, 61, 78 and 91 % of all cases, given the
annotated torso: a score does not know whether the joint is the right person's.

JPEGs are read strictly; other formats by OpenCV.  What is truncated or damaged is unreadable.  Deep pictures are
reduced to 8 bits, grey ones read as colours, what is transparent becomes black.
"""
import collections
import contextlib
import os
import sys

import cv2
import numpy as np
import simplejpeg
from tqdm import tqdm

from engine import batches, checkpoint, convolution, crops, drawing, files, tf1, towers, training
from engine.augmentation import compose, transform
from engine.files import InputError
from engine.palette import rgb, side_colour
from engine.tf1 import tf

PICTURES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm', '.gif', '.jp2')
VIDEOS = ('.avi', '.mp4', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv')
MAX_SIDE = 16384                        # pixels: a damaged header may ask for more than the machine has
MAP_TILE = 480                          # pixels, the longer side of a picture under a heat map

# spectra: see convolution.spectra.  evaluation: towers.Evaluation of the views of one picture.
Graph = collections.namedtuple('Graph', 'evaluation spectra saver')
Source = collections.namedtuple('Source', 'path name is_video')
# One person.  joints_xy [k, 2], torso_xy [2] or None: pixels of the picture; scores [k]; maps [h, w, k] or None, and
# the matrix from their cells to the picture.
Found = collections.namedtuple('Found', 'joints_xy scores torso_xy maps matrix')


class Unreadable(InputError):
    """A picture that cannot be read; the others can."""


# --- which pictures -----------------------------------------------------------------------------------------------

def find_sources(options, system):
    """The pictures of --predict in order, a list of Sources; makes the folder --out and checks --torso."""
    path, out = options.predict, options.out
    if not os.path.exists(path):
        raise InputError(f'--predict {path}: no such file or folder')
    try:
        if os.path.isdir(path):
            sources = list_folder(path, out)
        else:
            stem, ending = os.path.splitext(os.path.basename(path))
            sources = [Source(path, stem, ending.lower() in VIDEOS)]
        check_torso(options, system)
        os.makedirs(out, exist_ok=True)
    except OSError as error:
        raise InputError(f'{error.filename}: cannot be used: {error.strerror}') from error
    if not os.access(out, os.W_OK):
        raise InputError(f'--out {out}: cannot be written to')
    return sources


def list_folder(path, out):
    """Sources of a folder's pictures, by name."""
    if os.path.realpath(path) == os.path.realpath(out):
        raise InputError(f'--out {out}: is the folder of the pictures themselves')
    files = sorted(file for file in os.listdir(path) if file.lower().endswith(PICTURES) and file[0] != '.')
    if not files:
        raise InputError(f'--predict {path}: no pictures there ({" ".join(PICTURES)})')
    return [Source(os.path.join(path, file), name, False) for file, name in zip(files, unique_names(files))]


def unique_names(files):
    """File names without their endings; with them where they would be equal otherwise."""
    names = [os.path.splitext(file)[0] for file in files]
    while twice := {name for name, n in collections.Counter(names).items() if n > 1}:
        names = [file if name in twice else name for file, name in zip(files, names)]
    return names


def check_torso(options, system):
    """--torso lies within its picture, and the model asks for one."""
    if options.torso is None:
        return
    if not system.takes_anchor(options):
        raise InputError('--torso: the restored run has no spatial model, which alone could use it')
    if os.path.isdir(options.predict):
        raise InputError(f'--torso: means one person, and {options.predict} is a folder')
    ending = os.path.splitext(options.predict)[1].lower()
    with contextlib.suppress(Unreadable):               # is reported in its turn
        _, _, image = next(frames(Source(options.predict, '', ending in VIDEOS)))
        height, width = image.shape[:2]
        if not (0 <= options.torso[0] < width and 0 <= options.torso[1] < height):
            raise InputError('--torso {:g},{:g}: outside {}, which is {}x{}'.format(*options.torso, options.predict,
                                                                                   width, height))


# --- reading ------------------------------------------------------------------------------------------------------

def frames(source):
    """Yields (name, number, RGB uint8 [h, w, 3]) of a picture (number None) or each frame of a video (from 1).

    Raises Unreadable, for a video perhaps after some of its frames.
    """
    if not source.is_video:
        yield source.name, None, read_picture(source.path)
        return
    with open_video(source.path) as video:
        expected, n = video.get(cv2.CAP_PROP_FRAME_COUNT), 0
        while True:
            with tf1.quiet_stderr():
                there, image = video.read()
            if not there:
                break
            n += 1
            yield f'{source.name}_{n:06d}', n, image[..., ::-1]
    if n == 0 or n < 0.98 * expected - 2:       # containers without an index only estimate it
        raise Unreadable(f'{source.path}: ends after {n} of {max(expected, 0):.0f} frames')


@contextlib.contextmanager
def open_video(path):
    """A cv2.VideoCapture with at least one frame in it, released at the end."""
    with tf1.quiet_stderr():
        video = cv2.VideoCapture(path)
    try:
        if not video.isOpened() or video.get(cv2.CAP_PROP_FRAME_WIDTH) < 1:
            raise Unreadable(f'{path}: not a video that can be read')
        yield video
    finally:
        video.release()


def read_picture(path):
    """One picture, RGB uint8 [h, w, 3], whole and turned as its EXIF orientation says; else Unreadable."""
    try:
        with open(path, 'rb') as file:
            content = file.read()
        with tf1.quiet_stderr():                       # OpenCV's codecs print what our own line says
            image = decode_jpeg(content) if content[:2] == b'\xff\xd8' else decode_other(content)
    except OSError as error:
        raise Unreadable(f'{path}: {error.strerror}') from error
    except (ValueError, RuntimeError, MemoryError, cv2.error) as error:
        reason = error if isinstance(error, ValueError | RuntimeError) else 'OpenCV cannot decode it'
        raise Unreadable(f'{path}: not a whole picture: {reason}') from error
    return image


def decode_jpeg(content):
    """Strict, by the same library as FLIC's frames (data.py); one that is turned or CMYK goes through OpenCV too."""
    height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    check_size(width, height)
    cmyk = colours in ('CMYK', 'YCCK')
    image = simplejpeg.decode_jpeg(content, 'CMYK' if cmyk else 'RGB', strict=True)
    if cmyk or content.find(b'Exif\0\0', 0, 1 << 17) >= 0:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    return image


def decode_other(content):
    """Whatever OpenCV reads; what is transparent fades to black, as what surrounds a picture is."""
    content = np.frombuffer(content, np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB) if len(content) else None
    if image is None:
        raise ValueError('empty' if not len(content) else 'damaged, or no format that OpenCV reads')
    check_size(*image.shape[1::-1])
    full = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if full.shape == (*image.shape[:2], 4):
        opacity = full[..., 3:].astype(np.float32) / np.iinfo(full.dtype).max
        image = np.rint(image * opacity).astype(np.uint8)
    return image


def check_size(width, height):
    if max(width, height) > MAX_SIDE:
        raise ValueError(f'{width}x{height}, and no side may be longer than {MAX_SIDE}')


# --- poses --------------------------------------------------------------------------------------------------------

def build_graph(system, options):
    """The graph of the evaluation alone, to be fed with one picture's views; returns a Graph."""
    batch = batches.placeholders(system, options)
    evaluation = towers.build_evaluation(system, batch, towers.device_names(options.gpus, training.say), options)
    return Graph(evaluation, convolution.spectra_operations(), tf.train.Saver())


def stranger(system, options, image, points_xy=None):
    """A crops.Person of whom nothing is known but that the picture shows them; or the system's number of such people.

    points_xy: where all points are said to be, pixels.
    """
    height, width = image.shape[:2]
    person = crops.somebody((0, 0, width, height), system.n_points(options), (0, 0) if points_xy is None else points_xy)
    if system.MOST_PEOPLE is None:
        return person
    return crops.Person(*(np.repeat(np.asarray(part)[None], system.MOST_PEOPLE, axis=0) for part in person))


class Finder:
    """Finds poses by a restored graph.  body: the data set's module, whose joints the system finds."""

    def __init__(self, session, graph, system, body, options):
        self.graph, self.system, self.body, self.options = graph, system, body, options
        self.run = system.predictor(session, graph.evaluation, options)

    def find(self, image, torso_xy=None):
        """The person Found at `torso_xy`, pixels of the picture, or the one inferred.  image: RGB uint8 [h, w, 3]."""
        system, options, given = self.system, self.options, torso_xy is not None
        views = system.views(image, stranger(system, options, image, torso_xy), options)
        batch = batches.make(system, [0] * len(views), options, np.ones(len(views)), views)
        outputs, inferred_xy, back = self.run(batches.feed(self.graph.evaluation.batch, batch), given)
        name, answer = list(outputs.items())[-1]
        pose, maps = system.decode(answer, options)[0][0], system.maps({}, {name: answer}).get(name)
        torso_xy = torso_xy if inferred_xy is None else transform(back[0], inferred_xy[0])
        stride = 1 if maps is None else system.input_size(options)[0] / maps.shape[1]
        return Found(transform(back[0], pose.joints_xy), pose.scores, torso_xy, None if maps is None else maps[0],
                     compose(np.diag([stride, stride, 1])[:2], back[0]))


# --- what is written ----------------------------------------------------------------------------------------------

def write_poses(finder, sources, options, found):
    """Finds and writes all poses; returns 0, or 1 if a picture could not be read.

    poses.json is written in any case, also when it all is interrupted: it lists what is there.
    """
    document, unreadable = new_document(finder, found), []
    path = os.path.join(options.out, 'poses.json')
    try:
        with tqdm(total=count(sources), desc='poses', unit='img', disable=None) as bar:
            for source in sources:
                try:
                    write_source(finder, source, options, document, bar)
                except Unreadable as error:
                    training.say(f'main.py: {error}', sys.stderr)
                    unreadable.append(source.path)
    finally:
        document['info']['unreadable'] = [os.path.basename(path) for path in unreadable]
        with files.atomic(path) as partial:
            checkpoint.write_json(partial, document)
    n = len(document['images'])
    training.say(f'{path}: {n} picture{"s" * (n != 1)}' + (f', {len(unreadable)} unreadable' if unreadable else ''))
    return 1 if unreadable else 0


def count(sources):
    """How many pictures there will be, None if a video does not say."""
    if not sources[0].is_video:
        return len(sources)
    with contextlib.suppress(Unreadable), open_video(sources[0].path) as video:
        return max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT))) or None


def write_source(finder, source, options, document, bar):
    """One picture, or one video and all its frames."""
    with contextlib.ExitStack() as stack:
        video = None
        for name, number, image in frames(source):
            pose = finder.find(image, options.torso)
            drawn = drawing.draw_pose(image, pose.joints_xy, pose.scores, finder.body, pose.torso_xy)
            drawing.write_picture(os.path.join(options.out, f'{name}_pose.jpg'), drawn)
            if options.overlay and pose.maps is None:
                raise InputError(f'--overlay: {options.system} has no maps')
            if options.overlay:
                sheet = map_sheet(image, pose.maps, finder.body.JOINTS, pose.matrix)
                drawing.write_picture(os.path.join(options.out, f'{name}_maps.jpg'), sheet)
            if source.is_video:
                video = video or stack.enter_context(video_writer(source, drawn.shape, options.out))
                video.write(np.ascontiguousarray(drawn[..., ::-1]))
            add_pose(document, source, name, number, image.shape, pose, options.torso is not None)
            bar.update()


def map_sheet(image, maps, joints, matrix):
    """The joints' heat maps over the picture, side by side: RGB uint8 [h, w, 3], [rows, columns, k], the 2x3 matrix
    from cells to the picture's pixels."""
    height, width = image.shape[:2]
    scale = MAP_TILE / max(height, width)
    size = tuple(max(1, round(scale * side)) for side in (width, height))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    matrix = compose(matrix, np.array([[size[0] / width, 0, 0], [0, size[1] / height, 0]]))             # to the tile
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5                            # OpenCV's pixel i is the point i
    tiles = [drawing.heat_tile(small, cv2.warpAffine(np.ascontiguousarray(maps[..., j]), matrix, size), name,
                               rgb(side_colour(name))) for j, name in enumerate(joints)]
    return drawing.sheet(tiles, 3)


@contextlib.contextmanager
def video_writer(source, shape, out):
    """A cv2.VideoWriter of OUT/NAME_pose.mp4, as fast as the source; the file takes its name when it is complete."""
    with open_video(source.path) as video:
        rate = video.get(cv2.CAP_PROP_FPS)
    with files.atomic(os.path.join(out, f'{source.name}_pose.mp4')) as partial:
        work = f'{partial}.mp4'                         # the writer goes by the ending
        try:
            with tf1.quiet_stderr():
                writer = cv2.VideoWriter(work, cv2.VideoWriter_fourcc(*'mp4v'), rate if 0 < rate <= 1000 else 25.0,
                                         shape[1::-1])
            try:
                yield writer
            finally:
                writer.release()
            os.replace(work, partial)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(work)


def new_document(finder, found):
    """poses.json without pictures."""
    run, step = os.path.normpath(found.path).split(os.sep)[-2:]
    system, body, options = finder.system, finder.body, finder.options
    answer = list(finder.graph.evaluation.combined)[-1]
    return {
        'info': {'description': 'joints of one person a picture, COCO key points with scores (engine/pictures.py)',
                 'checkpoint': f'{run}/{step}', 'code': checkpoint.code_version(),
                 **system.about(options), 'system': options.system, 'model': system.OUTPUTS[answer],
                 'coordinates': 'x right, y down, pixels of the picture as shown; pixel i covers [i, i+1)',
                 'visibility': '2: within the picture, 1: beyond its edge', 'scores': system.SCORE},
        'images': [],
        'categories': [{'id': 1, 'name': 'person', 'supercategory': 'person', 'keypoints': list(body.JOINTS),
                        'skeleton': [[a + 1, b + 1] for a, b in body.LIMBS]}],
        'annotations': []}


def add_pose(document, source, name, number, shape, pose, given):
    """Appends one picture and its person to poses.json's content."""
    id_, (height, width), file = len(document['images']) + 1, shape[:2], os.path.basename(source.path)
    image = {'id': id_, 'file_name': file, 'width': width, 'height': height}
    if source.is_video:
        image = {**image, 'file_name': name, 'video': file, 'frame': number}
    xy = np.round(pose.joints_xy.astype(float), 2)
    inside = ((xy >= 0) & (xy < (width, height))).all(axis=1)
    (left, top), (right, bottom) = xy.min(axis=0).tolist(), xy.max(axis=0).tolist()
    box = [left, top, round(right - left, 2), round(bottom - top, 2)]
    torso_xy = None if pose.torso_xy is None else [round(float(v), 2) for v in pose.torso_xy]
    scores = [round(float(score), 4) for score in pose.scores]
    document['images'].append(image)
    document['annotations'].append({
        'id': id_, 'image_id': id_, 'category_id': 1, 'iscrowd': 0,
        'keypoints': [v for (x, y), seen in zip(xy.tolist(), inside) for v in (x, y, 2 if seen else 1)],
        'num_keypoints': len(scores), 'scores': scores, 'score': round(sum(scores) / len(scores), 4),
        'torso': torso_xy, 'torso_source': torso_xy and ('given' if given else 'inferred'),
        'bbox': box, 'area': round(box[2] * box[3], 2)})
