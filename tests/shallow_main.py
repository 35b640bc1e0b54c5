"""main.py whose HRNet has one module a stage and one block a branch, for the tests: its graph is soon built."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import jointpose.utils.startup  # noqa: F401
from jointpose import main
from jointpose.systems import hrnet
from jointpose.utils import cli

hrnet.MODULES = (1, 1, 1)
hrnet.BLOCKS = 1

if __name__ == '__main__':
    cli.run_script(main.run_main)
