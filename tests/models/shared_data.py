"""Where the real data are, and the skip where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"
CHEST_XRAY = SHARED / "chest_xray"
CHEST_CT = SHARED / "chest_ct" / "lidc-idri-0001"

needs_chest_xray = pytest.mark.skipif(not CHEST_XRAY.is_dir(), reason="needs the images of ../shared/data/chest_xray")
needs_chest_ct = pytest.mark.skipif(not CHEST_CT.is_dir(), reason="needs LIDC-IDRI-0001 of ../shared/data/chest_ct")
