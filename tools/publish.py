"""A run's weights without the optimiser's state, a third of the checkpoint, and its logs: to be handed on.

    python -m tools.publish models_ex/RUN --out pretrained/NAME [--half] [--certainty EVEN STEEPNESS]

The result is a checkpoint like any other (checkpoint.py), TensorFlow's own format and no pickle; its state.json says
`weights_only`.  `main.py --restore pretrained/NAME` evaluates it or predicts with it; training cannot
go on from it, but a new one can start there (--train --init).  Of weights that have a moving average
(--average_weights) only that is kept.  With --half they are stored in half precision and half the size.  --certainty
says what its scores of people are worth (tools/certainty.py).
"""

import json
import os
import shutil

import numpy as np

from jointpose.nn.tf1 import tf
from jointpose.training import checkpoint
from jointpose.training import options as command_line
from jointpose.utils import cli, folders
from jointpose.utils.errors import InputError

LOGS = ('settings.json', 'log.jsonl', 'steps.jsonl')


def publish(found, out, half=False, certainty=None):
    """Writes a Checkpoint's weights, and what logs its run has, into the folder `out`; returns the new checkpoint."""
    settings = published_settings(found.state['settings'], certainty)
    state = {**found.state, 'best': None, 'settings': settings}  # the best one is not handed on
    state = {name: value for name, value in state.items() if name not in ('files', 'time')}
    if checkpoint.list_checkpoints(out):
        raise InputError(f'--out {out}: holds a checkpoint already')
    for name in LOGS:
        if os.path.lexists(os.path.join(out, name)):
            raise InputError(f'--out {out}: holds a {name} already')
    with folders.staging(out) as folder:
        for log in (
            os.path.join(os.path.dirname(os.path.abspath(found.path)), name) for name in LOGS
        ):
            if os.path.exists(log):
                shutil.copy(log, folder)
        if os.path.exists(settings := os.path.join(folder, 'settings.json')):
            with open(settings, encoding='utf-8') as file:
                stored = json.load(file)
            checkpoint.write_json(settings, published_settings(stored, certainty))
        with (
            tf.Graph().as_default(),
            tf.Session(config=tf.ConfigProto(device_count={'GPU': 0})) as session,
        ):
            weights = checkpoint.read_weights(found.path)
            if half:
                weights = {name: halved(name, value) for name, value in weights.items()}
            variables = [
                tf.get_variable(name, initializer=value) for name, value in weights.items()
            ]
            session.run(tf.global_variables_initializer())
            path = checkpoint.save(
                session, tf.train.Saver(variables), folder, {**state, 'weights_only': True}, keep=1
            )
    return os.path.join(out, os.path.basename(path))


def published_settings(settings, certainty):
    """A run's settings for others: without the folder of its arrays, with the score calibration, if that is given."""
    kept = {name: value for name, value in settings.items() if name != 'data'}
    return {**kept, 'certainty': certainty} if certainty else kept


def halved(name, value):
    """An array in half precision, if it is in single; one that does not fit is an InputError."""
    if value.dtype != np.float32:
        return value
    if np.abs(value).max() > np.finfo(np.float16).max:
        raise InputError(
            f'--half: {name} holds {np.abs(value).max():.3g}, more than half precision can'
        )
    return value.astype(np.float16)


def main():
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        'run', help="a run's name or folder (its newest checkpoint is taken), or a checkpoint's"
    )
    parser.add_argument('--out', required=True, metavar='FOLDER', help='where the weights go')
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
        metavar=('EVEN', 'STEEPNESS'),
        help="main.py's, to be stored with the weights",
    )
    options = parser.parse_args()
    found = checkpoint.find(options.model_path, options.run, 'run')
    path = publish(found, options.out, options.half, options.certainty)
    size = sum(os.path.getsize(os.path.join(path, name)) for name in os.listdir(path))
    print(f'{path}: {size / 1e6:.1f} MB')


if __name__ == '__main__':
    cli.run_script(main)
