"""The optimiser: learning rates, weight decay, clipping, and an update that skips bad numbers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jointpose.nn import layers
from jointpose.nn.tf1 import tf

# From this fraction of all steps on, the learning rate is so many times the initial one.
SCHEDULE = (
    (0.7, 1 / 2),
    (0.8, 1 / 5),
    (0.9, 1 / 10),
)
ADAGRAD_START = 1e-4  # of its accumulators
MOMENTUM = 0.9

Gradients = list[tf.Tensor]
Variables = Sequence[tf.Variable]


class Update(NamedTuple):
    """One update of the variables."""

    step: tf.Operation
    finite: tf.Tensor  # bool: whether it was applied
    norm: tf.Tensor  # global norm of the gradients before clipping


def new_optimiser(name: str, rate: tf.Tensor) -> tf.train.Optimizer:
    """TensorFlow's optimiser of --optimizer."""
    if name == 'adam':
        return tf.train.AdamOptimizer(rate)
    if name == 'momentum':
        return tf.train.MomentumOptimizer(rate, MOMENTUM)
    return tf.train.AdagradOptimizer(rate, initial_accumulator_value=ADAGRAD_START)


def learning_rate(
    base: float,
    total_steps: int,
    schedule: str = 'steps',
    warm_up: int = 0,
    steps: Sequence[tuple[float, float]] = SCHEDULE,
) -> tf.Tensor:
    """The learning rate of the present step.

    Args:
        schedule: 'steps': base, and from each (fraction of all steps, factor) of `steps` on,
            base * factor.  'cosine': half a wave from base to 0.
        warm_up: during so many steps the rate rises linearly to what it would be.
    """
    step = tf.train.get_or_create_global_step()
    if schedule == 'cosine':
        rate = tf.train.cosine_decay(base, step, max(total_steps, 1))
    else:
        rate = tf.constant(base, tf.float32)
        for fraction, factor in sorted(steps):
            rate = tf.where(step >= round(fraction * total_steps), base * factor, rate)
    if warm_up:
        rate *= tf.minimum(1.0, tf.cast(step + 1, tf.float32) / warm_up)
    return rate


def per_variable_rates(
    gradients: Gradients,
    variables: Variables,
    multipliers: Mapping[str, tuple[float, int]],
) -> tuple[Gradients, list[float]]:
    """Applies learning rates that differ between variables.

    Args:
        multipliers: {beginning of variables' names: (factor of the learning rate, steps during
            which they do not change)}.

    Returns:
        (gradients, zero of a variable that does not change yet; each variable's factor).
    """
    step = tf.train.get_or_create_global_step()
    factors = []
    result = []
    for gradient, variable in zip(gradients, variables):
        factor, frozen_steps = _multiplier_of(variable.op.name, multipliers)
        if frozen_steps:
            gradient *= tf.cast(step >= frozen_steps, tf.float32)
        factors.append(factor)
        result.append(gradient)
    return result, factors


def _multiplier_of(name, multipliers):
    """The (factor, steps) of a variable."""
    for beginning, multiplier in multipliers.items():
        if name.startswith(beginning):
            return multiplier
    return 1, 0


def add_weight_decay(
    gradients: Gradients, variables: Variables, decays: Mapping[str, float]
) -> Gradients:
    """Adds the gradients of rate * sum of w^2 / 2.

    decays: {last part of a variable's name: rate}.
    """
    result = []
    for gradient, variable in zip(gradients, variables):
        rate = decays.get(variable.op.name.split('/')[-1], 0)
        if rate:
            # Otherwise the products are made early, and held during the whole step.
            with tf.control_dependencies([gradient]):
                gradient += rate * variable
        result.append(gradient)
    return result


def update(
    gradients: Gradients,
    variables: Variables,
    moments: Sequence[tuple[tf.Variable, tf.Tensor]],
    rate: tf.Tensor,
    optimizer: str,
    watched: Sequence[tf.Tensor],
    norm_decay: float = 0.9,
    average_decay: float = 0,
    clip_norm: float = 0,
    factors: Sequence[float] | None = None,
) -> Update:
    """Clips and applies gradients, and moves the averages of batch norm and weights.

    If a number is not finite, only the step and the variable `skipped` change.

    Args:
        moments: (moving average, this batch's value) of batch norm.
        optimizer: the value of --optimizer.
        watched: other numbers that must be finite, [].
        norm_decay: of the moving averages of batch norm.
        average_decay: of the moving averages of weights; 0: there are none.
        clip_norm: maximum of the gradients' global norm; 0: they are not clipped.
        factors: of the rate, one a variable.
    """
    norm = tf.global_norm(gradients)
    if clip_norm:
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm, norm)
    factors = factors or [1] * len(variables)
    optimisers = {
        factor: new_optimiser(optimizer, factor * rate) for factor in sorted(set(factors))
    }
    finite = tf.reduce_all(tf.is_finite(tf.stack([norm, *watched])))
    skipped = tf.get_variable('skipped', [], tf.int64, tf.zeros_initializer(), trainable=False)
    averages = new_averages() if average_decay else []

    def apply():
        moved = [
            average.assign_sub((1 - norm_decay) * (average - value)) for average, value in moments
        ]
        applied = []
        for factor, optimiser in optimisers.items():
            pairs = [
                (gradient, variable)
                for gradient, variable, own in zip(gradients, variables, factors)
                if own == factor
            ]
            applied.append(optimiser.apply_gradients(pairs))
        with tf.control_dependencies(applied):
            averaged = move_averages(averages, tf.trainable_variables(), average_decay)
        with tf.control_dependencies([*applied, *moved, *averaged]):
            return tf.constant(True)

    def skip():
        with tf.control_dependencies([skipped.assign_add(1)]):
            return tf.constant(False)

    with tf.control_dependencies([tf.cond(finite, apply, skip)]):
        step = tf.train.get_or_create_global_step().assign_add(1)
    return Update(step.op, finite, norm)


def new_averages() -> list[tf.Variable]:
    """The moving average of each trainable variable, equal to it at first."""
    return [
        tf.get_variable(
            variable.op.name + layers.AVERAGE_SUFFIX,
            initializer=variable.initial_value,
            trainable=False,
        )
        for variable in tf.trainable_variables()
    ]


def move_averages(averages: Variables, variables: Variables, decay: float) -> list[tf.Tensor]:
    """Moves exponential averages towards the variables; returns the assignments.

    Early in training they move faster, and soon forget the first values.
    """
    step = tf.cast(tf.train.get_or_create_global_step(), tf.float32)
    decay = tf.minimum((1 + step) / (10 + step), decay)
    return [
        average.assign_sub((1 - decay) * (average - variable.read_value()))
        for average, variable in zip(averages, variables)
    ]
