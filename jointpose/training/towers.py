"""Towers: one replica of the network a device, with shared variables and averaged gradients.

Every sample of a batch counts once, however the batch divides: of T towers, tower t gets samples
bt/T .. b(t+1)/T, and its mean losses and batch norm statistics enter the average with its share of
the batch.  A tower without a sample (batch smaller than the number of towers) computes on a copy of
one, with weight 0.

The network is a system's (systems/base.py): its outputs and losses are dictionaries by the outputs'
names.
"""

import collections
import contextlib
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jointpose.nn import layers, spectrum_cache
from jointpose.nn.sums import TWO_BY_TWO, ordered_sum
from jointpose.nn.tf1 import tf
from jointpose.training import optimiser
from jointpose.training.batches import Batch
from jointpose.training.devices import device_function, device_of_variables

Tensors = dict[str, tf.Tensor]


class Tower(NamedTuple):
    """One replica and its part of the batch."""

    device: str
    network: Any  # systems.base.Network
    batch: Batch  # its part
    weight: tf.Tensor  # float32 []: share of the samples
    size: tf.Tensor  # int32 []: number of samples, 0 if `batch` is a copy


class Inference(NamedTuple):
    """Outputs and losses of all towers, in the batch's order."""

    outputs: Tensors  # {name: [b, ...]}
    losses: Tensors  # {name: [b]}
    networks: list  # one a tower


class Evaluation(NamedTuple):
    """Inference on views, and the views of each person or picture merged."""

    batch: Batch
    inference: Inference
    combined: Tensors  # {name: [n, ...]}
    back: tf.Tensor  # [n, 2, 3]: from their pixels to the picture's


class Training(NamedTuple):
    """One update."""

    step: tf.Operation
    finite: tf.Tensor  # bool: whether it was applied
    losses: Tensors  # {name: []}, means over the batch
    norm: tf.Tensor  # of the gradients, before clipping
    rate: tf.Tensor  # the learning rate
    outputs: Tensors  # {name: [b, ...]}
    gradients: list[tuple[tf.Tensor, tf.Variable]]  # averaged, with weight decay, before clipping
    networks: list  # one a tower


# --- parts of a batch -----------------------------------------------------------------------------


