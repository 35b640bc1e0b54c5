"""main.py with a network so narrow that a step takes a moment, for the tests: `python narrow_main.py --width 4 ...`.

NAN_FROM=s in the environment makes the targets of every batch from step s on not a number.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import main
import model
from engine import batches, files

model.CHANNELS = (1, 1, 1, 1, 1)

if 'NAN_FROM' in os.environ:
    def poisoned(system, split, step, options, make=batches.training_batch):
        batch = make(system, split, step, options)
        if step < int(os.environ['NAN_FROM']):
            return batch
        return batch._replace(targets={name: maps * float('nan') for name, maps in batch.targets.items()})

    batches.training_batch = poisoned

if __name__ == '__main__':
    files.run_script(main.run_main)
