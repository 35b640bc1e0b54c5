"""Draws skeletons on the pictures: `python show.py --help` (jointpose/evaluation/visualize.py)."""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

from jointpose.evaluation.visualize import main
from jointpose.utils.cli import run_script

if __name__ == '__main__':
    run_script(main)
