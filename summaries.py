"""What TensorBoard shows of a run:  tensorboard --logdir tb

TB_FOLDER/RUN holds three folders of event files, `train_iter` written at every update, `train` and `test` at every
epoch.  Activations, gradients and overlays are those of the same few people of each split at every epoch, as the test
stream shows people (not augmented), so that a change is the network's.  Tags that end in _sm, and those of the
spatial model, are absent without --use_sm.

    tag                                 in              what
    main/loss_pd, main/loss_sm          all three       cross-entropy of part detector and spatial model, without decay:
                                                        of the update's batch; mean over the epoch's or the test people
    main/gradient_norm                  train_iter      of all averaged gradients, with decay, before clipping
    main/lr                             train_iter      learning rate
    main/img_per_s                      train_iter      training samples a second, the update's own time only
    main/det_rate_pd, main/det_rate_sm  train, test     detection rate at radius 10, %, mean over the joints
    det_rate_pd/JOINT, det_rate_sm/..   train, test     the same of each joint
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
    conv1_BANK/filters                  train           image, 240x240: the first filters in colour, grey is 0
    priors/JOINT_given_CONDJOINT        train           image, 360x240: softplus(energy) by displacement of joint from
                                                        condjoint, none in the middle; the caption says the range
    biases/JOINT_given_CONDJOINT        train           image, 360x240: softplus(bias) over the frame
    person_K/JOINT_target, JOINT_pd,    train, test     image, 360x240: the map over the frame, most opaque at its peak
             JOINT_sm
    person_K/all_target, all_pd, all_sm train, test     image: all joints, a colour each

TensorBoard shows ten epochs of each image, drawn at random, or all: --samples_per_plugin images=1000.
"""
import os
import socket
import time

import cv2
import numpy as np

import augmentation
import batches
import spatial_model
from arrays import SPLITS
from joints import JOINTS, MAPS, N_JOINTS
from tf1 import tf
from training import warn

BANKS = ('full', 'half', 'quarter')
N_PEOPLE = 4                            # of each split, but no more than a batch
N_BINS = 60                             # of a histogram
SIZE = 360, 240                         # width and height of images, pixels: half the frame
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 85)
OPACITY = 0.8                           # of a map's peak over the frame
HUES = np.uint8([[[20 * joint, 255, 255] for joint in range(N_JOINTS)]])             # OpenCV's circle has 180
COLOURS = cv2.cvtColor(HUES, cv2.COLOR_HSV2RGB)[0]                                   # [9, 3]


