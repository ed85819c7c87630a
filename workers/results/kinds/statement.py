"""All findings, present or not, as a Structured Report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from workers.results.registry import register

if TYPE_CHECKING:
    from workers.findings.analysed import AnalysedStudy


@register("statement", Comprehensive3DSRStorage, series_number=9103, fallback="statement-2d")
def statement(study: AnalysedStudy) -> Iterable[Dataset | None]:
    """One of the study."""
    from workers.results.statement import statement_document  # noqa: PLC0415  # highdicom

    return (study.once(statement_document),)
