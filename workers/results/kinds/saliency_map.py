"""The raw saliency of a volume's findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import ParametricMapStorage

from workers.results.registry import register

if TYPE_CHECKING:
    from workers.findings.analysed import AnalysedStudy


@register("saliency-map", ParametricMapStorage, series_number=9107, of_saliency=True)
def saliency_maps(study: AnalysedStudy) -> Iterable[Dataset | None]:
    """One of each finding that has regions."""
    from workers.results.pm import saliency_maps as of_source  # noqa: PLC0415  # highdicom

    return (one for each in study.sources for one in of_source(each))
