"""A picture with outlines and legend, for viewers that show nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from workers.results.registry import register

if TYPE_CHECKING:
    from workers.findings.analysed import AnalysedStudy


@register("capture", SecondaryCaptureImageStorage, series_number=9104)
def captures(study: AnalysedStudy) -> Iterable[Dataset | None]:
    """One of a radiograph, one of each slice of a volume where a region is largest."""
    from workers.results.sc import captures as of_source  # noqa: PLC0415  # highdicom

    return (one for each in study.sources for one in of_source(each))
