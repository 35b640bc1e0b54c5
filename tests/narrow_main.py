"""main.py with a network so narrow that a step takes a moment, for the tests: `python narrow_main.py --width 4 ...`.

NAN_FROM=s in the environment makes the targets of every batch from step s on not a number.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import arrays
import batches
import main
import model

model.CHANNELS = (1, 1, 1, 1, 1)

if 'NAN_FROM' in os.environ:
    def poisoned(split, seed, step, *rest, make=batches.training_batch):
        batch = make(split, seed, step, *rest)
        return batch._replace(targets=batch.targets * float('nan')) if step >= int(os.environ['NAN_FROM']) else batch

    batches.training_batch = poisoned

if __name__ == '__main__':
    arrays.run_script(main.run_main)
