"""Coded concepts by their SNOMED CT value alone: meanings of those that DICOM uses."""

from __future__ import annotations

from functools import cache

from models.card import Code

SCHEME = "SCT"
_LONGEST = 64  # characters of a Code Meaning (LO)


def sct(value: str, meaning: str) -> Code:
    """The concept of a SNOMED CT value, with the meaning that PS3.16 gives it; with yours where it has none."""
    return Code(value, SCHEME, (_meanings().get(value) or meaning)[:_LONGEST])


@cache
def _meanings() -> dict[str, str]:
    from pydicom.sr.codedict import codes  # noqa: PLC0415 (eleven thousand concepts)

    concepts = (getattr(codes.SCT, keyword) for keyword in codes.SCT.dir())
    return {concept.value: concept.meaning for concept in concepts}
