"""Human pose estimation: Tompson et al. 2014, CPM, DeepPose, HRNet and SPM.

    import jointpose
    model = jointpose.load('pretrained/flic_quarter')
    people = model(jointpose.read('picture.jpg'))

inference/api.py documents these.  TensorFlow is imported when one of them is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jointpose.inference.api import Model, Result, load, read

__all__ = ['Model', 'Result', 'load', 'read']  # of inference/api.py
__version__ = '1.0'  # pyproject.toml reads it here; CITATION.cff says the same


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module('jointpose.inference.api'), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
