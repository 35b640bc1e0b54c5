"""Devices: which GPUs there are, which tower runs where, where variables lie, session settings."""

import contextlib
import os
from collections.abc import Callable, Sequence

from jointpose.nn.tf1 import tf
from jointpose.utils.counts import counted

DRIVER = '/proc/driver/nvidia/version'  # exists while NVIDIA's driver is loaded


def device_names(
    gpus: Sequence[int], log: Callable[[str], None] | None = print, named: bool = True
) -> list[str]:
    """One device string a tower.

    GPUs that this machine lacks become the CPU, and one line says so.  The session sees the listed
    GPUs only (`visible_gpus`), and numbers them from 0.

    Args:
        log: prints that line.
        named: the user has listed these GPUs; otherwise the line is printed only for GPUs that
            TensorFlow cannot use.
    """
    visible = visible_gpus(gpus)
    absent = [gpu for gpu in gpus if gpu not in visible]
    hidden = unusable_gpus()
    if absent and log and (named or hidden):
        names = ', '.join(map(str, absent))
        log(
            f'GPU {names} not found: {len(absent)} of {counted(len(gpus), "tower")} on the CPU{hidden}'
        )
    return [f'/gpu:{visible.index(gpu)}' if gpu in visible else '/cpu:0' for gpu in gpus]


def visible_gpus(gpus: Sequence[int]) -> list[int]:
    """Those of the GPUs that TensorFlow sees."""
    present = len(tf.config.experimental.list_physical_devices('GPU'))
    return [gpu for gpu in gpus if gpu < present]


def unusable_gpus() -> str:
    """Why TensorFlow may see no GPU although NVIDIA's driver is loaded.

    '': it sees one, or there is no driver.
    """
    if not os.path.exists(DRIVER) or tf.config.experimental.list_physical_devices('GPU'):
        return ''
    if os.environ.get('CUDA_VISIBLE_DEVICES', '0') in ('', '-1'):
        return '; CUDA_VISIBLE_DEVICES hides the GPUs'
    return (
        "; NVIDIA's driver is loaded, but TensorFlow sees no GPU: pip install -r "
        "requirements-gpu.txt brings CUDA's libraries, TF_CPP_MIN_LOG_LEVEL=0 shows TensorFlow's "
        'own reason'
    )


def computes_bfloat16(gpus: Sequence[int]) -> bool:
    """Whether all these GPUs exist, or the processor has instructions for bfloat16.

    Without them bfloat16 is slower than float32, and with oneDNN off its errors were beyond what
    the tests allow.
    """
    if len(visible_gpus(gpus)) == len(gpus):
        return True
    with (
        contextlib.suppress(OSError),
        open('/proc/cpuinfo', encoding='ascii', errors='replace') as file,
    ):
        return not {'avx512_bf16', 'amx_bf16'}.isdisjoint(file.read().split())
    return False


def device_of_variables(devices: Sequence[str], where: str = 'auto') -> str:
    """The device of the variables that the towers share.

    With T towers and W bytes of weights, weights and gradients are 2 T W bytes a step between CPU
    and GPUs if variables lie on the CPU, and 2 (T - 1) W between GPUs if they lie on the first of
    them: at full width and two GPUs 0.94 against 0.47 GB.

    Args:
        devices: of each tower.
        where: 'cpu', 'gpu' (the first tower's device), or 'auto': the first GPU if all towers are
            on GPUs of this machine.
    """
    if where == 'auto':
        all_on_gpus = all(device.startswith('/gpu') for device in devices)
        where = 'gpu' if all_on_gpus or len(devices) == 1 else 'cpu'
    return devices[0] if where == 'gpu' else '/cpu:0'


def device_function(device: str, variables_on: str) -> Callable:
    """For tf.device: variables on one device, unless they have their own; others on the tower's."""

    def choose(op):
        if op.type in ('VarHandleOp', 'VariableV2'):
            return op.device or variables_on
        return device

    return choose


def use_tf32(on: bool) -> None:
    """Whether GPUs may round the factors of float32 products to TF32, in the whole process.

    NVIDIA's Ampere generation and later do so by default; TF32 has 10 bits.
    """
    tf.config.experimental.enable_tensor_float_32_execution(on)


def session_config(gpus: Sequence[int], optimised: bool = True) -> tf.ConfigProto:
    """Settings of a session that takes the memory it needs, of these GPUs only.

    optimised: by TensorFlow's graph optimiser.  On a CPU it makes evaluation no faster, and its
    first run, of two graphs, takes a second and a half longer.
    """
    visible = visible_gpus(gpus)
    config = tf.ConfigProto(device_count={'GPU': len(visible)})
    config.gpu_options.allow_growth = True
    config.gpu_options.visible_device_list = ','.join(map(str, visible))
    rewrites = config.graph_options.rewrite_options
    rewrites.disable_meta_optimizer = not (optimised or visible)
    rewrites.arithmetic_optimization = rewrites.OFF  # it would make one AddN of ordered sums
    return config
