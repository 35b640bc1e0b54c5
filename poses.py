"""`import poses`: the earlier name of the Python interface, which is now `import jointpose`."""

import sys

from jointpose.inference import api

sys.modules[__name__] = api
