"""Tompson, Jain, LeCun and Bregler, NIPS 2014: part detector and spatial model, trained jointly.

    frame -> part detector (model.py) -> k heat maps `pd`
    + map of the anchor, batch norm -> spatial model (spatial_model.py) -> k heat maps `sm`

FLIC's k = 9 joints are found in whole pictures, and the anchor, the torso, says which person is the
target; elsewhere a square is cropped around the person's box (datasets/person_frames.py).  Each map
is a distribution over the h x w cells, FLIC's 60 x 90.  The loss is the cross-entropy with targets of 3x3
cells, for both models, the detector's as an auxiliary loss.  The evaluation averages the maps of
eight scales of a frame (nn/test_time_augmentation.py); a joint is the peak of its mean map.  FLIC's
torso is annotated, given as a point prompt, or inferred (torso_inference.py).  systems/base.py
describes the interface.
"""

import functools
import os
from argparse import Namespace

import numpy as np

from jointpose import datasets, model, pairwise_distr, spatial_model
from jointpose.datasets.person_frames import PersonFrame
from jointpose.evaluation.pose import pose
from jointpose.nn import layers, peaks, test_time_augmentation
from jointpose.nn.tf1 import tf
from jointpose.systems.base import Network, System
from jointpose.systems.tompson import detector, energies_by_name, options, torso_inference
from jointpose.training import batches, optimiser, towers
from jointpose.vision import affine, augmentation, heatmaps, map_images
from jointpose.vision.affine import invert
from jointpose.vision.crops import Sample, visibility

# Of the part detector's linear maps: with He's initialisation alone, the norm of the gradient is
# 42,805 in step 1.
LINEAR_SCALE = 0.003
ENERGIES = 'spatial_model/energies'


