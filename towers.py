"""Towers: one replica of the network a device, shared variables, averaged gradients, one optimiser step.

Every sample of a batch counts once, however the batch divides: tower t of T gets samples bt/T .. b(t+1)/T, its mean
loss and its batch norm statistics enter the average with its share of the batch.  A tower left without a sample
(batch smaller than the number of towers) works on a copy of one, with weight 0.
"""
import collections

import model
import spatial_model
from joints import N_JOINTS
from tf1 import tf

CLIP_NORM = 4
SCHEDULE = ((0.7, 1), (0.8, 1 / 2), (0.9, 1 / 5), (1, 1 / 10))      # (until this share of all updates, rate factor)

# One replica: detector and spatial are model.PartDetector and spatial_model.SpatialModel (None without it);
# maps_pd, maps_sm: float32 [b, 60, 90, 9] spatial softmaxes; statistics: {moving average: this batch's value}.
Replica = collections.namedtuple('Replica', 'detector spatial maps_pd maps_sm statistics')
# Over all towers: maps as above and loss_pd, loss_sm [b], each sample's loss (mean over joints).
Inference = collections.namedtuple('Inference', 'maps_pd maps_sm loss_pd loss_sm replicas')
# One update.  step: the op.  finite: bool, whether it was applied.  loss_pd, loss_sm: means over the batch.
# gradients: [(gradient, variable)], averaged, decayed, before clipping; norm: their global norm.
Training = collections.namedtuple('Training', 'step finite loss_pd loss_sm norm rate maps_pd maps_sm gradients '
                                              'replicas')


def device_names(gpus, log=print):
    """One device string a tower; GPUs that this machine lacks become the CPU, and one line says so."""
    present = len(tf.config.experimental.list_physical_devices('GPU'))
    absent = [gpu for gpu in gpus if gpu >= present]
    if absent:
        log(f'GPU {", ".join(map(str, absent))} not found: '
            f'{len(absent)} of {len(gpus)} tower{"s" * (len(gpus) > 1)} on the CPU')
    return [f'/gpu:{gpu}' if gpu < present else '/cpu:0' for gpu in gpus]


def replica(images, torso, settings, training):
    """The whole network on one device.

    images: uint8 [b, 480, 720, 3].  torso: float32 [b, 60, 90, 1], the target person's torso map.
    """
    with tf.variable_scope('part_detector'):
        detector = model.build(images, settings.width, training, settings.conv, not settings.no_batch_norm)
    if settings.loss == 'squared':                      # linear maps, as in the paper; what is negative is no joint
        detector = detector._replace(heat_maps=tf.nn.relu(detector.logits))
    if not settings.use_sm:
        return Replica(detector, None, detector.heat_maps, detector.heat_maps, detector.statistics)
    with tf.variable_scope('spatial_model'):
        unary = tf.concat([detector.heat_maps, torso], axis=-1)                       # [b, 60, 90, 10]
        unary, statistics = model.batch_norm(unary, training)
        spatial = spatial_model.build(unary, self_connections=settings.self_connections)
    return Replica(detector, spatial, detector.heat_maps, model.spatial_softmax(spatial.logits),
                   {**detector.statistics, **statistics})


def cross_entropy(logits, targets):
    """Spatial cross-entropy, mean over joints: [b, 60, 90, 9] twice -> [b].

    - sum(target * log softmax(logits)) for any mass of the target, whose map may be cut at the border or empty.
    """
    height, width, k = logits.shape[1:]
    logits, targets = (tf.reshape(x, [-1, height * width, k]) for x in (logits, targets))
    mass = tf.reduce_sum(targets, axis=1)                                             # [b, 9]
    return tf.reduce_mean(mass * tf.reduce_logsumexp(logits, axis=1) - tf.reduce_sum(targets * logits, axis=1), axis=1)


def squared_distance(maps, targets):
    """Sum over cells, mean over joints, of the squared difference: [b, 60, 90, 9] twice -> [b]."""
    return tf.reduce_mean(tf.reduce_sum(tf.square(maps - targets), axis=[1, 2]), axis=1)


def losses(tower, targets, kind='cross_entropy'):
    """Each sample's loss ([b], [b]) of part detector and spatial model; without it, the first twice.

    'squared' (the paper's): the detector's maps are its linear outputs, the spatial model's its normalised marginals.
    """
    targets = targets[..., :N_JOINTS]
    if kind == 'squared':
        loss_pd = squared_distance(tower.detector.logits, targets)
        return loss_pd, squared_distance(tower.maps_sm, targets) if tower.spatial else loss_pd
    loss_pd = cross_entropy(tower.detector.logits, targets)
    return loss_pd, cross_entropy(tower.spatial.logits, targets) if tower.spatial else loss_pd


def split(batch, towers):
    """Deals a batch out: returns [(part of the batch, its weight float32 [], its true size int32 [])]."""
    b = tf.shape(batch.images)[0]
    parts = []
    for t in range(towers):
        first, last = b * t // towers, b * (t + 1) // towers
        begin, end = tf.minimum(first, b - 1), tf.maximum(last, tf.minimum(first, b - 1) + 1)
        part = type(batch)(*(tensor[begin:end] for tensor in batch))
        parts.append((part, tf.cast(last - first, tf.float32) / tf.cast(b, tf.float32), last - first))
    return parts


