"""Towers: one replica of the network a device, shared variables, averaged gradients, one optimiser step.

Every sample of a batch counts once, however the batch divides: tower t of T gets samples bt/T .. b(t+1)/T, its mean
losses and its batch norm statistics enter the average with its share of the batch.  A tower left without a sample
(batch smaller than the number of towers) works on a copy of one, with weight 0.

The network is a system's (systems/base.py): its outputs and losses are dictionaries by the outputs' names.
"""

import collections
import contextlib

from jointpose.nn import fft_conv, layers
from jointpose.nn.sums import TWO_BY_TWO, ordered_sum
from jointpose.nn.tf1 import tf
from jointpose.training import optimiser
from jointpose.training.devices import device_function, device_of_variables

# Over all towers: outputs {name: [b, ...]} and losses {name: [b]}, each sample's.  networks: one a tower.
Inference = collections.namedtuple('Inference', 'outputs losses networks')
# Inference on batches of views, and what the views of each person or picture come to: combined {name: [n, ...]}, and
# back [n, 2, 3], from its pixels to the picture's.
Evaluation = collections.namedtuple('Evaluation', 'batch inference combined back')
# One update.  step: the op.  finite: bool, whether it was applied.  losses {name: []}: means over the batch.
# gradients: [(gradient, variable)], averaged, add_weight_decay, before clipping; norm: their global norm.
Training = collections.namedtuple(
    'Training', 'step finite losses norm rate outputs gradients networks'
)


