"""Values of a graph's variables: from a verified checkpoint, or from arrays.

NAME/average, where it is there, is the moving average of the weights NAME (nn/layers.py).
"""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from jointpose.checkpoints.checkpoint import Checkpoint
from jointpose.nn.layers import AVERAGE_SUFFIX
from jointpose.nn.tf1 import short_message, tf
from jointpose.utils.errors import InputError

# Variables that only training needs.
OPTIMISER = re.compile(r'(.*/)?(Ada(m|m_1|grad)|Momentum|beta[12]_power(_\d+)?|skipped)')
PATTERN = re.compile(r'[][*?\\]')  # characters with a meaning in TensorFlow's file name patterns


@contextlib.contextmanager
def open_reader(path: str) -> Iterator[tuple[str, Any]]:
    """Yields (prefix, reader) of a checkpoint folder's variables, for TensorFlow's functions.

    They look for the files by a pattern, in which [ ] * ? and \\ of a path cannot be escaped.  Such
    a folder is opened, and the kernel's name of the open folder has none of them.
    """
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        prefix = os.path.join(path, 'model')
        if PATTERN.search(path):
            prefix = f'/proc/self/fd/{folder}/model'
        yield prefix, tf.train.NewCheckpointReader(prefix)
    finally:
        os.close(folder)


def restore(session: tf.Session, saver: tf.train.Saver, checkpoint: Checkpoint) -> None:
    """Reads the graph's variables from a verified checkpoint.

    Values in half precision are converted to the graph's types.  InputError: names or shapes do not
    fit.
    """
    try:
        with open_reader(checkpoint.path) as (prefix, reader):
            check_shapes(reader)
            if tf.float16 in reader.get_variable_to_dtype_map().values():
                values = []
                for variable in tf.global_variables():
                    value = reader.get_tensor(variable.op.name)
                    values.append((variable, value.astype(variable.dtype.as_numpy_dtype)))
                assign(session, values)
            else:
                saver.restore(session, prefix)
    except (tf.errors.OpError, ValueError) as error:
        raise does_not_fit(checkpoint, short_message(error)) from error


def check_shapes(reader):
    """ValueError if a variable of the graph is absent or of another shape.

    The saver itself would accept another shape.
    """
    shapes = reader.get_variable_to_shape_map()
    for variable in tf.global_variables():
        name = variable.op.name
        shape = variable.shape.as_list()
        if shapes.get(name) != shape:
            raise ValueError(f'{name} is {shapes.get(name, "absent")}, expected {shape}')


def does_not_fit(checkpoint, reason):
    """The InputError that says so."""
    return InputError(f'{checkpoint.path}: does not fit this graph: {reason}')


def constant_vectors(checkpoint: Checkpoint):
    """A variable scope in which vectors are constants with a verified checkpoint's values.

    `restore` then leaves them out.  Biases and batch norms are four fifths of a network's
    variables: a graph that only predicts has a quarter fewer operations.  Matrices as constants
    would be held several times, at full width 2.7 GB.

    InputError within it: names or shapes do not fit.
    """
    shapes, vectors = read_vectors(checkpoint)
    made = {}  # by name: the towers share them

    def constant(getter, name, shape=None, dtype=tf.float32, **kwargs):
        shape = tf.TensorShape(shape).as_list()
        if len(shape) != 1:
            return getter(name, shape=shape, dtype=dtype, **kwargs)
        if shapes.get(name) != shape:
            found = shapes.get(name, 'absent')
            raise does_not_fit(checkpoint, f'{name} is {found}, expected {shape}')
        if name not in made:
            value = vectors[name].astype(tf.as_dtype(dtype).as_numpy_dtype)
            made[name] = tf.constant(value, name=name)
        return made[name]

    return tf.variable_scope(tf.get_variable_scope(), custom_getter=constant)


def read_vectors(checkpoint):
    """({name: shape} of all variables, {name: array} of the vectors, but the optimiser's)."""
    vectors = {}
    try:
        with open_reader(checkpoint.path) as (_, reader):
            shapes = reader.get_variable_to_shape_map()
            for name, shape in shapes.items():
                if len(shape) == 1 and not OPTIMISER.fullmatch(name):
                    vectors[name] = reader.get_tensor(name)
    except tf.errors.OpError as error:
        message = f'{checkpoint.path}: not a TensorFlow checkpoint: {short_message(error)}'
        raise InputError(message) from error
    return shapes, vectors


def read_weights(path: str) -> dict[str, np.ndarray]:
    """{name: array} of a checkpoint folder's variables that inference reads, in single precision.

    Of weights with a moving average, only the average.
    """
    weights = {}
    with open_reader(path) as (_, reader):
        types = reader.get_variable_to_dtype_map()
        for name in sorted(types):
            if OPTIMISER.fullmatch(name) or name + AVERAGE_SUFFIX in types:
                continue
            value = reader.get_tensor(name)
            weights[name] = value.astype(np.float32) if types[name] == tf.float16 else value
    return weights


def assign_matching(
    session: tf.Session, values: dict[str, np.ndarray]
) -> tuple[list[str], list[str]]:
    """Assigns values, {name: array}, to the graph's variables that fit by name and shape.

    The optimiser's variables are left out.  A variable and its moving average get the same value.

    Returns:
        (names of the variables that were assigned, names of the others).
    """
    values = {name.removesuffix(AVERAGE_SUFFIX): value for name, value in values.items()}
    assigned, others, pairs = [], [], []
    for variable in sorted(tf.global_variables(), key=lambda variable: variable.op.name):
        name = variable.op.name
        if OPTIMISER.fullmatch(name) or name == 'global_step':
            continue
        value = values.get(name.removesuffix(AVERAGE_SUFFIX))
        if value is not None and value.shape == tuple(variable.shape.as_list()):
            pairs.append((variable, value))
            assigned.append(name)
        else:
            others.append(name)
    assign(session, pairs)
    return assigned, others


def assign(session: tf.Session, values: list[tuple[tf.Variable, np.ndarray]]) -> None:
    """Assigns values to variables, in one call: each call would prune the graph again."""
    operations = [variable.initializer for variable, _ in values]
    session.run(operations, {variable.initializer.inputs[1]: value for variable, value in values})
