"""The section `[reports]`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from node.settings.base import Section


class Reports(Section):
    """Radiology reports that the MLLP listener receives, kept for training; off by default."""

    enabled: bool = Field(
        False,
        description="whether ORU^R01 to the listener of `worklist.orders` is kept; else it is acknowledged and "
        "ignored. What is kept names the patient",
    )
    folder: Path | None = Field(None, description="where reports are kept; none: `reports` in `node.data`")
