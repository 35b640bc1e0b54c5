"""Pose estimators behind one interface: one module or package each, found by its name.

`--system hrnet` is the subclass of System in systems/hrnet.py; base.py describes the interface, and
docs/extending.md shows how to write one.  A new module in this folder is a new system.
"""

import importlib
import pkgutil

from jointpose.systems.base import Network, System, missing_parts

__all__ = ['Network', 'System', 'load', 'names']


def names() -> tuple[str, ...]:
    """Names of all systems."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in modules if name != 'base'))


def load(name: str) -> type[System]:
    """The System class of this name; TypeError says what it lacks, if anything."""
    module = importlib.import_module(f'jointpose.systems.{name}')
    system = own_system(module)
    if missing := missing_parts(system):
        raise TypeError(
            f'{module.__file__}: class {system.__name__} lacks {", ".join(missing)} '
            '(jointpose/systems/base.py says what these are)'
        )
    return system


def own_system(module) -> type[System]:
    """The one subclass of System that a module or its package defines."""
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, System)
        and value.__module__.startswith(module.__name__)
    ]
    if len(found) != 1:
        raise TypeError(f'{module.__file__}: must define one subclass of System, has {len(found)}')
    return found[0]
