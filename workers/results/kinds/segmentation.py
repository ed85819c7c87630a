"""The regions of each source as a Segmentation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from workers.results.registry import register

if TYPE_CHECKING:
    from workers.findings.analysed import AnalysedStudy


@register("segmentation", SegmentationStorage, series_number=9101, fallback="capture")
def segmentations(study: AnalysedStudy) -> Iterable[Dataset | None]:
    """One of each source that has regions."""
    from workers.results.seg import segmentation  # noqa: PLC0415  # highdicom

    return map(segmentation, study.sources)
