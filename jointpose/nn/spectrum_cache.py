"""Transforms of weights that inference computes once and keeps.

variable = cached(tf.signal.rfft2d(weights))     # in the graph, in place of the transform
operations = operations_of_graph()               # before the graph is finalized
with filled(session, operations):                # transforms the present weights
    session.run(...)
"""

import contextlib
from collections.abc import Iterator

from jointpose.nn.tf1 import tf

SPECTRA = 'spectra'  # graph collection: the variables
TRANSFORMS = 'transforms'  # graph collection: (variable, the operation that fills it)

Operations = tuple[tf.Operation, tf.Operation]


def cached(spectrum: tf.Tensor) -> tf.Variable:
    """A variable for a transform of weights.

    It is no part of the model, hence in no checkpoint, and empty until `filled`.  Towers share it,
    as they share weights.
    """
    variable = tf.get_variable(
        'spectrum',
        spectrum.shape,
        spectrum.dtype,
        tf.zeros_initializer(),
        trainable=False,
        collections=[SPECTRA],
        use_resource=True,
    )
    known = [other for other, _ in tf.get_collection(TRANSFORMS)]
    if not any(variable is other for other in known):
        tf.add_to_collection(TRANSFORMS, (variable, variable.assign(spectrum)))
    return variable


def operations_of_graph() -> Operations:
    """(transform all weights, free the memory): the two operations that `filled` runs."""
    transforms = tf.get_collection(TRANSFORMS)
    transform = tf.group(*(assign for _, assign in transforms))
    free = tf.group(
        *(tf.raw_ops.DestroyResourceOp(resource=variable.handle) for variable, _ in transforms)
    )
    return transform, free


@contextlib.contextmanager
def filled(session: tf.Session, operations: Operations) -> Iterator[None]:
    """Inference runs within this; the transforms are those of the weights at its beginning."""
    transform, free = operations
    session.run(transform)
    try:
        yield
    finally:
        session.run(free)