def split_bounds(
    b, towers: int, least: Callable = min, most: Callable = max
) -> list[tuple[Any, Any, Any]]:
    """(begin, end, true size) of each tower's part of b samples.

    b is a number; or a tensor, with tf.minimum and tf.maximum.
    """
    ends = [b * t // towers for t in range(towers + 1)]
    bounds = []
    for first, last in itertools.pairwise(ends):
        begin = least(first, b - 1)
        bounds.append((begin, most(last, begin + 1), last - first))
    return bounds


def split_batch(batch: Batch, towers: int) -> list[tuple[Batch, tf.Tensor, tf.Tensor]]:
    """(part of the batch, its weight float32 [], its true size int32 []) of each tower."""
    b = tf.shape(batch.images)[0]
    parts = []
    for begin, end, size in split_bounds(b, towers, tf.minimum, tf.maximum):
        samples = slice(begin, end)
        part = tf.nest.map_structure(operator.itemgetter(samples), batch)
        weight = tf.cast(size, tf.float32) / tf.cast(b, tf.float32)
        parts.append((part, weight, size))
    return parts


def feed_towers(tensors: Sequence[tf.Tensor], values: np.ndarray) -> dict[tf.Tensor, np.ndarray]:
    """The feed_dict that replaces what the towers computed by values [b, ...].

    tensors: one a tower.
    """
    bounds = split_bounds(len(values), len(tensors))
    return {tensor: values[begin:end] for tensor, (begin, end, _) in zip(tensors, bounds)}


def concatenated(parts: Sequence[Tensors]) -> Tensors:
    """{name: part} of each tower -> {name: the parts in the batch's order}."""
    return {name: tf.concat([part[name] for part in parts], axis=0) for name in parts[0]}


# --- replicas -------------------------------------------------------------------------------------


def machine_of(device: str) -> str:
    """The part of a tower's device that names another machine (cluster.py); '': this machine."""
    return device.rpartition('/')[0]


def read_once(machine: str, copies: Tensors, training: bool):
    """A variable scope in which the towers of another machine share what is sent to it.

    These are the variables that a step only reads, in `copies`.  The transforms that inference
    caches are cached on that machine.
    """

    def shared(getter, name, *args, **kwargs):
        if kwargs.get('collections') == [spectrum_cache.SPECTRA]:
            with tf.device(f'{machine}/cpu:0'):
                return getter(f'{name}{machine.replace(":", "_")}', *args, **kwargs)
        variable = getter(name, *args, **kwargs)
        if training and not variable.trainable:  # changed by the step
            return variable
        if name not in copies:
            copies[name] = tf.identity(variable)
        return copies[name]

    return tf.variable_scope(tf.get_variable_scope(), custom_getter=shared)


def build_towers(system, batch: Batch, devices: Sequence[str], training: bool) -> list[Tower]:
    """One replica a device, with shared variables."""
    options = system.options
    variables_on = device_of_variables(devices, options.variables)
    copies = collections.defaultdict(dict)  # {machine: {name: tensor}}
    n = -(-options.batch_size // len(devices)) if training else None  # samples of a tower
    towers = []
    parts = split_batch(batch, len(devices))
    for t, (device, (part, weight, size)) in enumerate(zip(devices, parts)):
        machine = machine_of(device)
        with contextlib.ExitStack() as scopes:
            scopes.enter_context(tf.device(device_function(device, variables_on)))
            scopes.enter_context(tf.name_scope(f'tower_{t}'))
            scopes.enter_context(tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE))
            if machine:
                scopes.enter_context(read_once(machine, copies[machine], training))
            network = build_network(system, part.images, part.targets, training, tower=t, n=n)
        towers.append(Tower(device, network, part, weight, size))
    return towers


def build_network(system, images: tf.Tensor, targets: Tensors, training: bool, **details):
    """One replica; with --average_weights, inference reads the averages of the weights."""
    if system.options.average_weights and not training:
        with layers.averaged_weights():
            return system.build(images, targets, training, **details)
    return system.build(images, targets, training, **details)


# --- evaluation -----------------------------------------------------------------------------------


def build_inference(system, batch: Batch, devices: Sequence[str]) -> Inference:
    """Outputs and losses by the moving averages of batch norm."""
    with tf.name_scope('inference'):
        towers = build_towers(system, batch, devices, training=False)
        outputs = []
        losses = []
        for tower in towers:
            outputs.append(true_samples(tower.network.outputs, tower.size))
            tower_losses = system.losses(tower.network, tower.batch.targets)
            losses.append(true_samples(tower_losses, tower.size))
        networks = [tower.network for tower in towers]
        return Inference(concatenated(outputs), concatenated(losses), networks)


def true_samples(tensors: Tensors, size: tf.Tensor) -> Tensors:
    """Of each tensor the first `size` samples: without a copy that a tower computed on."""
    return {name: tensor[:size] for name, tensor in tensors.items()}


def build_evaluation(system, batch: Batch, devices: Sequence[str]) -> Evaluation:
    """Inference, and the views of each person merged."""
    inference = build_inference(system, batch, devices)
    combined = {name: system.merge_views(output) for name, output in inference.outputs.items()}
    return Evaluation(batch, inference, combined, batch.back[:: system.n_views])


# --- training -------------------------------------------------------------------------------------


def build_training(system, batch: Batch, devices: Sequence[str], total_steps: int) -> Training:
    """One update of the variables that the system trains, from one batch."""
    options = system.options
    with tf.name_scope('training'):
        towers = build_towers(system, batch, devices, training=True)
        variables = [x for x in tf.trainable_variables() if system.is_trainable(x.op.name)]
        losses, gradients, moments = average_towers(system, towers, variables)
        gradients = optimiser.add_weight_decay(gradients, variables, system.weight_decays())
        rate = learning_rate(system, total_steps)
        gradients, factors = optimiser.per_variable_rates(
            gradients, variables, system.lr_multipliers()
        )
        update = optimiser.update(
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
        update.step,
        update.finite,
        losses,
        update.norm,
        rate,
        concatenated([true_samples(tower.network.outputs, tower.size) for tower in towers]),
        list(zip(gradients, variables)),
        [tower.network for tower in towers],
    )


def learning_rate(system, total_steps: int) -> tf.Tensor:
    """By --lr, --schedule, --lr_steps and --warm_up, else by the system's schedule."""
    options = system.options
    epochs = max(options.n_epochs, 1)
    steps = [(epoch / epochs, factor) for epoch, factor in options.lr_steps or ()]
    return optimiser.learning_rate(
        options.lr, total_steps, options.schedule, options.warm_up, steps or system.SCHEDULE
    )


def average_towers(
    system, towers: Sequence[Tower], variables: Sequence[tf.Variable]
) -> tuple[Tensors, list[tf.Tensor], list[tuple[tf.Variable, tf.Tensor]]]:
    """Losses, gradients and batch norm statistics, weighted by the towers' shares of the batch.

    Returns:
        ({name: loss}, gradients by the variables, [(moving average, the batch's value)]).
    """
    weighted = []
    for t, tower in enumerate(towers):
        with tf.device(tower.device), tf.name_scope(f'gradients_{t}'):
            losses = system.losses(tower.network, tower.batch.targets)
            losses = {name: tf.reduce_mean(loss) for name, loss in losses.items()}
            total = system.total_loss(losses)
            gradients = tf.gradients(total, variables, aggregation_method=TWO_BY_TWO)
        values = [*losses.values(), *gradients, *tower.network.statistics.values()]
        with on_other_machine(tower.device):
            weighted.append([tower.weight * value for value in values])
    sums = sum_by_machine(weighted, [tower.device for tower in towers])
    means = [ordered_sum(parts) for parts in zip(*sums)]
    names = list(losses)
    end = len(names) + len(variables)
    moments = list(zip(towers[0].network.statistics, means[end:]))
    return dict(zip(names, means)), means[len(names) : end], moments


def on_other_machine(device: str):
    """tf.device for a tower of another machine: what it sends is computed there."""
    return tf.device(device) if machine_of(device) else contextlib.nullcontext()


def sum_by_machine(
    values: Sequence[list[tf.Tensor]], devices: Sequence[str]
) -> list[list[tf.Tensor]]:
    """Adds up the values of another machine's towers there, before they are sent.

    values: of each tower.  Returns those of each tower of this machine, and of each other machine.
    """
    groups = collections.defaultdict(list)
    for t, device in enumerate(devices):
        groups[machine_of(device) or t].append(t)
    sums = []
    for towers in groups.values():
        if len(towers) == 1:
            sums.append(values[towers[0]])
            continue
        with tf.device(devices[towers[0]]):
            parts = zip(*(values[t] for t in towers))
            sums.append([ordered_sum(part) for part in parts])
    return sums
