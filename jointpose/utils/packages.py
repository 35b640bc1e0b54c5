"""Missing packages: one line that names the package and the file that lists it."""

import os
import sys
from typing import NamedTuple


class Package(NamedTuple):
    """Where a package comes from."""

    name: str  # on the package index
    listed_in: str  # the requirements file


# {the name that Python imports: its package}
PACKAGES = {
    'numpy': Package('numpy', 'requirements.txt'),
    'tensorflow': Package('tensorflow', 'requirements.txt'),
    'tensorboard': Package('tensorboard', 'requirements.txt'),
    'scipy': Package('scipy', 'requirements.txt'),
    'cv2': Package('opencv-python-headless', 'requirements.txt'),
    'simplejpeg': Package('simplejpeg', 'requirements.txt'),
    'PIL': Package('pillow', 'requirements.txt'),
    'matplotlib': Package('matplotlib', 'requirements.txt'),
    'pycocotools': Package('pycocotools', 'requirements.txt'),
    'tqdm': Package('tqdm', 'requirements.txt'),
    'tf2onnx': Package('tf2onnx', 'requirements-export.txt'),
    'onnx': Package('onnx', 'requirements-export.txt'),
    'onnxruntime': Package('onnxruntime', 'requirements-export.txt'),
}


def missing_package(error: BaseException) -> str | None:
    """Returns how to install the package that an exception says is missing, or None."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    module = (error.name or '').partition('.')[0]
    if module not in PACKAGES:
        return None
    package = PACKAGES[module]
    return (
        f'{package.name} is not installed (no module {error.name}): '
        f'pip install -r {package.listed_in}'
    )


def report_missing_package(kind, error, traceback) -> None:
    """A sys.excepthook that replaces the traceback by one line if a package is missing."""
    message = missing_package(error)
    if message is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print(f'{os.path.basename(sys.argv[0])}: error: {message}', file=sys.stderr)
