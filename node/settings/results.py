"""The section `[results]`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from node.settings.base import Section


class Results(Section):
    """How results are worded, and what is made for peers that do not take a SOP class."""

    language: Literal["en", "zh"] = Field(
        "en",
        description="`en` or `zh`: report-text, report-pdf and the captures' legends; the coded Structured Reports are "
        "in English and say so; limits of a model stay as on its card",
    )
    font: Path | None = Field(
        None,
        description="a TrueType or OpenType font for captures and PDF; none: DejaVu Sans, which has no Chinese; "
        "needed for Chinese (Debian `fonts-noto-cjk`, `fonts-wqy-microhei`), else they stay English and `readfirst "
        "check` says so",
    )
    fallback: bool = Field(
        True,
        description="makes the fallback for peers that do not take a SOP class (capture, Comprehensive SR, Basic Text "
        "SR); `false` saves their disk space, and what is refused waits",
    )
