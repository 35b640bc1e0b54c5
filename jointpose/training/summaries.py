"""What TensorBoard shows of a run:  tensorboard --logdir tb

TB_FOLDER/RUN holds three folders of event files, `train_iter` written at every update, `train` and `test` at every
epoch.  What is shown of people is of the same few of each split at every epoch, as the test stream shows people (not
augmented), so that a change is the network's.  pd and sm stand for the names of the system's outputs (sm is absent
without --use_sm), and what is said of energies, biases, priors and banks is Tompson's.

    tag                                 in              what
    main/loss_pd, main/loss_sm          all three       cross-entropy of part detector and spatial model, without decay:
                                                        of the update's batch; mean over the epoch's or the test people
    main/gradient_norm                  train_iter      of all averaged gradients, with decay, before clipping
    main/lr                             train_iter      learning rate
    main/img_per_s                      train_iter      training samples a second, the update's own time only
    main/det_rate_pd, main/det_rate_sm  train, test     detection rate at radius 10, %, mean over the joints
    rate_pd/JOINT, rate_sm/JOINT        train, test     the same of each joint
    person_K/target, person_K/pd, ../sm train, test     image, 360x240: all joints' maps over the frame, a colour each,
                                                        most opaque at the peak
    network/conv1_BANK_filters          train           image, 240x240: the first filters in colour, grey is 0
    priors/JOINT_given_CONDJOINT        train           image, 360x240: softplus(energy) by displacement of joint from
                                                        condjoint, none in the middle; the caption says the range

and with --tb_details also, below `more/` so that TensorBoard opens on main/*,

    LAYER/VARIABLE                      train           histogram of weights, bias, scale, offset, moving_mean,
                                                        moving_variance; of spatial_model also of energies, biases
    LAYER/VARIABLE/max, mean, min,      train           the same in figures; positive is the share above 0
                   std, positive
    LAYER/weights/gradient,             train           histogram of the gradient, with decay, before clipping,
    spatial_model/energies/gradient                     normalised by these people's batch statistics
    .../gradient/norm, max, ...         train           its Euclidean norm, and the figures as above
    LAYER/activation                    train, test     histogram after ReLU and batch norm (moving averages); of conv6
                                                        and spatial_model: the logits
    LAYER/activation/max, ...           train, test     the same in figures
    biases/JOINT_given_CONDJOINT        train           image, 360x240: softplus(bias) over the frame
    person_K/JOINT_target, JOINT_pd,    train, test     image, 360x240: one joint's map
             JOINT_sm

TensorBoard shows ten epochs of each image, drawn at random, or all: --samples_per_plugin images=1000.
"""

import contextlib
import os
import socket
import time

import cv2
import numpy as np

from jointpose.nn.layers import AVERAGE_SUFFIX
from jointpose.nn.tf1 import tf
from jointpose.training import batches
from jointpose.utils.log import warn
from jointpose.vision.map_images import map_titles, overlay_maps

N_PEOPLE = 4  # of each split, but no more than a batch
N_BINS = 60  # of a histogram
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 85)


class Writer:
    """The event files of one run.  While they cannot be written there is one warning, and training goes on without."""

    def __init__(self, folder, system, joints, graph, splits, options):
        """folder (None: no summaries); joints: their names; graph: main.RunGraph of training; splits: {"train", "test":
        arrays.Split}."""
        self.folder, self.system, self.joints, self.graph = folder, system, joints, graph
        self.files, self.failed, self.details = {}, False, options.tb_details
        self.outputs = graph.evaluation.inference.outputs
        most = min(N_PEOPLE, options.batch_size)  # what is known to fit into the device's memory
        self.people = {
            split: batches.plain_batch(system, people, spread(len(people.images), most))
            for split, people in splits.items()
        }

    def step(self, step, values):
        """One update's figures, {name: number}, to train_iter."""
        self._add(
            'train_iter', step, (scalar(f'main/{name}', value) for name, value in values.items())
        )

    def epoch(self, session, step, means):
        """All that is written once an epoch; means: {'train' | 'test': Meter.means()}.

        Changes no variable and takes nothing from the streams: their batches are replaced by the fixed people.
        """
        for split, people in self.people.items():
            self._add(split, step, main_values(means[split], self.outputs))
            self._add(split, step, self._people(session, people))
        self._add('train', step, self._variables(session))
        if self.details:
            self._add('train', step, self._gradients(session))

    def close(self):
        self.files = {}  # every record was flushed when it was written

    def _add(self, kind, step, values):
        """Writes Values, an iterable that is not even evaluated if nothing can be written."""
        if self.folder is None or not self._try(self._open, step):
            return
        event = tf.Event(
            wall_time=time.time(), step=step, summary=tf.Summary(value=values)
        ).SerializeToString()
        self._try(self._write, kind, event)

    def _try(self, do, *arguments):
        """Whether that worked; the first failure in a row is worth a warning, and the next call begins new files."""
        try:
            do(*arguments)
        except (OSError, tf.errors.OpError) as error:
            self.files = {}
            if not self.failed:
                warn(f'TensorBoard summaries are missing until they can be written again: {error}')
            self.failed = True
            return False
        return True

    def _open(self, step):
        if not self.files:
            self.files = {
                name: open_events(os.path.join(self.folder, name), step)
                for name in (*self.people, 'train_iter')
            }

    def _write(self, kind, event):
        self.files[kind].write(event)
        self.files[kind].flush()
        self.failed = False

    def _people(self, session, people):
        """Overlays, and activations."""
        networks = self.graph.evaluation.inference.networks
        layers = {
            name: [network.layers[name] for network in networks] for name in networks[0].layers
        }
        layers, maps = session.run(
            [layers if self.details else {}, self.outputs],
            batches.feed(self.graph.evaluation.batch, people),
        )
        for name, parts in layers.items():
            yield from describe(f'more/{name}/activation', np.concatenate(parts))
        yield from overlays(
            people.images, self.system.score_maps(people.targets, maps), self.joints, self.details
        )

    def _variables(self, session):
        """Variables, but the optimiser's; some also as images."""
        moving = [
            variable
            for variable in tf.global_variables()
            if variable.op.name.endswith(('moving_mean', 'moving_variance'))
        ]
        averages = {variable.op.name: variable for variable in tf.global_variables()}
        values = session.run(
            {
                tag_of(variable): averages.get(variable.op.name + AVERAGE_SUFFIX, variable)
                for variable in tf.trainable_variables() + moving
            }
        )
        for tag, value in values.items() if self.details else ():
            yield from describe(f'more/{tag}', value)
        for tag, image in self.system.image_summaries(values):
            if self.details or not tag.startswith('more/'):
                yield picture(tag, image)

    def _gradients(self, session):
        wanted = {
            tag_of(variable): gradient
            for gradient, variable in self.graph.training.gradients
            if variable.op.name.endswith(('weights', 'energies'))
        }
        for tag, gradient in session.run(
            wanted, batches.feed(self.graph.batch, self.people['train'])
        ).items():
            yield from describe(f'more/{tag}/gradient', gradient)
            yield scalar(f'more/{tag}/gradient/norm', np.linalg.norm(gradient))