class Tompson(System):
    """The part detector, and with --use_sm the spatial model."""

    DATASETS = ('flic', 'lsp', 'mpii', 'coco', 'own')
    OUTPUTS = {'pd': 'part detector', 'sm': 'joint model'}
    SCORE = f'share of the heat map within {heatmaps.CONFIDENCE_RADIUS} cells of its peak'
    EXTRA_INPUTS = ('torso_map',)
    DETECTOR_OPTIONS = ('--scales', 'single')  # only shoulders and hips are used
    SCHEDULE = optimiser.SCHEDULE
    FULL_WIDTH = 64
    DEBUG_WIDTH = 16
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

    @classmethod
    def dataset_defaults(cls, dataset):
        return {'torso_from': datasets.load(dataset).anchor_sources[0]}

    def check_options(self):
        options.check_options(self.options)
        options.check_anchor(self.options, self.frame)

    def describe(self):
        return {'scales': list(self.scales), 'decode': self.options.decode}

    @functools.cached_property
    def frame(self) -> PersonFrame:
        """How the people of --dataset are seen, with the anchor of --torso_from."""
        return PersonFrame(self.dataset, self.options.torso_from)

    @property
    def input_size(self):
        return self.frame.size

    @property
    def n_sample_points(self):
        """The joints, and the anchor if there is one."""
        return len(self.frame.map_names)

    @property
    def takes_prompts(self):
        """A torso in a picture of several people, which only the spatial model is given."""
        return self.options.use_sm and self.frame.is_picture and self.frame.has_torso

    @property
    def exported_inputs(self):
        """The map of a torso; the centre of a box is always in the middle of its square."""
        return self.EXTRA_INPUTS if self.options.use_sm and self.frame.has_torso else ()

    @property
    def crops_people(self):
        return not self.frame.is_picture

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
        """The Split with the torsos of --torso_from."""
        return self.frame.prepare(split)

    def training_sample(self, image, person, rng):
        """Augmented with --data_augm."""
        if not self.options.data_augm:
            return self.test_sample(image, person)
        image, points_xy, matrix = self.frame.cut(image, person)
        ranges = augmentation.ranges_from_options(self.options)
        image, points_xy, warped = augmentation.augment(
            image, points_xy, self.frame.flip, rng, ranges
        )
        to_image = invert(affine.compose(matrix, warped))
        return Sample(image, points_xy, visibility(points_xy), to_image)

    def test_sample(self, image, person):
        """The frame at one scale.  Rates are ratios of lengths, and do not depend on it.

        A few joints (0.2 % on FLIC) leave the frame; the multi-scale evaluation sees whole frames.
        """
        (sample,) = self.frames_at(image, person, (self.single_scale,))
        size = self.input_size[::-1]
        unzoom = invert(test_time_augmentation.view_matrix(self.single_scale, size))
        return sample._replace(to_image=affine.compose(unzoom, sample.to_image))

    def views(self, image, person):
        """A Sample for each scale: image uint8 of input_size, points in pixels of that view."""
        return self.frames_at(image, person, self.scales)

    def frames_at(self, image, person, scales):
        """A Sample of the frame at each scale; `to_image` is from the frame, where maps are merged."""
        image, points_xy, matrix = self.frame.cut(image, person)
        size = self.input_size[::-1]
        images = test_time_augmentation.scaled_images(image, scales)
        points = test_time_augmentation.scaled_points(points_xy, size, scales, self.frame.flip)
        return [
            Sample(scaled, xy, visibility(xy), invert(matrix)) for scaled, xy in zip(images, points)
        ]

    def encode(self, joints_xy, visible):
        """Points [n, m, 2] -> heat maps, the map of the anchor, with --loss squared also a mask.

        The heat map of a joint without a label is empty, which does not count in the cross-entropy;
        in the squared loss the mask `counts` [n, k] leaves it out.
        """
        k = len(self.joints)
        shape = self.frame.map_size
        subcell = self.options.targets == 'subcell'
        targets = {
            'heat_maps': heatmaps.render_targets(joints_xy[:, :k], shape, subcell),
            'torso_map': heatmaps.render_targets(joints_xy[:, k:], shape),
        }
        if self.options.loss == 'squared':
            targets['counts'] = (visible[:, :k] > 0).astype(np.float32)
        return targets

    def extra_inputs(self, joints_xy):
        """The map of the anchor, for the spatial model; [n, h, w, 0] without an anchor."""
        if not self.options.use_sm:
            return {}
        anchors_xy = joints_xy[:, len(self.joints) :]
        return {'torso_map': heatmaps.render_targets(anchors_xy, self.frame.map_size)}

    def target_shapes(self):
        k = len(self.joints)
        shapes = {
            'heat_maps': (*self.frame.map_size, k),
            'torso_map': (*self.frame.map_size, self.n_sample_points - k),
        }
        if self.options.loss == 'squared':
            shapes['counts'] = (k,)
        return shapes

    # --- graph ----------------------------------------------------------------------------------

    def build(self, images, targets, training, portable=False, tower=0, n=None):
        """Frames uint8 of input_size -> maps float32 [b, h, w, k] of one or both models.

        parts: (logits {name: [b, h, w, k]}, spatial_model.SpatialModel or None).
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
            anchor_map = targets.get('torso_map')
            if anchor_map is None:  # of an exported network
                anchor_map = self.central_map(maps['pd'])
            unary = tf.concat([maps['pd'], anchor_map], axis=-1)  # [b, h, w, m]
            unary, statistics = layers.batch_norm(unary, training)
            spatial = self.build_spatial_model(unary, training, conv, portable)
        maps['sm'] = layers.spatial_softmax(spatial.logits)
        logits['sm'] = spatial.logits
        shown['spatial_model'] = spatial.logits
        return Network(maps, shown, {**detected.statistics, **statistics}, (logits, spatial))

    def central_map(self, maps):
        """The map of an anchor in the middle of the frame, for all maps [b, h, w, k]; [b, h, w, 0]: no anchor."""
        height, width = self.frame.size
        n_anchors = self.n_sample_points - len(self.joints)
        centre_xy = np.tile(np.array([[[width / 2, height / 2]]]), (1, n_anchors, 1))
        drawn = heatmaps.render_targets(centre_xy, self.frame.map_size)  # [1, h, w, 0 or 1]
        return tf.zeros_like(maps[..., :n_anchors]) + drawn

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
        """The spatial model on maps [b, h, w, m], the anchor's last."""
        method = 'stacked' if self.options.predict else 'fft'
        return spatial_model.build(
            unary,
            'matmul' if portable else method,
            self.options.self_connections,
            self.options.unary,
            keep_spectra=not training and conv != 'direct',
            n_joints=len(self.joints),
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
        """The energies of the spatial model, from the priors of pairwise_distr.py: FLIC's [81, 120, 180]."""
        if not self.options.use_sm:
            return {}
        path = os.path.join(self.options.data, pairwise_distr.FILE)
        histograms = pairwise_distr.load(path, manifest['id'], self.frame)
        map_size = self.frame.map_size
        if self.options.validation or self.options.train_examples:
            # Those of the file are of all training people.
            points_xy = self.frame.points_of_split(people)
            histograms = pairwise_distr.pairwise_histograms(points_xy, map_size)
        histograms = histograms[: len(self.pairs)]  # the others lead to the anchor, which is given
        if self.options.self_connections:
            itself = pairwise_distr.smoothed_point(map_size)  # no displacement
            itself = np.repeat(itself[None], len(self.joints), axis=0)
            histograms = np.concatenate([histograms, itself])
        energies = spatial_model.initial_energies(histograms, self.options.priors)
        return {ENERGIES: energies}

    def adapt_weights(self, weights, settings, initial_values):
        """From another skeleton, the priors of pairs of joints that have the same names in both."""
        data_set = datasets.of_options(Namespace(**{'dataset': 'flic', **settings}))
        former = PersonFrame(data_set, settings.get('torso_from'))
        same_maps = former.map_names == self.frame.map_names
        energies = weights.get(ENERGIES)
        if energies is None or (same_maps and former.map_size == self.frame.map_size):
            return weights
        if ENERGIES not in initial_values:  # without a spatial model
            return weights
        own = initial_values[ENERGIES]
        adapted = energies_by_name.transfer(own, self.frame, energies, former)
        return {**weights, ENERGIES: adapted}

    @property
    def pairs(self) -> spatial_model.Pairs:
        """The pairs (joint, other map) of the spatial model's priors."""
        return spatial_model.pairs_to(len(self.joints), self.n_sample_points)

    def merge_views(self, output):
        """Maps [n * S, h, w, k] of S scales of a frame -> their mean in the frame [n, h, w, k]."""
        return test_time_augmentation.merge_views(output, self.scales, self.flip)

    # --- results --------------------------------------------------------------------------------

    def predictor(self, session, evaluation):
        """As in System.  Without `given`, or with --infer_torso, the torso is inferred.

        The detector sees a frame once, however many of its people are target persons.
        """
        batch = evaluation.batch
        inference = evaluation.inference
        detectors = [network.outputs['pd'] for network in inference.networks]
        spatial = inference.networks[0].parts[1]
        priors = None
        if spatial and self.frame.has_torso:
            priors = torso_inference.priors(session.run(spatial.energies), self.dataset)

        def run_detector(images):
            return session.run(inference.outputs['pd'], {batch.images: images})

        detect = test_time_augmentation.cached_by_frame(run_detector, self.n_views)

        def run(feed=None, given=True):
            values = session.run(batch, feed)
            torso_xy = None
            maps = towers.feed_towers(detectors, detect(values.images))
            fed = {**batches.feed(batch, values), **maps}
            if priors and (self.options.infer_torso or not given):
                maps = session.run(evaluation.combined['pd'], fed)
                torso_xy = torso_inference.infer(maps, priors)
                torso_maps = torso_inference.torso_maps(torso_xy, self.scales, self.frame)
                fed[batch.targets['torso_map']] = torso_maps
            outputs, back = session.run([evaluation.combined, evaluation.back], fed)
            return outputs, torso_xy, back

        return run

    def detector(self, session, evaluation):
        return detector.Detector(self, session, evaluation)

    def decode(self, output):
        """[n, h, w, k] -> one Pose a frame, in its pixels."""
        joints_xy = self.locate(output)
        return [[pose(xy, heatmaps.peak_confidence(maps))] for xy, maps in zip(joints_xy, output)]

    def locate(self, output):
        """[n, h, w, k] -> joints float32 [n, k, 2]: `decode` without the scores, which take longer."""
        return heatmaps.decode(output, self.options.decode == 'subcell')

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
        yield from self.pair_images('priors', variables.get(ENERGIES, ()))
        yield from self.pair_images('more/biases', variables.get('spatial_model/biases', ()))

    def pair_images(self, kind, values):
        """(tag, picture) of each pair of maps; values: [pairs, h, w], before softplus."""
        names = self.frame.map_names
        for (joint, condjoint), value in zip(self.pairs, values):
            label = f'{names[joint]} given {names[condjoint]}'
            image = map_images.map_image(spatial_model.numpy_softplus(value), label)
            yield f'{kind}/{label.replace(" ", "_")}', image


# --- loss -----------------------------------------------------------------------------------------


def cross_entropy(logits, targets):
    """Spatial cross-entropy, mean over joints: [b, h, w, k] twice -> [b].

    - sum(target * log softmax(logits)) for any mass of the target, whose map may be cut at the border
    or empty.
    """
    height, width, k = logits.shape[1:]
    logits, targets = (tf.reshape(x, [-1, height * width, k]) for x in (logits, targets))
    mass = tf.reduce_sum(targets, axis=1)  # [b, k]
    log_partition = tf.reduce_logsumexp(logits, axis=1)
    return tf.reduce_mean(mass * log_partition - tf.reduce_sum(targets * logits, axis=1), axis=1)
