"""`python -m node.settings` prints `deploy/SETTINGS.md`."""

import sys

from node.settings.document import document

sys.stdout.write(document())
