"""The public reference's training step (joint-cnn-mrf, 2018), written anew; a baseline of tools.benchmark.

tf.nn.conv2d everywhere, the heat map as the filter of each message, messages resized, tf.map_fn
for augmentation, float32 pictures and maps fed.

Runs under TensorFlow 1.15 and Python 3.7, too, hence it imports nothing of the project;
tools.benchmark also times its pieces.  `jointpose.nn.tf1`, where it is imported first, sets TensorFlow
up for both.
"""

if __name__ == '__main__':
    # Not a script: baselines.py runs it.  Said here, since the imports below may fail.
    print(__doc__)
    raise SystemExit

import numpy as np
import tensorflow.compat.v1 as tf

# Those of jointpose.datasets.flic.
HEIGHT = 480
WIDTH = 720
JOINTS = 9
FLIP = (3, 4, 5, 0, 1, 2, 7, 6, 8, 9)
# Those of jointpose.vision.
STRIDE = 8
FLIP_PROBABILITY = 0.5
BRIGHTNESS = 32
CONTRAST = (0.8, 1.2)
ROTATION = 10
CROP_FRACTION = 0.95

MAP = (HEIGHT // STRIDE, WIDTH // STRIDE)
PAIRS = [(j, v) for j in range(JOINTS) for v in range(JOINTS + 1) if v != j]
EPSILON = 1e-6
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-3
CLIP_NORM = 4


# --- augmentation -------------------------------------------------------------------------------------------------


def augment(image, maps):
    """Flip, brightness, contrast, rotation, crop and resize of a frame, in the graph.

    image: float32 [480, 720, 3] in 0..1; maps: [60, 90, 10].
    """
    uniform = tf.random.uniform([5])
    mirrored = uniform[0] < FLIP_PROBABILITY
    image = tf.cond(mirrored, lambda: image[:, ::-1], lambda: image)
    maps = tf.cond(mirrored, lambda: tf.gather(maps[:, ::-1], FLIP, axis=2), lambda: maps)
    image = tf.image.random_brightness(image, BRIGHTNESS / 255)
    image = tf.image.random_contrast(image, *CONTRAST)
    image = tf.clip_by_value(image, 0, 1)
    angle = (2 * uniform[1] - 1) * ROTATION * np.pi / 180
    corner = uniform[2:4]
    return warp(image, angle, corner), warp(maps, angle, corner)


def warp(x, angle, corner):
    """[h, w, k] rotated about its middle, then cropped and enlarged again.

    corner: where the crop of CROP_FRACTION of the sides begins, as fractions of what is left.
    """
    h, w = x.shape.as_list()[:2]
    x = projected(x[None], rotation(angle, h, w)[None])
    size = [int(CROP_FRACTION * h), int(CROP_FRACTION * w)]
    top = tf.cast(corner[0] * (h - size[0] + 1), tf.int32)
    left = tf.cast(corner[1] * (w - size[1] + 1), tf.int32)
    crop = tf.slice(x, [0, top, left, 0], [1, *size, -1])
    return tf.image.resize_images(crop, [h, w])[0]


def rotation(angle, h, w):
    """The eight numbers of a projective transform that rotates about the middle, [8]."""
    cos = tf.cos(angle)
    sin = tf.sin(angle)
    zero = tf.zeros([])
    shift_x = (w - 1 - (cos * (w - 1) - sin * (h - 1))) / 2
    shift_y = (h - 1 - (sin * (w - 1) + cos * (h - 1))) / 2
    return tf.stack([cos, -sin, shift_x, sin, cos, shift_y, zero, zero])


def projected(images, matrices):
    """Images [n, h, w, k] by projective transforms [n, 8], bilinear."""
    if tf.__version__.startswith('1.'):
        from tensorflow.contrib import image

        return image.transform(images, matrices, 'BILINEAR')
    return tf.raw_ops.ImageProjectiveTransformV2(
        images=images, transforms=matrices, interpolation='BILINEAR', output_shape=images.shape[1:3]
    )


# --- part detector ------------------------------------------------------------------------------------------------


def convolution(x, name, size, channels, stride=1):
    """A convolution with bias."""
    with tf.variable_scope(name):
        shape = [size, size, x.shape.as_list()[3], channels]
        initializer = tf.variance_scaling_initializer(2)
        weights = tf.get_variable('weights', shape, initializer=initializer)
        bias = tf.get_variable('bias', [channels], initializer=tf.zeros_initializer())
    strides = [1, stride, stride, 1]
    return tf.nn.conv2d(x, weights, strides=strides, padding='SAME') + bias


def layer(x, name, *details):
    """Convolution, ReLU, batch norm by the batch's statistics."""
    x = tf.nn.relu(convolution(x, name, *details))
    with tf.variable_scope(name):
        scale = tf.get_variable('scale', x.shape[3:], initializer=tf.ones_initializer())
        offset = tf.get_variable('offset', x.shape[3:], initializer=tf.zeros_initializer())
    return tf.nn.fused_batch_norm(x, scale, offset, epsilon=1e-3)[0]


def part_detector(image, width):
    """[n, 480, 720, 3] in 0..1 -> logits [n, 60, 90, 9]."""
    maps = []
    for bank in range(3):
        x = layer(image, f'conv1_{bank}', 5, width, 2)
        x = tf.nn.max_pool2d(x, 2, 2, 'SAME')
        x = layer(x, f'conv2_{bank}', 5, 2 * width)
        x = tf.nn.max_pool2d(x, 2, 2, 'SAME')
        x = layer(x, f'conv3_{bank}', 5, 4 * width)
        x = layer(x, f'conv4_{bank}', 9, 8 * width)
        maps.append(tf.image.resize_images(x, MAP))
        half = [side // 2 for side in image.shape.as_list()[1:3]]
        image = tf.image.resize_images(image, half)
    x = layer(tf.add_n(maps) / 3, 'conv5', 9, 8 * width)
    return convolution(x, 'conv6', 9, JOINTS)


# --- spatial model ------------------------------------------------------------------------------------------------


def softplus(x):
    """The softplus of sharpness 5."""
    return tf.nn.softplus(5 * x) / 5


def message(energies, heat_map):
    """One pair: prior [2h, 2w] as the image, heat map [n, h, w] as the filter -> [n, h+1, w+1]."""
    image = softplus(energies)[None, :, :, None]  # [1, 2h, 2w, 1]
    reversed_map = tf.reverse(heat_map, [1, 2])
    filters = tf.transpose(reversed_map, [1, 2, 0])[:, :, None]  # [h, w, 1, n]
    received = tf.nn.conv2d(image, filters, strides=[1, 1, 1, 1], padding='VALID')
    return tf.transpose(received[0], [2, 0, 1])


def spatial_model(heat_maps, energies, biases, joints=range(JOINTS)):
    """[n, h, w, 10] -> logits [len(joints), n, h, w]; energies and biases of all PAIRS."""
    h, w = heat_maps.shape.as_list()[1:3]
    positive = softplus(heat_maps)
    logits = []
    for joint in joints:
        terms = [tf.log(positive[..., joint] + EPSILON)]
        for pair, (to, v) in enumerate(PAIRS):
            if to == joint:
                received = message(energies[pair], positive[..., v])  # [n, h+1, w+1]
                received = tf.image.resize_images(received[..., None], [h, w])[..., 0]
                terms.append(tf.log(received + softplus(biases[pair]) + EPSILON))
        logits.append(tf.add_n(terms))
    return tf.stack(logits)


# --- the step -----------------------------------------------------------------------------------------------------


def cross_entropy(logits, targets):
    """[n, cells, 9] twice -> []."""
    return -tf.reduce_mean(tf.reduce_sum(targets * tf.nn.log_softmax(logits, axis=1), axis=1))


def training_step(width, batch_size):
    """A function that makes one update of both models, augmentation included, on random frames."""
    rng = np.random.default_rng(0)
    values = [
        rng.random((batch_size, HEIGHT, WIDTH, 3), np.float32),
        rng.random((batch_size, *MAP, JOINTS + 1), np.float32),
    ]
    places = [tf.placeholder(tf.float32, x.shape) for x in values]
    images, maps = tf.map_fn(lambda sample: augment(*sample), tuple(places))
    images = tf.reshape(images, places[0].shape)
    maps = tf.reshape(maps, places[1].shape)
    loss = total_loss(images, maps, width)
    update = update_of(loss)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    feed = dict(zip(places, values))
    return lambda: session.run([update, loss], feed)[1]


def total_loss(images, maps, width):
    """The sum of both models' cross-entropies and the weight decay, [].

    images: [n, 480, 720, 3]; maps: [n, 60, 90, 10], the true joints' and the torso's.
    """
    n = images.shape.as_list()[0]
    flat = [n, MAP[0] * MAP[1], JOINTS]
    targets = tf.reshape(maps[..., :JOINTS], flat)
    logits = tf.reshape(part_detector(images, width), flat)
    found = tf.reshape(tf.nn.softmax(logits, axis=1), [n, *MAP, JOINTS])
    joint_logits = joint_model(found, maps[..., JOINTS:])
    loss = cross_entropy(logits, targets)
    loss += cross_entropy(tf.reshape(joint_logits, flat), targets)
    variables = tf.trainable_variables()
    decayed = [tf.nn.l2_loss(x) for x in variables if x.op.name.endswith('weights')]
    return loss + WEIGHT_DECAY * tf.add_n(decayed)


def joint_model(heat_maps, torso_map):
    """[n, 60, 90, 9] and [n, 60, 90, 1] -> logits [n, 60, 90, 9]."""
    maps = tf.concat([heat_maps, torso_map], axis=-1)
    k = JOINTS + 1
    with tf.variable_scope('input'):
        unary = tf.nn.fused_batch_norm(maps, tf.ones([k]), tf.zeros([k]), epsilon=1e-3)[0]
    zeros = tf.zeros_initializer()
    shape = [len(PAIRS), 2 * MAP[0], 2 * MAP[1]]
    energies = tf.get_variable('energies', shape, initializer=zeros)
    biases = tf.get_variable('biases', [len(PAIRS), *MAP], initializer=zeros)
    return tf.transpose(spatial_model(unary, energies, biases), [1, 2, 3, 0])


def update_of(loss):
    """The operation that makes one step of Adam, its gradients clipped."""
    pairs = tf.train.AdamOptimizer(LEARNING_RATE).compute_gradients(loss)
    gradients, variables = zip(*pairs)
    clipped, _ = tf.clip_by_global_norm(gradients, CLIP_NORM)
    return tf.train.AdamOptimizer(LEARNING_RATE).apply_gradients(zip(clipped, variables))
