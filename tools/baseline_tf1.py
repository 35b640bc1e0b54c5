"""What the public reference (joint-cnn-mrf, 2018) does in a training step, written anew: tf.nn.conv2d everywhere, the
heat map as the filter of each message, messages resized, tf.map_fn for augmentation, float32 pictures and maps fed.

Runs under TensorFlow 1.15 and Python 3.7, too, hence by itself: a side of benchmark.py, which also times its pieces.
`jointpose.nn.tf1`, where it is imported first, sets TensorFlow up for both.
"""

if __name__ == '__main__':
    # Not a script: baselines.py runs it.  Said here, since the imports below may fail.
    print(__doc__)
    raise SystemExit

import numpy as np
import tensorflow.compat.v1 as tf

HEIGHT, WIDTH, STRIDE, JOINTS = 480, 720, 8, 9  # jointpose.datasets.flic's, like FLIP
FLIP = (3, 4, 5, 0, 1, 2, 7, 6, 8, 9)
FLIP_PROBABILITY, BRIGHTNESS, CONTRAST, ROTATION, CROP_FRACTION = (
    0.5,
    32,
    (0.8, 1.2),
    10,
    0.95,
)  # jointpose.vision.augmentation's
MAP = HEIGHT // STRIDE, WIDTH // STRIDE
PAIRS = [(j, v) for j in range(JOINTS) for v in range(JOINTS + 1) if v != j]


# --- augmentation -------------------------------------------------------------------------------------------------


def augment(image, maps):
    """float32 [480, 720, 3] and [60, 90, 10] in the graph: flip, brightness, contrast, rotation, crop and resize."""
    uniform = tf.random.uniform([5])
    mirrored = uniform[0] < FLIP_PROBABILITY
    image = tf.cond(mirrored, lambda: image[:, ::-1], lambda: image)
    maps = tf.cond(mirrored, lambda: tf.gather(maps[:, ::-1], FLIP, axis=2), lambda: maps)
    image = tf.image.random_brightness(image, BRIGHTNESS / 255)
    image = tf.clip_by_value(tf.image.random_contrast(image, *CONTRAST), 0, 1)
    angle = (2 * uniform[1] - 1) * ROTATION * np.pi / 180
    return warp(image, angle, uniform[2:4]), warp(maps, angle, uniform[2:4])


def warp(x, angle, corner):
    """[h, w, k] rotated around its middle, then CROP_FRACTION of its sides cut at `corner` (shares) and enlarged again."""
    h, w = x.shape.as_list()[:2]
    cos, sin, zero = tf.cos(angle), tf.sin(angle), tf.zeros([])
    matrix = tf.stack(
        [
            cos,
            -sin,
            (w - 1 - (cos * (w - 1) - sin * (h - 1))) / 2,
            sin,
            cos,
            (h - 1 - (sin * (w - 1) + cos * (h - 1))) / 2,
            zero,
            zero,
        ]
    )
    x = projected(x[None], matrix[None])
    size = [int(CROP_FRACTION * h), int(CROP_FRACTION * w)]
    top, left = (
        tf.cast(corner[i] * (full - cut + 1), tf.int32)
        for i, (full, cut) in enumerate(zip((h, w), size))
    )
    return tf.image.resize_images(tf.slice(x, [0, top, left, 0], [1, *size, -1]), [h, w])[0]


def projected(images, matrices):
    if tf.__version__.startswith('1.'):
        from tensorflow.contrib import image

        return image.transform(images, matrices, 'BILINEAR')
    return tf.raw_ops.ImageProjectiveTransformV2(
        images=images, transforms=matrices, interpolation='BILINEAR', output_shape=images.shape[1:3]
    )


# --- part detector ------------------------------------------------------------------------------------------------


def convolution(x, name, size, channels, stride=1):
    with tf.variable_scope(name):
        shape = [size, size, x.shape.as_list()[3], channels]
        weights = tf.get_variable('weights', shape, initializer=tf.variance_scaling_initializer(2))
        bias = tf.get_variable('bias', [channels], initializer=tf.zeros_initializer())
    return tf.nn.conv2d(x, weights, strides=[1, stride, stride, 1], padding='SAME') + bias


def layer(x, name, *details):
    """Convolution, ReLU, batch norm by the batch's statistics."""
    x = tf.nn.relu(convolution(x, name, *details))
    with tf.variable_scope(name):
        scale, offset = (
            tf.get_variable(part, x.shape[3:], initializer=tf.constant_initializer(value))
            for part, value in (('scale', 1), ('offset', 0))
        )
    return tf.nn.fused_batch_norm(x, scale, offset, epsilon=1e-3)[0]


