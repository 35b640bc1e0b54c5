"""Packages that are not installed: one line that names the package and the file that brings it, no traceback."""

import os
import sys

# {what Python imports: (the package that has it, the file that lists it)}
PACKAGES = {
    'numpy': ('numpy', 'requirements.txt'),
    'tensorflow': ('tensorflow', 'requirements.txt'),
    'tensorboard': ('tensorboard', 'requirements.txt'),
    'scipy': ('scipy', 'requirements.txt'),
    'cv2': ('opencv-python-headless', 'requirements.txt'),
    'simplejpeg': ('simplejpeg', 'requirements.txt'),
    'PIL': ('pillow', 'requirements.txt'),
    'matplotlib': ('matplotlib', 'requirements.txt'),
    'pycocotools': ('pycocotools', 'requirements.txt'),
    'tqdm': ('tqdm', 'requirements.txt'),
    'tf2onnx': ('tf2onnx', 'requirements-export.txt'),
    'onnx': ('onnx', 'requirements-export.txt'),
    'onnxruntime': ('onnxruntime', 'requirements-export.txt'),
}


def missing_package(error: BaseException) -> str | None:
    """What to do about an exception, if it says that one of these packages is not installed; else None."""
    module = (getattr(error, 'name', None) or '').partition('.')[0]
    if not isinstance(error, ModuleNotFoundError) or module not in PACKAGES:
        return None
    package, file = PACKAGES[module]
    return f'{package} is not installed (no module {error.name}): pip install -r {file}'


def report_missing_package(kind, error, traceback):
    """A sys.excepthook: a script ends with one line and exit code 1 where a package is missing."""
    words = missing_package(error)
    if words is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print(f'{os.path.basename(sys.argv[0])}: error: {words}', file=sys.stderr)
