"""Data Sets as broken machines send them: their UIDs are right, the rest is not."""

from __future__ import annotations

from pydicom import Dataset

from tests.node.phantoms import encoded

_PIXELS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelData")
_OPEN = b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"  # Request Attributes Sequence


def cut_after_uids(dataset: Dataset) -> bytes:
    """Its bytes end within a Sequence, after Series Instance UID; nobody can read them as a whole."""
    for keyword in _PIXELS:
        delattr(dataset, keyword)
    return encoded(dataset) + _OPEN + b"\x08\x00"


def with_unknown_vr(dataset: Dataset) -> bytes:
    """Its Patient ID has a VR that there is none of."""
    before, after = b"\x10\x00\x20\x00LO", b"\x10\x00\x20\x00XX"
    assert before in encoded(dataset)
    return encoded(dataset).replace(before, after)


def with_short_rows(dataset: Dataset) -> bytes:
    """Its Rows (US) has one byte."""
    before, after = b"\x28\x00\x10\x00US\x02\x00\x04\x00", b"\x28\x00\x10\x00US\x01\x00\x04"
    assert before in encoded(dataset)
    return encoded(dataset).replace(before, after)
