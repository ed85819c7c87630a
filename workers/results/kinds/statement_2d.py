"""The statement once more as Comprehensive SR, for peers that do not take Comprehensive 3D SR."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import ComprehensiveSRStorage

from workers.results.registry import register

if TYPE_CHECKING:
    from workers.findings.analysed import AnalysedStudy


@register("statement-2d", ComprehensiveSRStorage, series_number=9113, fallback="report-text")
def plain_statement(study: AnalysedStudy) -> Iterable[Dataset | None]:
    """The same documents without anything that only Comprehensive 3D SR has."""
    from workers.results.plain import comprehensive  # noqa: PLC0415  # highdicom
    from workers.results.statement import statement_document  # noqa: PLC0415

    return comprehensive((study.once(statement_document),), "statement-2d", study)