def spread(n, most):
    """Rows of at most `most` of n people, evenly spread: neighbours are frames of one scene."""
    k = min(n, most)
    return np.arange(k) * n // k


def open_events(folder, step):
    """A new event file.  Its first step replaces what older files of the folder hold from there on (resumed runs).

    tf.summary.FileWriter would write on a thread of its own, where a full disk cannot be caught.
    """
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(
        folder, f'events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}'
    )
    try:
        records = tf.io.TFRecordWriter(path)
        for content in (
            {'file_version': 'brain.Event:2'},
            {'step': step, 'session_log': tf.SessionLog(status=tf.SessionLog.START)},
        ):
            records.write(tf.Event(wall_time=time.time(), **content).SerializeToString())
        records.flush()
    except (OSError, tf.errors.OpError):
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    return records


def tag_of(variable):
    """'part_detector/conv5/weights' -> 'conv5/weights', 'spatial_model/energies' as it is."""
    return variable.op.name.removeprefix('part_detector/')


def main_values(means, outputs):
    """Losses and rates of one split as Values; means: Meter.means()."""
    for name in outputs:
        yield scalar(f'main/loss_{name}', means[f'loss_{name}'])
        yield scalar(f'main/det_rate_{name}', means[f'rate_{name}'])
        for joint, rate in means[f'joints_{name}'].items():
            yield scalar(f'rate_{name}/{joint}', rate)


def scalar(tag, value):
    return tf.Summary.Value(tag=tag, simple_value=value)


def describe(tag, array):
    """The array's histogram, equal bins from least to largest value, and its figures, as Values.

    Numbers that are not finite are left out; of nothing else there is nothing to say.
    """
    keep = np.isfinite(array)
    values = array.ravel() if keep.all() else array[keep]
    if not values.size:
        return
    n, mean, deviation = values.size, values.mean(dtype=np.float64), values.std(dtype=np.float64)
    ends = np.array(
        [values.min(), values.max()], np.float64
    )  # in float32 narrow bins would coincide
    counts, edges = np.histogram(values, N_BINS, ends)
    yield tf.Summary.Value(
        tag=tag,
        histo=tf.HistogramProto(
            min=ends[0],
            max=ends[1],
            num=n,
            sum=n * mean,
            sum_squares=n * (deviation**2 + mean**2),
            bucket_limit=edges[1:],
            bucket=counts,
        ),
    )
    for name, figure in (
        ('max', ends[1]),
        ('mean', mean),
        ('min', ends[0]),
        ('std', deviation),
        ('positive', (values > 0).mean()),
    ):
        yield scalar(f'{tag}/{name}', figure)


def overlays(images, maps, joints, details):
    """Pictures of uint8 [n, h, w, 3] under {name: float [n, 60, 90, k]}, all k joints in one, and with `details` each
    by itself; maps that are not one a joint have no names, but numbers."""
    for name, stack in maps.items():
        names = map_titles(stack, joints)
        for k, (image, person) in enumerate(zip(images, stack)):
            yield picture(
                f'person_{k}/{name}',
                overlay_maps(image, person, names, range(len(names))),
                '.jpg',
                JPEG,
            )
            for i, title in enumerate(names) if details else ():
                yield picture(
                    f'more/person_{k}/{title}_{name}',
                    overlay_maps(image, person, names, [i]),
                    '.jpg',
                    JPEG,
                )


def picture(tag, image, extension='.png', settings=()):
    """uint8 [h, w, 3] RGB as a Value."""
    _, code = cv2.imencode(extension, np.ascontiguousarray(image[..., ::-1]), settings)
    return tf.Summary.Value(
        tag=tag,
        image=tf.Summary.Image(
            height=image.shape[0],
            width=image.shape[1],
            colorspace=3,
            encoded_image_string=code.tobytes(),
        ),
    )
