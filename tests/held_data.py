"""data.py whose workers never finish their first picture, for the tests: `python held_data.py --synthetic 20 ...`."""

import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from jointpose import data
from jointpose.utils import cli

data.read_image = lambda *_: signal.pause()

if __name__ == '__main__':
    cli.run_script(data.main)
