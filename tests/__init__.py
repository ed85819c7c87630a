"""Tests, and what is run by hand with `python -m tests.…`: both use the helpers in `deploy` (pacs, ohif, viewer)."""

import sys
from pathlib import Path

_DEPLOY = str(Path(__file__).parents[1] / "deploy")
if _DEPLOY not in sys.path:
    sys.path.append(_DEPLOY)
