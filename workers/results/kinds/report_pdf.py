"""The report in sentences as pages to print."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from workers.results.registry import register

if TYPE_CHECKING:
    from workers.findings.analysed import AnalysedStudy


@register("report-pdf", EncapsulatedPDFStorage, series_number=9109, fallback="report-text")
def report(study: AnalysedStudy) -> Iterable[Dataset | None]:
    """One of the study."""
    from workers.results.pdf import pdf_report  # noqa: PLC0415  # highdicom

    return (pdf_report(study),)
