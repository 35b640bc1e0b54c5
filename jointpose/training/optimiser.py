"""The optimiser: learning rates, weight decay, clipping, and an update that is skipped if numbers are not finite."""

from jointpose.nn import layers
from jointpose.nn.tf1 import tf

SCHEDULE = (
    (0.7, 1 / 2),
    (0.8, 1 / 5),
    (0.9, 1 / 10),
)  # (from this share of all updates on, rate factor)
OPTIMISERS = {
    'adam': tf.train.AdamOptimizer,
    'momentum': lambda rate: tf.train.MomentumOptimizer(rate, 0.9),
    'adagrad': lambda rate: tf.train.AdagradOptimizer(rate, initial_accumulator_value=1e-4),
}


def learning_rate(base, total_steps, schedule='steps', warm_up=0, steps=SCHEDULE):
    """'steps': base, from each (share of all updates, factor) of `steps` on base x factor.  'cosine': half a wave from
    base to 0.

    warm_up: during so many updates the rate rises linearly to what it would be.
    """
    step = tf.train.get_or_create_global_step()
    if schedule == 'cosine':
        rate = tf.train.cosine_decay(base, step, max(total_steps, 1))
    else:
        rate = tf.constant(base, tf.float32)
        for share, factor in sorted(steps):
            rate = tf.where(step >= round(share * total_steps), base * factor, rate)
    return rate * tf.minimum(1.0, tf.cast(step + 1, tf.float32) / warm_up) if warm_up else rate


def per_variable_rates(gradients, variables, rates):
    """rates: {beginning of variables' names: (factor of the learning rate, how many updates they stay as they are)}.

    Returns (gradients, zero of what stays; each variable's factor).
    """
    step, own = tf.train.get_or_create_global_step(), []
    for variable in variables:
        own.append(
            next(
                (rate for start, rate in rates.items() if variable.op.name.startswith(start)),
                (1, 0),
            )
        )
    return [
        gradient * tf.cast(step >= still, tf.float32) if still else gradient
        for gradient, (_, still) in zip(gradients, own)
    ], [factor for factor, _ in own]


def add_weight_decay(gradients, variables, decays):
    """Adds the gradients of rate * sum of w^2 / 2, decays: {last part of a variable's name: rate}."""
    result = []
    for gradient, variable in zip(gradients, variables):
        if rate := decays.get(variable.op.name.split('/')[-1], 0):
            with tf.control_dependencies(
                [gradient]
            ):  # or the products are there, and held, all through the step
                gradient += rate * variable
        result.append(gradient)
    return result


def update(
    gradients,
    variables,
    moments,
    rate,
    optimizer,
    watched,
    norm_decay=0.9,
    average_decay=0,
    most=0,
    factors=None,
):
    """Clips and applies the gradients and moves the averages of batch norm and weights, if all numbers are finite;
    else nothing changes but the step and the variable `skipped`.  Returns (op, finite, global norm).

    most: the gradients' global norm after clipping; 0: they are not clipped.  factors: of the rate, one a variable.
    """
    norm = tf.global_norm(gradients)
    clipped = tf.clip_by_global_norm(gradients, most, norm)[0] if most else gradients
    factors = factors or [1] * len(variables)
    optimisers = {factor: OPTIMISERS[optimizer](factor * rate) for factor in sorted(set(factors))}
    finite = tf.reduce_all(tf.is_finite(tf.stack([norm, *watched])))
    skipped = tf.get_variable('skipped', [], tf.int64, tf.zeros_initializer(), trainable=False)
    averages = [
        tf.get_variable(
            variable.op.name + layers.AVERAGE_SUFFIX,
            initializer=variable.initial_value,
            trainable=False,
        )
        for variable in tf.trainable_variables()
        if average_decay
    ]

    def apply():
        moved = [
            average.assign_sub((1 - norm_decay) * (average - value)) for average, value in moments
        ]
        applied = [
            optimiser.apply_gradients(
                [
                    (gradient, variable)
                    for gradient, variable, own in zip(clipped, variables, factors)
                    if own == factor
                ]
            )
            for factor, optimiser in optimisers.items()
        ]
        with tf.control_dependencies(applied):
            averaged = move_averages(averages, tf.trainable_variables(), average_decay)
        with tf.control_dependencies([*applied, *moved, *averaged]):
            return tf.constant(True)

    def skip():
        with tf.control_dependencies([skipped.assign_add(1)]):
            return tf.constant(False)

    with tf.control_dependencies([tf.cond(finite, apply, skip)]):
        step = tf.train.get_or_create_global_step().assign_add(1)
    return step.op, finite, norm


def move_averages(averages, variables, decay):
    """Exponential moving averages of the variables, which soon forget how these began; returns the assignments."""
    step = tf.cast(tf.train.get_or_create_global_step(), tf.float32)
    decay = tf.minimum((1 + step) / (10 + step), decay)
    return [
        average.assign_sub((1 - decay) * (average - variable.read_value()))
        for average, variable in zip(averages, variables)
    ]
