"""Would a graph run on GPUs?  Asked on a machine without one.

TensorFlow's Linux wheel registers the GPU's kernels on every machine, so that each operation of a
graph that is built for GPUs can be looked up.  As soft placement is off, one operation without a
kernel fails the first session.run.
"""

import collections

from tensorflow.python.framework import kernels

from jointpose.nn.tf1 import tf


def without_kernel(graph):
    """['name: type of operation and its types', ...] of what lies on a GPU and has no kernel for it."""
    registered = collections.defaultdict(list)
    for kernel in kernels.get_all_registered_kernels().kernel:
        if kernel.device_type in ('GPU', 'DEFAULT'):  # DEFAULT: any device
            registered[kernel.op].append(kernel)
    bad = []
    for group in groups_of(graph):
        if not on_gpu(group):
            continue
        for op in group:
            if not any(fits(kernel, op) for kernel in registered[op.type]):
                bad.append(f'{op.name}: {op.type} {types_of(op)}')
    return bad


def groups_of(graph):
    """Lists of the operations that TensorFlow's placer keeps together: `loc:@` colocations, and a
    resource's users with the operation that makes it."""
    leader = {}

    def find(op):
        while leader.get(op, op) is not op:
            op = leader[op]
        return op

    for op in graph.get_operations():
        for name in op.colocation_groups():
            name = name.decode().removeprefix('loc:@')
            if name != op.name:
                leader[find(op)] = find(graph.get_operation_by_name(name))
        for tensor in op.inputs:
            if tensor.dtype == tf.resource:
                leader[find(op)] = find(tensor.op)
    groups = collections.defaultdict(list)
    for op in graph.get_operations():
        groups[find(op)].append(op)
    return list(groups.values())


def on_gpu(group):
    """Whether a group is bound to a GPU: by the device of what makes its resource, else by the first that names one."""
    named = [op for op in group if op.device]
    makers = [op for op in named if any(tensor.dtype == tf.resource for tensor in op.outputs)]
    first = (makers or named or [None])[0]
    return first is not None and tf.DeviceSpec.from_string(first.device).device_type == 'GPU'


def types_of(op):
    """{attribute: [types]} of an operation."""
    found = {}
    for name, value in op.node_def.attr.items():
        if value.HasField('list') and value.list.type:
            found[name] = list(value.list.type)
        elif value.type:
            found[name] = [value.type]
    return found


def fits(kernel, op):
    """Whether a kernel takes the operation's types."""
    types = types_of(op)
    for constraint in kernel.constraint:
        if not set(types.get(constraint.name, ())) <= set(constraint.allowed_values.list.type):
            return False
    return True
