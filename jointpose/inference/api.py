"""The package's Python interface: poses from arrays, without graphs or sessions.

    import jointpose
    model = jointpose.load('pretrained/flic_quarter')  # seconds
    for person in model(jointpose.read('picture.jpg')):
        print(person.score, dict(zip(model.joints, person.joints_xy)), person.scores)

The first call of a model takes longest: it computes what later calls share.  docs/pictures.md says
what the scores mean; options are those of main.py.

A program that also uses TensorFlow 2 keeps it as it is: a model has its own graph and session.  If
this is the program's first import of TensorFlow, oneDNN is turned on for the whole process, as by
TF_ENABLE_ONEDNN_OPTS=1; set that variable to change it.

Threads may share a model and take turns.  Each process loads its own, and has to be started by
multiprocessing's 'spawn': in a process forked after `load`, TensorFlow would wait for ever.
"""

import contextlib
import os
import re
import threading
import weakref
from collections.abc import Sequence

from jointpose.utils import packages

try:
    import numpy as np

    from jointpose import run_options
    from jointpose.checkpoints.checkpoint import Checkpoint
    from jointpose.inference import pose_estimator, prompts
    from jointpose.media import images
    from jointpose.utils import cli
    from jointpose.utils.errors import InputError
    from jointpose.vision.found_person import FoundPerson
except ModuleNotFoundError as error:
    if words := packages.missing_package(error):
        raise ModuleNotFoundError(words, name=error.name) from error
    raise

__all__ = ['Model', 'Result', 'load', 'read']

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # has pretrained/

Points = Sequence[Sequence[float]] | np.ndarray
Result = FoundPerson  # its public name
Boxes = Sequence[Sequence[float]] | np.ndarray

process_of_sessions = None  # id of the process that has run TensorFlow


def read(path: str | os.PathLike) -> np.ndarray:
    """The RGB picture of a file, uint8 [h, w, 3], rotated as its EXIF orientation says.

    Raises:
        jointpose.media.images.UnreadableMedia: says what is wrong with the file.
    """
    return images.read_image(path)


def load(checkpoint_path: str | os.PathLike, *options: object) -> 'Model':
    """The Model of a run or checkpoint.

    Args:
        checkpoint_path: folder of either.  One that is not found from the current folder is looked
            for in the package, which has pretrained/.
        options: more words of main.py's command line: '--scales', 'single' ...

    Raises:
        ValueError: an option is wrong.
        jointpose.utils.errors.InputError: the checkpoint cannot be used.
    """
    path = os.fspath(checkpoint_path)
    packaged = os.path.join(PACKAGE, path)
    if os.path.exists(packaged) and not os.path.exists(path):
        path = packaged
    words = ['--restore', path, '--predict', images.STDIN, *map(str, options)]
    printed = cli.PRINT_USAGE_ERRORS.set(False)
    try:
        resolved = run_options.resolve_options(words, note=ignore)
        detecting = run_options.resolve_detector(resolved.options, resolved.system, note=ignore)
    except cli.UsageError as error:  # a SystemExit, which must not end a notebook
        raise ValueError(f'jointpose.load: {error.reason}') from None
    except InputError as error:
        message = re.sub('^--restore:? ', '', str(error))  # the path is no option here
        raise InputError(f'jointpose.load: {message}') from None
    finally:
        cli.PRINT_USAGE_ERRORS.reset(printed)
    return Model(resolved.options, resolved.system, resolved.restored, detecting)


def ignore(line: str) -> None:
    """Takes a note on a checkpoint, which a program does not print."""


class Model:
    """A restored network: model(image) returns the people of a picture.

    It is a context manager; otherwise close() frees its memory.

    joints: names of the k joints, in the order of a Result's joints_xy and scores.
    """

    joints: list[str]

    def __init__(
        self,
        options,
        system,
        found: Checkpoint,
        detecting: run_options.RunOptions | None = None,
    ):
        check_process()
        self.joints = system.dataset.coco_joints
        self.lock = threading.Lock()
        with contextlib.ExitStack() as stack:
            restored = pose_estimator.restored(system, options, found, detecting)
            self.estimator = stack.enter_context(restored)
            self.graph = self.estimator.graph.evaluation.batch.images.graph
            # Called by close(), or else before the session goes, so that the spectra can be freed.
            self.close_once = weakref.finalize(self, close_in, os.getpid(), stack.pop_all())

    def __call__(
        self, image: np.ndarray, torsos: Points | None = None, boxes: Boxes | None = None
    ) -> list[Result]:
        """The people of a picture: all of them, the highest score first, or one for each prompt.

        Args:
            image: RGB, uint8 [h, w, 3].
            torsos: point prompts [(x, y), ...], pixels, about the middle of shoulders and hips.
            boxes: box prompts [(x, y, width, height), ...], pixels.

        Returns:
            Results; that of a prompt has low_score where there is probably nobody.

        Raises:
            ValueError: an argument is wrong.
        """
        check_process()
        check_image(image)
        if torsos is not None and boxes is not None:
            raise ValueError('give either torsos or boxes, not both')
        if torsos is not None and not self.estimator.detect:
            raise ValueError('torsos need a spatial model, which this model does not have')
        points_xy = to_tuples(torsos, 2, 'torsos')
        boxes_xy = to_tuples(boxes, 4, 'boxes')
        try:
            prompts.check_inside(image, points_xy, boxes_xy, 'the picture', ('torsos', 'boxes'))
        except InputError as error:
            raise ValueError(str(error)) from None
        # Within its own graph: TensorFlow 2's tensors cannot be fed.
        with self.lock, self.graph.as_default():
            return self.estimator.predict(image, points_xy, boxes_xy)

    def close(self) -> None:
        """Frees the session and what it keeps; the model cannot be called any more."""
        self.close_once()

    def __enter__(self) -> 'Model':
        return self

    def __exit__(self, *_) -> None:
        self.close()


def check_image(image: np.ndarray) -> None:
    """Raises ValueError unless it is an RGB picture, uint8 [h, w, 3]."""
    is_picture = (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
        and image.size > 0
    )
    if not is_picture:
        raise ValueError(
            'the picture must be an array uint8 [height, width, 3] of RGB, as jointpose.read '
            'returns it'
        )


def to_tuples(values: Points | Boxes | None, width: int, name: str) -> list[tuple] | None:
    """Points or boxes -> [(float, ...), ...], or None; ValueError if they are not `width` wide."""
    if values is None:
        return None
    array = np.asarray(values, float)  # ValueError of anything but numbers
    if array.size and array.shape[1:] != (width,):
        raise ValueError(f'{name}: must be [n, {width}] numbers, got shape {list(array.shape)}')
    return [tuple(row) for row in array.tolist()]


def close_in(process: int, stack: contextlib.ExitStack) -> None:
    """Closes a model's stack, but only in the process that made it."""
    if process == os.getpid():
        stack.close()


def check_process() -> None:
    """Raises RuntimeError in a fork of the process that has run TensorFlow.

    TensorFlow's threads are not in the fork.
    """
    global process_of_sessions
    process_of_sessions = process_of_sessions or os.getpid()
    if process_of_sessions != os.getpid():
        raise RuntimeError(
            'this process was forked from one that had loaded a model, and TensorFlow would wait '
            "here for ever: start it by multiprocessing.get_context('spawn'), or fork before "
            'jointpose.load'
        )
