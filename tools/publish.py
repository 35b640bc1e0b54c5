"""Writes a run's weights without the optimiser's state, and its logs, to be handed on.

    python -m tools.publish models_ex/RUN --out pretrained/NAME
        [--half] [--certainty MIDPOINT SLOPE]

The result is a third of the checkpoint and a checkpoint like any other (checkpoints/checkpoint.py):
TensorFlow's own format, no pickle; its state.json says `weights_only`.  `main.py --restore
pretrained/NAME` evaluates it or predicts with it.  Training cannot resume from it, but a new
training can start there (--train --init).  Of weights with a moving average (--average_weights)
only the average is kept.  With --half they are stored in half precision.  --certainty stores the
calibration of its scores (tools/certainty.py).
"""

import json
import os
import shutil

import numpy as np

from jointpose.checkpoints import checkpoint, checkpoint_variables
from jointpose.nn.tf1 import tf
from jointpose.options import options as command_line
from jointpose.utils import cli, folders
from jointpose.utils.errors import InputError

LOGS = ('settings.json', 'log.jsonl', 'steps.jsonl')


def publish(
    found: checkpoint.Checkpoint,
    out: str,
    half: bool = False,
    certainty: list[float] | None = None,
) -> str:
    """Writes a Checkpoint's weights and its run's logs into the folder `out`.

    Returns:
        Path of the new checkpoint.
    """
    check_free(out)
    weights = checkpoint_variables.read_weights(found.path)
    if half:
        weights = {name: halved(name, value) for name, value in weights.items()}
    with folders.staging(out) as folder:
        copy_logs(os.path.dirname(os.path.abspath(found.path)), folder, certainty)
        path = save_weights(weights, folder, published_state(found.state, certainty))
    return os.path.join(out, os.path.basename(path))


def check_free(out: str) -> None:
    """Raises InputError if the folder holds a checkpoint or a log."""
    if checkpoint.list_checkpoints(out):
        raise InputError(f'--out {out}: holds a checkpoint already')
    for name in LOGS:
        if os.path.lexists(os.path.join(out, name)):
            raise InputError(f'--out {out}: holds a {name} already')


def copy_logs(run: str, folder: str, certainty: list[float] | None) -> None:
    """Copies the logs that a run has; the settings without what is not handed on."""
    for name in LOGS:
        log = os.path.join(run, name)
        if os.path.exists(log):
            shutil.copy(log, folder)
    path = os.path.join(folder, 'settings.json')
    if os.path.exists(path):
        with open(path, encoding='utf-8') as file:
            stored = json.load(file)
        checkpoint.write_json(path, published_settings(stored, certainty))


def save_weights(weights: dict[str, np.ndarray], folder: str, state: dict) -> str:
    """Saves a checkpoint of these variables; returns its path."""
    config = tf.ConfigProto(device_count={'GPU': 0})
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        variables = [tf.get_variable(name, initializer=value) for name, value in weights.items()]
        session.run(tf.global_variables_initializer())
        return checkpoint.save(session, tf.train.Saver(variables), folder, state, keep=1)


def published_state(state: dict, certainty: list[float] | None) -> dict:
    """A checkpoint's state for others; the best checkpoint is not handed on."""
    kept = {name: value for name, value in state.items() if name not in ('files', 'time')}
    settings = published_settings(state['settings'], certainty)
    return {**kept, 'best': None, 'settings': settings, 'weights_only': True}


def published_settings(settings: dict, certainty: list[float] | None) -> dict:
    """A run's settings without the folder of its arrays, with the score calibration if given."""
    kept = {name: value for name, value in settings.items() if name != 'data'}
    return {**kept, 'certainty': certainty} if certainty else kept


def halved(name: str, value: np.ndarray) -> np.ndarray:
    """An array in half precision, if it is in single; InputError if it does not fit."""
    if value.dtype != np.float32:
        return value
    if np.abs(value).max() > np.finfo(np.float16).max:
        largest = np.abs(value).max()
        raise InputError(f'--half: {name} holds {largest:.3g}, more than half precision can')
    return value.astype(np.float16)


def main():
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        'run', help="a run's name or folder (its newest checkpoint is taken), or a checkpoint's"
    )
    parser.add_argument('--out', required=True, metavar='FOLDER', help='folder to write')
    parser.add_argument(
        '--model_path',
        default=command_line.MODEL_PATH,
        metavar='FOLDER',
        help='folder of all runs (default: %(default)s)',
    )
    parser.add_argument('--half', action='store_true', help='store weights in half precision')
    parser.add_argument(
        '--certainty',
        nargs=2,
        type=cli.finite_float,
        metavar=('MIDPOINT', 'SLOPE'),
        help='score calibration to store with the weights',
    )
    options = parser.parse_args()
    found = checkpoint.find(options.model_path, options.run, 'run')
    path = publish(found, options.out, options.half, options.certainty)
    size = sum(os.path.getsize(os.path.join(path, name)) for name in os.listdir(path))
    print(f'{path}: {size / 1e6:.1f} MB')


if __name__ == '__main__':
    cli.run_script(main)