def placed(device, variables_on):
    """Device function: variables on one device, everything else on the tower's."""
    return lambda op: variables_on if op.type in ('VarHandleOp', 'VariableV2') else device


def build_towers(batch, devices, settings, training):
    """Replicas with shared variables: returns [(Replica, part of the batch, weight, size)]."""
    variables_on = devices[0] if len(devices) == 1 else '/cpu:0'
    towers = []
    for t, (device, (part, weight, size)) in enumerate(zip(devices, split(batch, len(devices)))):
        with (tf.device(placed(device, variables_on)), tf.name_scope(f'tower_{t}'),
              tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE)):
            tower = replica(part.images, part.targets[..., N_JOINTS:], settings, training)
            towers.append((tower, part, weight, size))
    return towers


def build_inference(batch, devices, settings):
    """Maps and losses by the moving averages, in the batch's order; returns an Inference."""
    with tf.name_scope('inference'):
        towers = build_towers(batch, devices, settings, training=False)
        outputs = []
        for tower, part, _, size in towers:
            loss_pd, loss_sm = losses(tower, part.targets, settings.loss)
            outputs.append([tensor[:size] for tensor in (tower.maps_pd, tower.maps_sm, loss_pd, loss_sm)])
        return Inference(*(tf.concat(parts, axis=0) for parts in zip(*outputs)), [tower for tower, *_ in towers])


def objective(loss_pd, loss_sm, settings):
    """What is minimised: the detector's loss is an auxiliary one where there is a spatial model."""
    if not settings.use_sm:
        return loss_pd
    return loss_sm if settings.no_auxiliary_loss else loss_pd + loss_sm


def build_training(batch, devices, settings, total_steps):
    """One update of all variables from one batch; returns a Training."""
    with tf.name_scope('training'):
        towers = build_towers(batch, devices, settings, training=True)
        averages, outputs = [], []
        for t, (tower, part, weight, size) in enumerate(towers):
            with tf.device(devices[t]), tf.name_scope(f'gradients_{t}'):
                loss_pd, loss_sm = map(tf.reduce_mean, losses(tower, part.targets, settings.loss))
                gradients = tf.gradients(objective(loss_pd, loss_sm, settings), tf.trainable_variables())
            averages.append([weight * x for x in (loss_pd, loss_sm, *gradients, *tower.statistics.values())])
            outputs.append((tower.maps_pd[:size], tower.maps_sm[:size]))
        loss_pd, loss_sm, *values = (tf.add_n(parts) for parts in zip(*averages))
        variables = tf.trainable_variables()
        gradients = decayed(values[:len(variables)], variables, settings.lmbd)
        moments = list(zip(towers[0][0].statistics, values[len(variables):]))
        rate = learning_rate(settings.lr, total_steps)
        step, finite, norm = update(gradients, variables, moments, rate, settings.optimizer, [loss_pd, loss_sm])
    maps_pd, maps_sm = (tf.concat(parts, axis=0) for parts in zip(*outputs))
    return Training(step, finite, loss_pd, loss_sm, norm, rate, maps_pd, maps_sm, list(zip(gradients, variables)),
                    [tower for tower, *_ in towers])


def decayed(gradients, variables, lmbd):
    """Adds the gradient of lmbd * sum of w^2 / 2 over the convolution weights (not biases, batch norm or priors)."""
    return [gradient + lmbd * variable if variable.op.name.endswith('weights') else gradient
            for gradient, variable in zip(gradients, variables)]


def learning_rate(base, total_steps):
    """base x 1, 1/2, 1/5, 1/10 from 0, 70, 80, 90 % of all updates."""
    step = tf.train.get_or_create_global_step()
    bounds = [round(share * total_steps) for share, _ in SCHEDULE[:-1]]
    return tf.train.piecewise_constant(step, [tf.constant(bound, tf.int64) - 1 for bound in bounds],
                                       [base * factor for _, factor in SCHEDULE])


def update(gradients, variables, moments, rate, optimizer, watched):
    """Clips and applies the gradients and moves the batch norm averages, if all numbers are finite.

    Otherwise nothing changes but the step and the variable `skipped`.  Returns (op, finite, global norm).
    """
    optimizer = tf.train.AdamOptimizer(rate) if optimizer == 'adam' else tf.train.MomentumOptimizer(rate, 0.9)
    clipped, norm = tf.clip_by_global_norm(gradients, CLIP_NORM)
    finite = tf.reduce_all(tf.is_finite(tf.stack([norm, *watched])))
    skipped = tf.get_variable('skipped', [], tf.int64, tf.zeros_initializer(), trainable=False)

    def apply():
        moved = [average.assign_sub((1 - model.DECAY) * (average - value)) for average, value in moments]
        with tf.control_dependencies([optimizer.apply_gradients(zip(clipped, variables)), *moved]):
            return tf.constant(True)

    def skip():
        with tf.control_dependencies([skipped.assign_add(1)]):
            return tf.constant(False)

    with tf.control_dependencies([tf.cond(finite, apply, skip)]):
        step = tf.train.get_or_create_global_step().assign_add(1)
    return step.op, finite, norm
