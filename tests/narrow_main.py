"""main.py with a network so narrow that a step takes a moment, for the tests: `python narrow_main.py --width 4 ...`.

NAN_FROM=s in the environment makes the targets of every batch from step s on not a number;
STOP_AT=s sends SIGTERM, or the signal STOP_BY, to this process when the batch of step s is made,
which is a few steps ahead.  GATE=FILE: no more updates, or pictures of --predict, than the file has
bytes; then it waits for the file to grow.
"""

import itertools
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import jointpose.utils.startup  # noqa: F401
from jointpose import main, model
from jointpose.media import frames
from jointpose.training import batches, trainer
from jointpose.utils import cli

model.CHANNELS = (1, 1, 1, 1, 1)

NEVER = 2**31
NAN_FROM, STOP_AT = (int(os.environ.get(name, NEVER)) for name in ('NAN_FROM', 'STOP_AT'))


def training_batch(system, split, step, make=batches.training_batch):
    if step == STOP_AT:
        os.kill(os.getpid(), int(os.environ.get('STOP_BY', signal.SIGTERM)))
    batch = make(system, split, step)
    if step < NAN_FROM:
        return batch
    return batch._replace(
        targets={name: maps * float('nan') for name, maps in batch.targets.items()}
    )


def wait_at_gate(done):
    while 'GATE' in os.environ and done >= os.path.getsize(os.environ['GATE']):
        time.sleep(0.01)


def step(trainer, update=trainer.Trainer.step):
    wait_at_gate(trainer.state['step'])
    return update(trainer)


def read_picture(path, read=frames.read_image, numbers=itertools.count()):  # noqa: B008
    wait_at_gate(next(numbers))
    return read(path)


batches.training_batch, trainer.Trainer.step, frames.read_image = (
    training_batch,
    step,
    read_picture,
)

if __name__ == '__main__':
    cli.run_script(main.run_main)
