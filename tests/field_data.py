"""Where the samples of what real devices send are, and the skip where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

FIELD = Path(__file__).parents[2] / "shared" / "cases" / "field"

needs_field = pytest.mark.skipif(not FIELD.is_dir(), reason="needs the files of ../shared/cases/field")
