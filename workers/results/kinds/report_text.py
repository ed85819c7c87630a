"""The report in sentences as a Basic Text SR."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage

from workers.results.registry import register

if TYPE_CHECKING:
    from workers.findings.analysed import AnalysedStudy


@register("report-text", BasicTextSRStorage, series_number=9108, fallback="capture")
def report(study: AnalysedStudy) -> Iterable[Dataset | None]:
    """One of the study."""
    from workers.results.text import text_report  # noqa: PLC0415  # highdicom

    return (text_report(study),)
