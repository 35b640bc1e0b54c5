"""Exports a trained network: `python export.py --help` (jointpose/inference/export.py)."""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

from jointpose.inference.export import main
from jointpose.utils.cli import run_script

if __name__ == '__main__':
    run_script(main)
