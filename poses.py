"""`import poses`: the earlier name of the Python interface, which is now `import jointpose`."""

if __name__ == '__main__':
    raise SystemExit(
        'poses.py is a module, not a script: in Python, `import jointpose` (docs/pictures.md); on the '
        'command line, `python main.py --restore RUN --predict PICTURE`'
    )

import sys

from jointpose.inference import api

sys.modules[__name__] = api
