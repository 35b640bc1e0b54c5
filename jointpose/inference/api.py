"""Poses from Python, no graph in sight.

    import poses
    model = poses.load('pretrained/flic_quarter')       # seconds; the first call computes what later ones share
    for person in model(image):                         # uint8 [h, w, 3] RGB, as poses.read('picture.jpg') gives it
        print(person.score, dict(zip(model.joints, person.joints_xy)), person.scores)

A person has joints_xy float [k, 2] (x, y) pixels of the picture, scores [k] and score, the person's; torso_xy [2], or
None where the system has none.  What these mean is in docs/pictures.md; options are main.py's.

A program that uses TensorFlow 2, too, keeps it as it is: a model has a graph and a session of its own.  If this is the
program's first import of TensorFlow, oneDNN is turned on for the whole process, as TF_ENABLE_ONEDNN_OPTS=1 would; set
that variable to say otherwise.  Threads may share a model: they take turns.  Processes load one each, and are started
by multiprocessing's 'spawn': in a process that is forked after `load` TensorFlow would wait for ever.
"""

import contextlib
import os
import threading
import weakref

from jointpose.utils import packages

try:
    import numpy as np

    from jointpose import datasets, run_options
    from jointpose.inference import predict
    from jointpose.media import images
    from jointpose.nn import fft_conv
    from jointpose.nn.tf1 import tf
    from jointpose.training import checkpoint
    from jointpose.training.devices import session_config
    from jointpose.utils import cli
    from jointpose.utils.errors import InputError
    from jointpose.vision.joints import coco_name
except ModuleNotFoundError as error:
    if words := packages.missing_package(error):
        raise ModuleNotFoundError(words, name=error.name) from error
    raise

read = images.read_image
sessions_of = None  # the process that has run TensorFlow for us


def load(checkpoint_path, *options):
    """The Model of a run or checkpoint; options: further words of main.py's command line, '--scales', 'single' ...

    A path that is not there from the current folder is looked for in the package, where pretrained/ is.  ValueError
    says which option is wrong, jointpose.utils.errors.InputError what is wrong with the checkpoint.
    """
    checkpoint_path = os.fspath(checkpoint_path)
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    beside = os.path.join(package, checkpoint_path)
    checkpoint_path = (
        beside
        if os.path.exists(beside) and not os.path.exists(checkpoint_path)
        else checkpoint_path
    )
    words = ['--restore', checkpoint_path, '--predict', images.STDIN, *map(str, options)]
    printed = cli.PRINT_USAGE_ERRORS.set(False)
    try:
        understood = run_options.resolve_options(words, say=lambda remark: None)
    except SystemExit as end:  # of the command line's parser, which must not end a notebook
        raise ValueError(str(end)) from None
    finally:
        cli.PRINT_USAGE_ERRORS.reset(printed)
    return Model(*understood[:3])


def of_numbers(values, width, name):
    """What a call was given as a list of points or boxes, perhaps an array -> [(float, ...), ...], or None."""
    if values is None:
        return None
    values = np.asarray(values, float)  # ValueError of what are no numbers
    if values.size and values.shape[1:] != (width,):
        raise ValueError(
            f'{name}: a list of {width} numbers each is meant, not an array of shape {values.shape}'
        )
    return [tuple(row) for row in values.tolist()]


def close_in(process, stack):
    """Frees what a model has, in the process that made it."""
    if process == os.getpid():
        stack.close()


def check_process():
    """RuntimeError in a fork of the process that has run TensorFlow, whose threads are not in the fork."""
    global sessions_of
    sessions_of = sessions_of or os.getpid()
    if sessions_of != os.getpid():
        raise RuntimeError(
            'this process was forked from one that had loaded poses, and TensorFlow would wait here for '
            "ever: start it by multiprocessing.get_context('spawn'), or fork before poses.load"
        )


class Model:
    """model(image) -> people.  joints: their names.  A context, or closed by close()."""

    def __init__(self, options, system, found):
        check_process()
        body = datasets.load(options.dataset)
        self.joints = [coco_name(joint) for joint in body.JOINTS]
        self.lock = threading.Lock()
        with contextlib.ExitStack() as stack, tf.Graph().as_default() as self.graph:
            graph = predict.build_graph(system, options, found)
            session = tf.Session(config=session_config(options.gpus, optimised=False))
            stack.callback(session.close)
            checkpoint.restore(session, graph.saver, found)
            stack.enter_context(fft_conv.cached_spectra(session, graph.spectra))
            self.finder = predict.PoseEstimator(session, graph, system, body, options)
            # Called by close(), or else before the session goes by itself, without which the spectra cannot be freed.
            self.close_once = weakref.finalize(self, close_in, os.getpid(), stack.pop_all())

    def __call__(self, image, torsos=None, boxes=None):
        """The people of an RGB picture, uint8 [h, w, 3], the highest score first; or one for each of `torsos`,
        [(x, y), ...], or of `boxes`, [(x, y, width, height), ...], pixels, with low_score where there is probably
        nobody.  ValueError says what is wrong with the arguments."""
        check_process()
        if (
            not isinstance(image, np.ndarray)
            or image.dtype != np.uint8
            or image.ndim != 3
            or (image.shape[2] != 3 or not image.size)
        ):
            raise ValueError(
                'the picture is no array uint8 [height, width, 3] of RGB, as poses.read makes it'
            )
        if torsos is not None and boxes is not None:
            raise ValueError('either torsos or boxes say who is meant')
        if torsos is not None and not self.finder.seek:
            raise ValueError(
                'this model is asked by boxes: it has no spatial model, which torsos are for'
            )
        torsos, boxes = of_numbers(torsos, 2, 'torsos'), of_numbers(boxes, 4, 'boxes')
        try:
            predict.check_inside(image, torsos, boxes, 'the picture')
        except InputError as error:
            raise ValueError(str(error)) from None
        with (
            self.lock,
            self.graph.as_default(),
        ):  # outside of a graph TensorFlow 2's tensors cannot be fed
            return self.finder.find(image, torsos, boxes)

    def close(self):
        self.close_once()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