def part_detector(image, width):
    """[n, 480, 720, 3] in 0..1 -> logits [n, 60, 90, 9]."""
    maps = []
    for bank in range(3):
        x = tf.nn.max_pool2d(layer(image, f'conv1_{bank}', 5, width, 2), 2, 2, 'SAME')
        x = tf.nn.max_pool2d(layer(x, f'conv2_{bank}', 5, 2 * width), 2, 2, 'SAME')
        x = layer(layer(x, f'conv3_{bank}', 5, 4 * width), f'conv4_{bank}', 9, 8 * width)
        maps.append(tf.image.resize_images(x, MAP))
        image = tf.image.resize_images(image, [side // 2 for side in image.shape.as_list()[1:3]])
    return convolution(layer(tf.add_n(maps) / 3, 'conv5', 9, 8 * width), 'conv6', 9, JOINTS)


# --- spatial model ------------------------------------------------------------------------------------------------


def softplus(x):
    return tf.nn.softplus(5 * x) / 5


def message(energies, heat_map):
    """One pair: prior [2h, 2w] as the image, heat map [n, h, w] turned round as the filter -> [n, h+1, w+1]."""
    image = softplus(energies)[None, :, :, None]  # [1, 2h, 2w, 1]
    filters = tf.transpose(tf.reverse(heat_map, [1, 2]), [1, 2, 0])[:, :, None]  # [h, w, 1, n]
    return tf.transpose(
        tf.nn.conv2d(image, filters, strides=[1, 1, 1, 1], padding='VALID')[0], [2, 0, 1]
    )


def spatial_model(heat_maps, energies, biases, joints=range(JOINTS)):
    """[n, h, w, 10] -> logits [len(joints), n, h, w]; energies and biases of all PAIRS."""
    h, w = heat_maps.shape.as_list()[1:3]
    positive, logits = softplus(heat_maps), []
    for joint in joints:
        terms = [tf.log(positive[..., joint] + 1e-6)]
        for pair, (to, v) in enumerate(PAIRS):
            if to == joint:
                received = message(energies[pair], positive[..., v])  # [n, h+1, w+1]
                received = tf.image.resize_images(received[..., None], [h, w])[..., 0]
                terms.append(tf.log(received + softplus(biases[pair]) + 1e-6))
        logits.append(tf.add_n(terms))
    return tf.stack(logits)


# --- the step -----------------------------------------------------------------------------------------------------


def cross_entropy(logits, targets):
    """[n, cells, 9] twice -> []."""
    return -tf.reduce_mean(tf.reduce_sum(targets * tf.nn.log_softmax(logits, axis=1), axis=1))


def training_step(width, batch_size):
    """A function that makes one update of both models, augmentation included, on random frames."""
    rng, cells = np.random.default_rng(0), MAP[0] * MAP[1]
    values = [
        rng.random((batch_size, HEIGHT, WIDTH, 3), np.float32),
        rng.random((batch_size, *MAP, 10), np.float32),
    ]
    places = [tf.placeholder(tf.float32, x.shape) for x in values]
    images, maps = tf.map_fn(lambda sample: augment(*sample), tuple(places))
    images, maps = (tf.reshape(x, place.shape) for x, place in zip((images, maps), places))
    targets = tf.reshape(maps[..., :JOINTS], [batch_size, cells, JOINTS])
    logits = tf.reshape(part_detector(images, width), [batch_size, cells, JOINTS])
    found = tf.reshape(tf.nn.softmax(logits, axis=1), [batch_size, *MAP, JOINTS])
    with tf.variable_scope('input'):
        unary = tf.nn.fused_batch_norm(
            tf.concat([found, maps[..., JOINTS:]], axis=-1),
            tf.ones([10]),
            tf.zeros([10]),
            epsilon=1e-3,
        )[0]
    energies = tf.get_variable(
        'energies', [len(PAIRS), 2 * MAP[0], 2 * MAP[1]], initializer=tf.zeros_initializer()
    )
    biases = tf.get_variable('biases', [len(PAIRS), *MAP], initializer=tf.zeros_initializer())
    joint = tf.transpose(spatial_model(unary, energies, biases), [1, 2, 3, 0])
    loss = cross_entropy(logits, targets) + cross_entropy(
        tf.reshape(joint, [batch_size, cells, JOINTS]), targets
    )
    decay = [tf.nn.l2_loss(x) for x in tf.trainable_variables() if x.op.name.endswith('weights')]
    gradients, variables = zip(
        *tf.train.AdamOptimizer(1e-3).compute_gradients(loss + 1e-3 * tf.add_n(decay))
    )
    update = tf.train.AdamOptimizer(1e-3).apply_gradients(
        zip(tf.clip_by_global_norm(gradients, 4)[0], variables)
    )
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return lambda: session.run([update, loss], dict(zip(places, values)))[1]
