"""Lookup tables of an image, read as viewers read them: by their data where the descriptor contradicts it.

The rules are those of DCMTK, with which the pictures are compared in the tests, and of the viewers that look at the
largest entry (Cornerstone, Horos).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from workers.dicom.attributes import numbers

Curve = NDArray[np.float64]
MOST_BITS = 16


@dataclass(frozen=True, slots=True, eq=False)
class LookupTable:
    """An item of a Modality or VOI LUT Sequence (PS3.3 C.11.1.1)."""

    first: int  # the value that the first entry is for; smaller ones get that entry, too
    entries: Curve
    largest: float  # what an entry of all its bits holds

    def of(self, values: Curve) -> Curve:
        """The entry of each value; a fraction is cut off, as in DCMTK."""
        found: Curve = self.entries[np.clip(np.trunc(values) - self.first, 0, len(self.entries) - 1).astype(np.intp)]
        return found


def lookup_table(item: Dataset, negative: bool, big_endian: bool = False) -> LookupTable | None:
    """The table of an item, or None where it has no descriptor or no data.

    Parameters
    ----------
    negative
        Whether the values that are looked up may be negative: the descriptor's second value is then signed, whatever
        its VR.
    big_endian
        Byte order of the file that the item is from: pydicom leaves the words of OW in it.
    """
    descriptor = numbers(item, "LUTDescriptor", 3)
    words = _words(item, ">" if big_endian else "<")
    if descriptor is None or not words.size:
        return None
    length, first, bits = (int(value) for value in descriptor)
    length = (length & 0xFFFF) or 1 << 16  # 65,536 entries are written as 0
    if words.size == (length + 1) // 2:  # two entries of 8 bits in each word, the first in its low byte
        words = words.astype("<u2").view(np.uint8)[:length].astype(np.uint16)
    first &= 0xFFFF
    first -= (1 << 16) * (negative and first >= 1 << 15)
    entries = words.astype(np.float64)
    return LookupTable(first, entries, float((1 << _bits(bits, int(entries.max()))) - 1))


def _bits(declared: int, largest: int) -> int:
    """Bits of an entry: as declared, unless the largest entry needs more, or shows that there are fewer.

    It shows that where it is the largest of fewer bits (Agfa's CR: 16 declared, all tables end at 4095), or where they
    would hold four times as much.
    """
    needed = max(largest.bit_length(), 1)
    if not needed <= declared <= MOST_BITS:
        return needed
    full = largest == (1 << needed) - 1 and needed >= 8
    return needed if full or needed <= declared - 2 else declared


def _words(item: Dataset, order: str) -> NDArray[np.uint16]:
    value = item.get("LUTData")
    if isinstance(value, bytes):
        return np.frombuffer(value[: len(value) // 2 * 2], dtype=f"{order}u2").astype(np.uint16)
    found = np.array([] if value is None else value, dtype=np.int64).reshape(-1)
    return (found & 0xFFFF).astype(np.uint16)  # SS: the same bits, without a sign