class Writer:
    """The event files of one run.  Where they cannot be written, one warning, and training goes on without."""

    def __init__(self, folder, graph, splits, options):
        """folder (None: no summaries); graph: main.Graph of training; splits: {"train", "test": arrays.Split}."""
        self.folder, self.graph, self.files, self.failed = folder, graph, {}, folder is None
        self.spatial = graph.inference.replicas[0].spatial
        self.models = ('pd', 'sm') if self.spatial else ('pd',)
        matrix = augmentation.centre_crop() if options.data_augm else None
        most = min(N_PEOPLE, options.batch_size)                # what is known to fit into the device's memory
        self.people = {split: batches.plain_batch(splits[split], spread(n, most), matrix)
                       for split, n in (('train', graph.n_train), ('test', graph.n_test))}

    def step(self, step, values):
        """One update's figures, {name: number}, to train_iter."""
        self._add('train_iter', step, (scalar(f'main/{name}', value) for name, value in values.items()
                                       if self.spatial or not name.endswith('_sm')))

    def epoch(self, session, step, means):
        """All that is written once an epoch; means: {'train' | 'test': training.Meter.means()}.

        Changes no variable and takes nothing from the streams: their batches are replaced by the fixed people.
        """
        for split, people in self.people.items():
            self._add(split, step, main_values(means[split], self.models))
            self._add(split, step, self._people(session, people))
        self._add('train', step, self._variables(session))
        self._add('train', step, self._gradients(session))

    def close(self):
        self.files = {}                                         # every record was flushed when it was written

    def _add(self, kind, step, values):
        """Writes Values, an iterable that is not even evaluated if nothing can be written."""
        if self.failed:
            return
        summary = tf.Summary(value=values)
        try:
            if not self.files:
                self.files = {name: open_events(os.path.join(self.folder, name), step)
                              for name in (*SPLITS, 'train_iter')}
            self.files[kind].write(tf.Event(wall_time=time.time(), step=step, summary=summary).SerializeToString())
            self.files[kind].flush()
        except (OSError, tf.errors.OpError) as error:
            self.failed, self.files = True, {}
            warn(f'no more TensorBoard summaries: {error}')

    def _people(self, session, people):
        """Activations and overlays."""
        inference, replicas = self.graph.inference, self.graph.inference.replicas
        layers = {name: [replica.detector.layers[name] for replica in replicas] for name in replicas[0].detector.layers}
        layers['conv6'] = [replica.detector.logits for replica in replicas]
        if self.spatial:
            layers['spatial_model'] = [replica.spatial.logits for replica in replicas]
        maps = {model: getattr(inference, f'maps_{model}') for model in self.models}
        layers, maps = session.run([layers, maps], dict(zip(self.graph.test_batch, people)))
        for name, parts in layers.items():
            yield from describe(f'{name}/activation', np.concatenate(parts))
        yield from overlays(people.images, {'target': people.targets[..., :N_JOINTS], **maps})

    def _variables(self, session):
        """Variables, but the optimiser's; filters, priors and biases also as images."""
        moving = [variable for variable in tf.global_variables()
                  if variable.op.name.endswith(('moving_mean', 'moving_variance'))]
        values = session.run({tag_of(variable): variable for variable in tf.trainable_variables() + moving})
        for tag, value in values.items():
            yield from describe(tag, value)
        for bank in BANKS:
            yield picture(f'conv1_{bank}/filters', filter_grid(values[f'conv1_{bank}/weights']))
        if self.spatial:
            yield from pairs('priors', values['spatial_model/energies'])
            yield from pairs('biases', values['spatial_model/biases'])

    def _gradients(self, session):
        wanted = {tag_of(variable): gradient for gradient, variable in self.graph.training.gradients
                  if variable.op.name.endswith(('weights', 'energies'))}
        for tag, gradient in session.run(wanted, dict(zip(self.graph.batch, self.people['train']))).items():
            yield from describe(f'{tag}/gradient', gradient)
            yield scalar(f'{tag}/gradient/norm', np.linalg.norm(gradient))


def spread(n, most):
    """Rows of at most `most` of n people, evenly spread: neighbours are frames of one scene."""
    k = min(n, most)
    return np.arange(k) * n // k


def open_events(folder, step):
    """A new event file.  Its first step replaces what older files of the folder hold from there on (resumed runs).

    tf.summary.FileWriter would write on a thread of its own, where a full disk cannot be caught.
    """
    os.makedirs(folder, exist_ok=True)
    records = tf.io.TFRecordWriter(os.path.join(
        folder, f'events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}'))
    for content in ({'file_version': 'brain.Event:2'},
                    {'step': step, 'session_log': tf.SessionLog(status=tf.SessionLog.START)}):
        records.write(tf.Event(wall_time=time.time(), **content).SerializeToString())
    return records


def tag_of(variable):
    """'part_detector/conv5/weights' -> 'conv5/weights', 'spatial_model/energies' as it is."""
    return variable.op.name.removeprefix('part_detector/')


def main_values(means, models):
    """Losses and rates of one split as Values; means: training.Meter.means()."""
    for model in models:
        yield scalar(f'main/loss_{model}', means[f'loss_{model}'])
        yield scalar(f'main/det_rate_{model}', means[f'rate_{model}'])
        for joint, rate in means[f'joints_{model}'].items():
            yield scalar(f'det_rate_{model}/{joint}', rate)


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
    ends = np.array([values.min(), values.max()], np.float64)           # in float32 narrow bins would coincide
    counts, edges = np.histogram(values, N_BINS, ends)
    yield tf.Summary.Value(tag=tag, histo=tf.HistogramProto(
        min=ends[0], max=ends[1], num=n, sum=n * mean, sum_squares=n * (deviation ** 2 + mean ** 2),
        bucket_limit=edges[1:], bucket=counts))
    for name, figure in (('max', ends[1]), ('mean', mean), ('min', ends[0]), ('std', deviation),
                         ('positive', (values > 0).mean())):
        yield scalar(f'{tag}/{name}', figure)


