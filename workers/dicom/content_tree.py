"""The content tree of a Structured Report (PS3.3 C.17.3): its items, what they refer to, and the evidence beside it."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset


def content_items(dataset: Dataset) -> Iterator[Dataset]:
    """Content items below the root, depth first."""
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from content_items(item)


def concept(item: Dataset) -> str:
    """The Code Value of the item's concept name; empty where it has none."""
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeValue", "")) if names else ""


def evidence_complete(dataset: Dataset) -> bool:
    """Whether the evidence names each instance that the content refers to, once (PS3.3 C.17.2)."""
    named = _evidence(dataset)
    return len(named) == len(set(named)) and set(_references(dataset)) <= set(named)


def _references(dataset: Dataset) -> Iterator[str]:
    for item in content_items(dataset):
        for reference in item.get("ReferencedSOPSequence", ()):
            yield str(reference.ReferencedSOPInstanceUID)


def _evidence(dataset: Dataset) -> list[str]:
    return [
        str(instance.ReferencedSOPInstanceUID)
        for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for study in dataset.get(keyword, ())
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]
