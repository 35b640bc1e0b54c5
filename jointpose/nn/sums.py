"""Sums whose last digits do not depend on chance.

tf.add_n adds into the first input whose buffer nobody else holds at that moment, and begins with it.  Which one that
is depends on what other threads have released: of three or more terms, (a + b) + c or (c + b) + a, which differ in
the last digits.  Of two terms the order makes no difference.
"""

import functools
from collections.abc import Sequence

from jointpose.nn.tf1 import tf

# tf.gradients(..., aggregation_method=...): what several users of one tensor send back is added two by two.
TWO_BY_TWO = tf.AggregationMethod.EXPERIMENTAL_TREE


def ordered_sum(terms: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sum of tensors of one shape and type, always in the order of the list."""
    return functools.reduce(lambda total, term: tf.add_n([total, term]), terms)
