"""Outlines as a presentation state, for workstations that draw nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from workers.results.registry import register

if TYPE_CHECKING:
    from workers.findings.analysed import AnalysedStudy


@register("presentation-state", GrayscaleSoftcopyPresentationStateStorage, series_number=9106, fallback="capture")
def presentation_states(study: AnalysedStudy) -> Iterable[Dataset | None]:
    """One of each source that has regions."""
    from workers.results.pr import presentation_state  # noqa: PLC0415  # highdicom

    return map(presentation_state, study.sources)
