"""Data sets: a file each, behind the interface of base.py; what they share; their arrays on disk."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import typing

if typing.TYPE_CHECKING:
    import argparse

    from jointpose.datasets.base import DataSet
    from jointpose.datasets.skeleton import Skeleton


@functools.cache
def names() -> tuple[str, ...]:
    """Returns the names of all data sets: those of the modules here that define one."""
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    return tuple(sorted(name for name in modules if _class_in(name)))


@functools.cache
def load(name: str, skeleton: Skeleton | None = None) -> DataSet:
    """Returns the data set of this name.

    skeleton: of a data set whose key points are data ('own'); without it, that has no key points.

    Raises:
        TypeError: its class lacks attributes or methods, which are listed.
    """
    found = _class_in(name)
    if found is None:
        raise ValueError(f'datasets/{name}.py defines no DataSet with name = {name!r}')
    if missing := found.missing():
        raise TypeError(f'datasets/{name}.py: {found.__name__} lacks {", ".join(missing)}')
    return found(skeleton) if skeleton else found()


def of_manifest(manifest: dict) -> DataSet:
    """Returns the data set of arrays, with the skeleton that their manifest holds, if any."""
    return _load_stored(manifest['dataset'], manifest.get('skeleton'))


def of_options(options: argparse.Namespace) -> DataSet:
    """Returns the data set of a run, with the skeleton that its options hold, if any.

    run_options.resolve_options takes it from the arrays or from the checkpoint.
    """
    return _load_stored(options.dataset, getattr(options, 'skeleton', None))


def _load_stored(name, skeleton):
    """`load` with a skeleton as JSON has it, or None."""
    from jointpose.datasets.skeleton import from_json

    return load(name, from_json(skeleton)) if skeleton else load(name)


@functools.cache
def readers() -> dict[str, str]:
    """Returns {value of data.py --dataset: name of the data set that reads it}."""
    found = {}
    for name in names():
        for source in (name, *load(name).same_form):
            found[source] = name
    return found


def _class_in(name):
    """Returns the subclass of DataSet that a module of this package defines under its own name, or None."""
    from jointpose.datasets.base import DataSet

    module = importlib.import_module(f'jointpose.datasets.{name}')
    for value in vars(module).values():
        if (
            inspect.isclass(value)
            and issubclass(value, DataSet)
            and value.__dict__.get('name') == name
        ):
            return value
    return None
