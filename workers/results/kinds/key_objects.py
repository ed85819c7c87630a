"""The images on which something was found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from workers.results.registry import register

if TYPE_CHECKING:
    from workers.findings.analysed import AnalysedStudy


@register("key-objects", KeyObjectSelectionDocumentStorage, series_number=9105, fallback="capture")
def selection(study: AnalysedStudy) -> Iterable[Dataset | None]:
    """One of the study, if anything was found."""
    from workers.results.ko import key_objects  # noqa: PLC0415  # highdicom

    return (key_objects(study),)