def split_bounds(b, towers, least=min, most=max):
    """[(begin, end, true size)] of each tower's part of b samples, numbers; of tensors by tf.minimum, tf.maximum."""
    ends = [b * t // towers for t in range(towers + 1)]
    begins = [least(first, b - 1) for first in ends[:-1]]
    return [
        (begin, most(last, begin + 1), last - first)
        for begin, first, last in zip(begins, ends, ends[1:])
    ]


def split_batch(batch, towers):
    """Deals a batch out: returns [(part of the batch, its weight float32 [], its true size int32 [])]."""
    b = tf.shape(batch.images)[0]
    parts = []
    for begin, end, size in split_bounds(b, towers, tf.minimum, tf.maximum):
        part = tf.nest.map_structure(lambda tensor: tensor[begin:end], batch)  # noqa: B023
        parts.append((part, tf.cast(size, tf.float32) / tf.cast(b, tf.float32), size))
    return parts


def feed_towers(tensors, values):
    """The feed_dict that puts values [b, ...] in the place of what the towers computed, one tensor a tower."""
    return {
        tensor: values[begin:end]
        for tensor, (begin, end, _) in zip(tensors, split_bounds(len(values), len(tensors)))
    }


def machine_of(device):
    """The part of a tower's device that names another machine (cluster.py); '': it is on this one."""
    return device.rpartition('/')[0]


def read_once(machine, copies, training):
    """A variable scope in which the towers of another machine share what is sent to it: each variable that a step only
    reads, in `copies`, {name: tensor}; the transforms that inference keeps are kept there."""

    def shared(getter, name, *args, **kwargs):
        if kwargs.get('collections') == [fft_conv.SPECTRA]:
            with tf.device(f'{machine}/cpu:0'):
                return getter(f'{name}{machine.replace(":", "_")}', *args, **kwargs)
        variable = getter(name, *args, **kwargs)
        if training and not variable.trainable:  # moved by the step
            return variable
        if name not in copies:
            copies[name] = tf.identity(variable)
        return copies[name]

    return tf.variable_scope(tf.get_variable_scope(), custom_getter=shared)


def build_towers(system, batch, devices, training):
    """Networks with shared variables: returns [(network, part of the batch, weight, size)]."""
    options = system.options
    variables_on = device_of_variables(devices, options.variables)
    towers, copies = [], collections.defaultdict(dict)
    n = -(-options.batch_size // len(devices)) if training else None
    for t, (device, (part, weight, size)) in enumerate(
        zip(devices, split_batch(batch, len(devices)))
    ):
        machine = machine_of(device)
        with (
            tf.device(device_function(device, variables_on)),
            tf.name_scope(f'tower_{t}'),
            tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE),
            read_once(machine, copies[machine], training) if machine else contextlib.nullcontext(),
        ):
            towers.append(
                (
                    build_network(system, part.images, part.targets, training, tower=t, n=n),
                    part,
                    weight,
                    size,
                )
            )
    return towers


def build_network(system, images, targets, training, **details):
    """One replica; with --average_weights, inference reads the averages of the weights instead."""
    with (
        layers.averaged_weights()
        if system.options.average_weights and not training
        else contextlib.nullcontext()
    ):
        return system.build(images, targets, training, **details)


def concatenated(dictionaries):
    """[{name: part}, one a tower] -> {name: the parts in the batch's order}."""
    return {
        name: tf.concat([parts[name] for parts in dictionaries], axis=0) for name in dictionaries[0]
    }


def build_inference(system, batch, devices):
    """Outputs and losses by the moving averages, in the batch's order; returns an Inference."""
    with tf.name_scope('inference'):
        towers, outputs, losses = (
            build_towers(system, batch, devices, training=False),
            [],
            [],
        )
        for network, part, _, size in towers:
            outputs.append({name: tensor[:size] for name, tensor in network.outputs.items()})
            losses.append(
                {name: loss[:size] for name, loss in system.losses(network, part.targets).items()}
            )
        return Inference(
            concatenated(outputs), concatenated(losses), [network for network, *_ in towers]
        )


def build_evaluation(system, batch, devices):
    """Inference, and the views of each person brought together; returns an Evaluation."""
    inference = build_inference(system, batch, devices)
    return Evaluation(
        batch,
        inference,
        {name: system.merge_views(output) for name, output in inference.outputs.items()},
        batch.back[:: system.n_views],
    )


def build_training(system, batch, devices, total_steps):
    """One update of the variables that the system trains, from one batch; returns a Training."""
    options = system.options
    with tf.name_scope('training'):
        towers = build_towers(system, batch, devices, training=True)
        averages, outputs = [], []
        variables = [x for x in tf.trainable_variables() if system.is_trainable(x.op.name)]
        for t, (network, part, weight, size) in enumerate(towers):
            with tf.device(devices[t]), tf.name_scope(f'gradients_{t}'):
                losses = system.losses(network, part.targets)
                losses = {name: tf.reduce_mean(loss) for name, loss in losses.items()}
                gradients = tf.gradients(
                    system.total_loss(losses), variables, aggregation_method=TWO_BY_TWO
                )
            with tf.device(devices[t]) if machine_of(devices[t]) else contextlib.nullcontext():
                averages.append(
                    [
                        weight * x
                        for x in (*losses.values(), *gradients, *network.statistics.values())
                    ]
                )
            outputs.append({name: tensor[:size] for name, tensor in network.outputs.items()})
        means = [ordered_sum(parts) for parts in zip(*sum_by_machine(averages, devices))]
        losses, means = dict(zip(losses, means)), means[len(losses) :]
        gradients = optimiser.add_weight_decay(
            means[: len(variables)], variables, system.weight_decays()
        )
        moments = list(zip(towers[0][0].statistics, means[len(variables) :]))
        steps = [
            (epoch / max(options.n_epochs, 1), factor) for epoch, factor in options.lr_steps or ()
        ]
        rate = optimiser.learning_rate(
            options.lr, total_steps, options.schedule, options.warm_up, steps or system.SCHEDULE
        )
        gradients, factors = optimiser.per_variable_rates(
            gradients, variables, system.lr_multipliers()
        )
        step, finite, norm = optimiser.update(
            gradients,
            variables,
            moments,
            rate,
            options.optimizer,
            list(losses.values()),
            options.norm_decay,
            options.average_weights,
            options.clip_norm,
            factors,
        )
    return Training(
        step,
        finite,
        losses,
        norm,
        rate,
        concatenated(outputs),
        list(zip(gradients, variables)),
        [network for network, *_ in towers],
    )


def sum_by_machine(averages, devices):
    """[[tensor], one a tower] -> the same with those of another machine added up there, before they are sent."""
    there = collections.defaultdict(list)
    for t, device in enumerate(devices):
        there[machine_of(device) or t].append(t)
    sums = []
    for towers in there.values():
        with tf.device(devices[towers[0]]) if len(towers) > 1 else contextlib.nullcontext():
            sums.append(
                [ordered_sum(parts) for parts in zip(*(averages[t] for t in towers))]
                if len(towers) > 1
                else averages[towers[0]]
            )
    return sums
