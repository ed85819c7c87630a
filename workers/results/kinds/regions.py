"""The regions with their outlines and probabilities as a Structured Report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from workers.results.registry import register

if TYPE_CHECKING:
    from workers.findings.analysed import AnalysedStudy


@register("regions", Comprehensive3DSRStorage, series_number=9102, fallback="regions-2d")
def regions(study: AnalysedStudy) -> Iterable[Dataset | None]:
    """One of each source that has regions and square pixels."""
    from workers.results.regions import regions_documents  # noqa: PLC0415  # highdicom

    return study.once(regions_documents)
