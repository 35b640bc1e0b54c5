"""The table of the spatial model's costs, on a single small case."""

from tools import joint_counts


def test_variables_by_hand():
    cost = joint_counts.Cost(9, 81 * (120 * 180 + 60 * 90) * 4, 0.5, 1.25, 600_000_000)
    assert joint_counts.row_of(cost) == ['9', '81', '9', '0.50', '1.25', '600']


def test_a_small_case_is_measured():
    cost = joint_counts.measure(joints=2, batch_size=1, repeats=1)
    assert cost.variables == 4 * (120 * 180 + 60 * 90) * 4
    assert cost.with_gradient > 0 and cost.forward > 0
