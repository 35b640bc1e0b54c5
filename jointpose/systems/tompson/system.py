"""Tompson, Jain, LeCun and Bregler, NIPS 2014: part detector and spatial model, trained jointly.

    frame -> part detector (model.py) -> nine heat maps `pd`
    + map of the person's torso, batch norm -> spatial model (spatial_model.py) -> nine heat maps `sm`

Each map is a distribution over the 60x90 cells.  The loss is the cross-entropy with targets of 3x3
cells, for both models, the detector's as an auxiliary loss.  The evaluation averages the maps of
eight scales of a frame (nn/test_time_augmentation.py); a joint is the peak of its mean map.  The
torso says who the target person is: it is annotated, given as a point prompt, or inferred
(torso_inference.py).  systems/base.py describes the interface.
"""

import functools
import os

import numpy as np

from jointpose import model, pairwise_distr, spatial_model
from jointpose.datasets import flic
from jointpose.datasets.flic import HEIGHT, JOINTS, MAP_HEIGHT, MAP_WIDTH, N_JOINTS, N_MAPS, WIDTH
from jointpose.evaluation.meter import RATE, Meter
from jointpose.evaluation.pose import pose
from jointpose.metrics.key_points import detection_rate, normalised_errors
from jointpose.nn import layers, peaks, test_time_augmentation
from jointpose.nn.tf1 import tf
from jointpose.systems.base import Network, System
from jointpose.systems.tompson import detector, options, torso_inference
from jointpose.training import batches, optimiser, towers
from jointpose.vision import affine, augmentation, heatmaps, map_images
from jointpose.vision.affine import invert
from jointpose.vision.crops import Sample, fit_to_frame

# Of the part detector's linear maps: with He's initialisation alone, the norm of the gradient is
# 42,805 in step 1.
LINEAR_SCALE = 0.003
RADIUS = 10  # of the rates in log and TensorBoard, % of ||lhip - rsho||