def overlays(images, maps):
    """Pictures of uint8 [n, 480, 720, 3] under {name: float [n, 60, 90, 9]}, each joint and all in one."""
    for name, stack in maps.items():
        for k, (image, person) in enumerate(zip(images, stack)):
            yield picture(f'person_{k}/all_{name}', overlay(image, person, range(N_JOINTS)), '.jpg', JPEG)
            for i, joint in enumerate(JOINTS):
                yield picture(f'person_{k}/{joint}_{name}', overlay(image, person, [i]), '.jpg', JPEG)


def pairs(kind, values):
    """Pictures of the spatial model's energies or biases, [81, h, w], as it uses them: through softplus."""
    values = np.logaddexp(0, spatial_model.BETA * values) / spatial_model.BETA
    for (joint, condjoint), value in zip(spatial_model.PAIRS_TO_JOINTS, values):
        yield picture(f'{kind}/{MAPS[joint]}_given_{MAPS[condjoint]}',
                      heat_image(value, f'{MAPS[joint]} given {MAPS[condjoint]}'))


def picture(tag, image, extension='.png', settings=()):
    """uint8 [h, w, 3] RGB as a Value."""
    _, code = cv2.imencode(extension, np.ascontiguousarray(image[..., ::-1]), settings)
    return tf.Summary.Value(tag=tag, image=tf.Summary.Image(
        height=image.shape[0], width=image.shape[1], colorspace=3, encoded_image_string=code.tobytes()))


def overlay(image, maps, shown):
    """Heat maps over their frame in grey: uint8 [480, 720, 3], float [60, 90, 9] -> uint8 [240, 360, 3].

    shown: indices of k joints, each in its colour.  Each map is scaled by its own peak: a flat one covers everything.
    """
    grey = cv2.cvtColor(cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    colours = COLOURS[list(shown)].astype(np.float32)                                # [k, 3]
    maps = np.nan_to_num(maps[..., list(shown)])                                     # [60, 90, k]
    maps = maps / np.maximum(maps.max(axis=(0, 1)), 1e-12)
    maps = cv2.resize(maps.astype(np.float32), SIZE).reshape(*grey.shape, -1)        # [240, 360, k]
    opacity = OPACITY * maps.max(axis=-1, keepdims=True)                             # [240, 360, 1]
    tint = maps @ colours / np.maximum(maps.sum(axis=-1, keepdims=True), 1e-12)      # [240, 360, 3]
    blend = np.rint((1 - opacity) * grey[..., None] + opacity * tint).astype(np.uint8)
    for line, joint in enumerate(shown):
        write(blend, JOINTS[joint], line, COLOURS[joint].tolist())
    return blend


def heat_image(values, caption):
    """[h, w] -> uint8 [240, 360, 3], dark at the least and bright at the largest value; a caption says both."""
    low, high = values.min(), values.max()
    levels = np.rint(255 * (values - low) / max(high - low, 1e-12)).astype(np.uint8)
    image = cv2.applyColorMap(cv2.resize(levels, SIZE, interpolation=cv2.INTER_NEAREST), cv2.COLORMAP_VIRIDIS)
    write(image, f'{caption}  {low:.3g} .. {high:.3g}', 0, (255, 255, 255))
    return image[..., ::-1]


def write(image, text, line, colour):
    """Text into the image itself, line 0 at the top."""
    cv2.putText(image, text, (6, 16 + 15 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)


def filter_grid(weights):
    """[size, size, 3, F] -> uint8 RGB, about 240 square: the F filters side by side, 0 is grey."""
    size, _, _, n = weights.shape
    side = int(np.ceil(n ** 0.5))
    tiles = np.zeros((side * side, size + 1, size + 1, 3))
    tiles[:n, :size, :size] = weights.transpose(3, 0, 1, 2) / max(np.abs(weights).max(), 1e-12)
    grid = tiles.reshape(side, side, size + 1, size + 1, 3).swapaxes(1, 2)
    grid = grid.reshape(side * (size + 1), side * (size + 1), 3)
    factor = max(1, SIZE[1] // len(grid))
    return np.rint(127.5 * (1 + grid)).astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1)
