"""The system that docs/extending.md shows, as a file in a folder where systems are found."""

import contextlib
import os
import re
import sys

from conftest import ROOT

from jointpose import systems


def example():
    """The Python of the page."""
    with open(os.path.join(ROOT, 'docs', 'extending.md'), encoding='utf-8') as file:
        (code,) = re.findall(r'^```python\n(.*?)^```$', file.read(), re.MULTILINE | re.DOTALL)
    return code


@contextlib.contextmanager
def system_file(folder, name, code):
    """A system of this name, whose file has this code, for as long as the context lasts."""
    with open(os.path.join(folder, f'{name}.py'), 'w', encoding='utf-8') as file:
        file.write(code)
    systems.__path__.append(str(folder))
    try:
        yield
    finally:
        systems.__path__.remove(str(folder))
        sys.modules.pop(f'jointpose.systems.{name}', None)
