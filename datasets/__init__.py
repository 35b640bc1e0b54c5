"""Data sets: names and geometry of the joints and the readers, one module each (flic.py); their arrays on disk."""
import importlib


def load(name):
    """The data set's module."""
    return importlib.import_module(f'datasets.{name}')
