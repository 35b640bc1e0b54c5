"""Human pose estimation: Tompson et al. 2014, CPM, DeepPose, HRNet and SPM.

    import jointpose
    model = jointpose.load('pretrained/flic_quarter')
    people = model(jointpose.read('picture.jpg'))

jointpose/inference/api.py documents these.  The import itself is quick: TensorFlow is imported
by `load`.
"""

import importlib

__version__ = '1.0'  # pyproject.toml reads it here; CITATION.cff says the same
INTERFACE = ('load', 'read', 'Model', 'Person')


def __getattr__(name):
    if name not in INTERFACE:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module('jointpose.inference.api'), name)