class Tompson(System):
    """The part detector, and with --use_sm the spatial model."""

    DATASETS = ('flic',)
    OUTPUTS = {'pd': 'part detector', 'sm': 'joint model'}
    SCORE = f'share of the heat map within {heatmaps.CONFIDENCE_RADIUS} cells of its peak'
    EXTRA_INPUTS = ('torso_map',)
    DETECTOR_OPTIONS = ('--scales', 'single')  # only shoulders and hips are used
    SCHEDULE = optimiser.SCHEDULE
    FULL_WIDTH = 64
    DEBUG_WIDTH = 16
    SHORT_TRAINING = ('--use_sm', '--width', '8', '--scales', 'single')
    TEST_OPTIONS = ('--use_sm', '--width', '2', '--scales', 'single')

    # --- options --------------------------------------------------------------------------------

    @classmethod
    def add_options(cls, parser):
        cls.add_width(parser, 'channels of the first layers')
        options.add_network(parser)
        options.add_training(parser)
        options.add_augmentation(parser)
        options.add_evaluation(parser)
        options.add_people_search(parser)
        options.add_ablations(parser)

    def check_options(self):
        options.check_options(self.options)

    def describe(self):
        return {'scales': list(self.scales), 'decode': self.options.decode}

    @property
    def input_size(self):
        return HEIGHT, WIDTH

    @property
    def n_points(self):
        return N_MAPS

    @property
    def takes_prompts(self):
        """The torso, which only the spatial model is given."""
        return self.options.use_sm

    @property
    def crops_people(self):
        return False

    @property
    def scales(self) -> tuple[float, ...]:
        """Scales of the evaluation, by --scales and --flip_average; negative: mirrored frames."""
        scales = test_time_augmentation.SCALES
        if self.options.scales == 'single':
            scales = (self.single_scale,)
        if not self.options.flip_average:
            return scales
        return scales + tuple(-scale for scale in scales)

    @property
    def single_scale(self) -> float:
        """That of the log's test rates and of --scales single: the mean of training frames."""
        return 1 / augmentation.CROP_FRACTION if self.options.data_augm else 1.0

    @property
    def n_views(self):
        return len(self.scales)

    # --- samples --------------------------------------------------------------------------------

    def prepare_split(self, split):
        """The Split with the torsos of --torso_from as tenth points.

        Views and augmentation treat these like the joints.
        """
        if self.options.torso_from == 'joints':
            return split
        return split._replace(joints=flic.torso_from_box(split.joints, split.people['torsobox']))

    def training_sample(self, image, person, rng):
        """Augmented with --data_augm."""
        if not self.options.data_augm:
            return self.test_sample(image, person)
        image, joints_xy, matrix = in_frame(image, person)
        ranges = augmentation.ranges_from_options(self.options)
        image, joints_xy, warped = augmentation.augment(image, joints_xy, flic.FLIP, rng, ranges)
        to_image = invert(affine.compose(matrix, warped))
        return Sample(image, joints_xy, flic.visibility(joints_xy), to_image)

    def test_sample(self, image, person):
        """The frame at one scale.  Rates are ratios of lengths, and do not depend on it.

        A few joints (0.2 % on FLIC) leave the frame; the multi-scale evaluation sees whole frames.
        """
        (sample,) = frames_at(image, person, (self.single_scale,))
        unzoom = invert(test_time_augmentation.view_matrix(self.single_scale, (WIDTH, HEIGHT)))
        return sample._replace(to_image=affine.compose(unzoom, sample.to_image))

    def views(self, image, person):
        """A Sample for each scale: image uint8 [480, 720, 3], joints in pixels of that view."""
        return frames_at(image, person, self.scales)

    def encode(self, joints_xy, visible):
        """Joints [n, 10, 2] -> heat maps, the map of the torso, with --loss squared also a mask.

        The heat map of a joint without a label is empty, which does not count in the cross-entropy;
        in the squared loss the mask `counts` [n, 9] leaves it out.
        """
        shape = (MAP_HEIGHT, MAP_WIDTH)
        subcell = self.options.targets == 'subcell'
        targets = {
            'heat_maps': heatmaps.render_targets(joints_xy[:, :N_JOINTS], shape, subcell),
            'torso_map': heatmaps.render_targets(joints_xy[:, N_JOINTS:], shape),
        }
        if self.options.loss == 'squared':
            targets['counts'] = (visible[:, :N_JOINTS] > 0).astype(np.float32)
        return targets

    def extra_inputs(self, joints_xy):
        """The map of the torso, for the spatial model."""
        if not self.options.use_sm:
            return {}
        torso_xy = joints_xy[:, N_JOINTS:]
        return {'torso_map': heatmaps.render_targets(torso_xy, (MAP_HEIGHT, MAP_WIDTH))}

    def target_shapes(self):
        shapes = {
            'heat_maps': (MAP_HEIGHT, MAP_WIDTH, N_JOINTS),
            'torso_map': (MAP_HEIGHT, MAP_WIDTH, 1),
        }
        if self.options.loss == 'squared':
            shapes['counts'] = (N_JOINTS,)
        return shapes

    # --- graph ----------------------------------------------------------------------------------

    def build(self, images, targets, training, portable=False, tower=0, n=None):
        """Frames uint8 [b, 480, 720, 3] -> maps float32 [b, 60, 90, 9] of one or both models.

        parts: (logits {name: [b, 60, 90, 9]}, spatial_model.SpatialModel or None).
        portable: only plain convolutions and matrix products, the same function.
        tower: in training, each drops other maps, by its number, the seed and the step alone.
        """
        conv = 'direct' if portable else self.options.conv
        drop = self.spatial_dropout(tower) if training else None
        with tf.variable_scope('part_detector'):
            detected = self.build_detector(images, training, conv, drop, n)
        maps = {'pd': detected.heat_maps}
        logits = {'pd': detected.logits}
        if self.options.loss == 'squared':  # linear maps, as in the paper; negative: no joint
            logits['pd'] = LINEAR_SCALE * detected.logits
            maps['pd'] = tf.nn.relu(logits['pd'])
        shown = {**detected.layers, 'conv6': detected.logits}
        if not self.options.use_sm:
            return Network(maps, shown, detected.statistics, (logits, None))
        with tf.variable_scope('spatial_model'):
            unary = tf.concat([maps['pd'], targets['torso_map']], axis=-1)  # [b, 60, 90, 10]
            unary, statistics = layers.batch_norm(unary, training)
            spatial = self.build_spatial_model(unary, training, conv, portable)
        maps['sm'] = layers.spatial_softmax(spatial.logits)
        logits['sm'] = spatial.logits
        shown['spatial_model'] = spatial.logits
        return Network(maps, shown, {**detected.statistics, **statistics}, (logits, spatial))

    def spatial_dropout(self, tower):
        """A function that drops maps of a tensor; None: nothing is dropped."""
        if not self.options.spatial_dropout or self.options.train_only == 'spatial':
            return None
        seed = [self.options.seed + (tower << 32), tf.train.get_or_create_global_step()]
        return functools.partial(layers.dropout, rate=self.options.spatial_dropout, seed=seed)

    def build_detector(self, images, training, conv, drop, n):
        """The part detector on frames; conv: how it convolves."""
        return model.build(
            images,
            self.options.width,
            training,
            conv,
            not self.options.no_batch_norm,
            drop,
            self.options.banks,
            self.options.train_only == 'spatial',
            tf.as_dtype(self.options.precision) if training else tf.float32,
            n,
            len(self.joints),
        )

    def build_spatial_model(self, unary, training, conv, portable):
        """The spatial model on maps [b, 60, 90, 10], the torso's last."""
        method = 'stacked' if self.options.predict else 'fft'
        return spatial_model.build(
            unary,
            'matmul' if portable else method,
            self.options.self_connections,
            self.options.unary,
            keep_spectra=not training and conv != 'direct',
        )

    def losses(self, network, targets):
        """Losses of part detector and spatial model, each the mean over the joints.

        squared (the paper's): the detector's maps are its linear outputs, those of the spatial
        model its normalised marginals.
        """
        logits = network.parts[0]
        heat_maps = targets['heat_maps']
        if self.options.loss == 'cross_entropy':
            return {name: cross_entropy(x, heat_maps) for name, x in logits.items()}
        outputs = {**network.outputs, 'pd': logits['pd']}
        return {
            name: layers.squared_distance(x, heat_maps, targets['counts'])
            for name, x in outputs.items()
        }

    def total_loss(self, losses):
        """With a spatial model, the detector's loss is an auxiliary one."""
        if self.options.train_only == 'detector':
            return losses['pd']
        if self.options.use_sm and (self.options.no_auxiliary_loss or self.options.train_only):
            return losses['sm']
        return sum(list(losses.values())[1:], losses['pd'])

    def is_trainable(self, name):
        """All variables, or with --train_only those of one part."""
        parts = {'detector': 'part_detector/', 'spatial': 'spatial_model/'}
        return name.startswith(parts.get(self.options.train_only, ''))

    def weight_decays(self):
        """Of weights and, towards uniform priors, of the spatial model's energies and biases."""
        return {
            'weights': self.options.lmbd,
            'energies': self.options.energy_decay,
            'biases': self.options.energy_decay,
        }

    def initial_values(self, people, manifest):
        """The energies of the spatial model [81, 120, 180], from the priors of pairwise_distr.py."""
        if not self.options.use_sm:
            return {}
        path = os.path.join(self.options.data, pairwise_distr.FILE)
        histograms = pairwise_distr.load(path, manifest['id'], self.options.torso_from)
        if self.options.validation or self.options.train_examples:
            # Those of the file are of all training people.
            histograms = pairwise_distr.pairwise_histograms(people.joints)
        histograms = histograms[: len(spatial_model.PAIRS_TO_JOINTS)]
        if self.options.self_connections:
            itself = pairwise_distr.smoothed_point()  # no displacement
            itself = np.repeat(itself[None], N_JOINTS, axis=0)
            histograms = np.concatenate([histograms, itself])
        energies = spatial_model.initial_energies(histograms, self.options.priors)
        return {'spatial_model/energies': energies}

    def merge_views(self, output):
        """Maps [n * S, 60, 90, 9] of S scales of a frame -> their mean in the frame [n, 60, 90, 9]."""
        return test_time_augmentation.merge_views(output, self.scales, flic.FLIP[:N_JOINTS])

    # --- results --------------------------------------------------------------------------------

    def predictor(self, session, evaluation):
        """As in System.  Without `given`, or with --infer_torso, the torso is inferred.

        The detector sees a frame once, however many of its people are target persons.
        """
        batch = evaluation.batch
        inference = evaluation.inference
        detectors = [network.outputs['pd'] for network in inference.networks]
        spatial = inference.networks[0].parts[1]
        priors = spatial and torso_inference.priors(session.run(spatial.energies))

        def run_detector(images):
            return session.run(inference.outputs['pd'], {batch.images: images})

        detect = test_time_augmentation.cached_by_frame(run_detector, self.n_views)

        def run(feed=None, given=True):
            values = session.run(batch, feed)
            torso_xy = None
            maps = towers.feed_towers(detectors, detect(values.images))
            fed = {**batches.feed(batch, values), **maps}
            if spatial and (self.options.infer_torso or not given):
                maps = session.run(evaluation.combined['pd'], fed)
                torso_xy = torso_inference.infer(maps, priors)
                torso_maps = torso_inference.torso_maps(torso_xy, self.scales)
                fed[batch.targets['torso_map']] = torso_maps
            outputs, back = session.run([evaluation.combined, evaluation.back], fed)
            return outputs, torso_xy, back

        return run

    def detector(self, session, evaluation):
        return detector.Detector(self, session, evaluation)

    def decode(self, output):
        """[n, 60, 90, 9] -> one Pose a frame, in its pixels."""
        joints_xy = heatmaps.decode(output, self.options.decode == 'subcell')
        return [[pose(xy, heatmaps.peak_confidence(maps))] for xy, maps in zip(joints_xy, output)]

    def meter(self, names, sums=None):
        """Losses, and detection rates at RADIUS."""

        def measure(outputs, facts):
            counts = (facts.visible[:, :N_JOINTS] > 0).sum(axis=0)
            return {RATE: (self.rates(outputs, facts.joints_xy), counts)}

        return Meter(JOINTS, names, measure, sums)

    def rates(self, outputs, joints_xy):
        """{name: maps [b, 60, 90, 9]}, true joints [b, 10, 2] -> {name: float64 [9]}.

        The detection rate of each joint at RADIUS, %.
        """
        truth = joints_xy[:, :N_JOINTS].astype(np.float64)
        unit = flic.normaliser(truth)
        rates = {}
        for name, maps in outputs.items():
            found = heatmaps.decode(maps, self.options.decode == 'subcell')
            rates[name] = detection_rate(normalised_errors(found, truth, unit), RADIUS)
        return rates

    def export_outputs(self, network):
        prediction = list(network.outputs.values())[-1]
        return {
            'joints': peaks.decode(prediction),
            'heat_maps': prediction,
            'part_detector_maps': network.outputs['pd'],
        }

    # --- TensorBoard ----------------------------------------------------------------------------

    def score_maps(self, targets, outputs):
        target = {'target': targets['heat_maps']} if targets else {}
        return {**target, **outputs}

    def image_summaries(self, variables):
        """The first filters, and priors and biases after softplus, as the spatial model uses them."""
        for bank in model.BANKS:
            weights = variables.get(f'conv1_{bank}/weights')
            if weights is not None:
                yield f'network/conv1_{bank}_filters', map_images.filter_grid(weights)
        yield from pair_images('priors', variables.get('spatial_model/energies', ()))
        yield from pair_images('more/biases', variables.get('spatial_model/biases', ()))


