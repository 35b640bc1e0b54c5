"""The authors' tools:  python -m tools.NAME --help"""

import jointpose.utils.startup  # noqa: F401
