"""`import poses`: another name of the package's Python interface, jointpose/inference/api.py."""

import sys

from jointpose.inference import api

sys.modules[__name__] = api