# --- frames ---------------------------------------------------------------------------------------


def in_frame(image, person):
    """A picture of any size and its person in a frame.

    Returns (image uint8 [480, 720, 3], joints_xy [10, 2] within it, the matrix [2, 3] from picture
    to frame).
    """
    image, matrix = fit_to_frame(image, (HEIGHT, WIDTH))
    joints_xy = affine.transform_points(matrix, person.joints_xy)
    return image, flic.clamp_to_frame(joints_xy), matrix


def frames_at(image, person, scales):
    """A Sample of the frame at each scale; `to_image` is from the frame, where the maps are merged."""
    image, joints_xy, matrix = in_frame(image, person)
    size = (WIDTH, HEIGHT)
    images = test_time_augmentation.scaled_images(image, scales)
    points = test_time_augmentation.scaled_points(joints_xy, size, scales, flic.FLIP)
    return [
        Sample(scaled, xy, flic.visibility(xy), invert(matrix))
        for scaled, xy in zip(images, points)
    ]


# --- loss and pictures ----------------------------------------------------------------------------


def cross_entropy(logits, targets):
    """Spatial cross-entropy, mean over joints: [b, 60, 90, 9] twice -> [b].

    - sum(target * log softmax(logits)) for any mass of the target, whose map may be cut at the border
    or empty.
    """
    height, width, k = logits.shape[1:]
    logits, targets = (tf.reshape(x, [-1, height * width, k]) for x in (logits, targets))
    mass = tf.reduce_sum(targets, axis=1)  # [b, 9]
    log_partition = tf.reduce_logsumexp(logits, axis=1)
    return tf.reduce_mean(mass * log_partition - tf.reduce_sum(targets * logits, axis=1), axis=1)


def pair_images(kind, values):
    """(tag, picture) of each pair of joints; values: [81, h, w], before softplus."""
    for (joint, condjoint), value in zip(spatial_model.PAIRS_TO_JOINTS, values):
        label = f'{flic.MAPS[joint]} given {flic.MAPS[condjoint]}'
        image = map_images.map_image(spatial_model.numpy_softplus(value), label)
        yield f'{kind}/{label.replace(" ", "_")}', image
