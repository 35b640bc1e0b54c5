"""Sums whose last digits do not depend on chance.

tf.add_n begins with the first input whose buffer is not in use at that moment, and adds into it.
Which one that is depends on what other threads have released: of three or more terms, (a + b) + c
or (c + b) + a, which differ in the last digits.  Of two terms the order makes no difference.
"""

from collections.abc import Sequence

from jointpose.nn.tf1 import tf

# For tf.gradients(..., aggregation_method=...): gradients of a tensor that is used several times
# are added two by two.
TWO_BY_TWO = tf.AggregationMethod.EXPERIMENTAL_TREE


def ordered_sum(terms: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sum of tensors of one shape and type, always in the order of the list."""
    total, *others = terms
    for term in others:
        total = tf.add_n([total, term])
    return total
