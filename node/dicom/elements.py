"""The elements of an encoded Data Set, one after the other, without a look into their values (PS3.5 7).

A flat walk: it needs no more stack and time for sequences that are nested ten thousand deep than for flat ones, and
takes nothing from the bytes on trust. Values are not decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol

from node.dicom.value_representations import LONG_LENGTH

UNDEFINED = 0xFFFFFFFF
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_LENGTH = frozenset(vr.encode() for vr in LONG_LENGTH)
Header = tuple[int, bytes, int, int]  # tag, VR (empty where it is implicit), value length, where the value begins


class Source(Protocol):
    """Bytes that are read where they are asked for."""

    def __getitem__(self, place: slice, /) -> bytes:
        """The bytes of a place; fewer where there are no more."""


def headers(dataset: Source, order: str = "<", at: int = 0, longest: int | None = None) -> Iterator[Header]:
    """The header of each element at the top from a place on; a value may end beyond the bytes, and is not looked at.

    Explicit or implicit VR is seen in the first of them, since senders exist that encode other than they declared.
    `order` is `"<"` for Little Endian, `">"` for Big Endian. It ends behind a value of undefined length without its
    delimiter, or of more than `longest` bytes.
    """
    walk = Walk(dataset, order, at)
    while (header := walk.header(at)) is not None:
        yield header
        _, vr, length, at = header
        if length != UNDEFINED:
            at += length
            continue
        at = walk.end_of_undefined(at, vr, None if longest is None else at + longest)
        if not walk.closed:
            return


class Walk:
    """Steps through a Data Set that begins at `at`.

    Attributes
    ----------
    implicit
        Whether its first element is in implicit VR.
    items, depth
        Items within values of undefined length so far, and how deep the last such value was nested.
    closed
        Whether the last such value ended with its delimiter.
    """

    def __init__(self, dataset: Source, order: str, at: int = 0) -> None:
        self._dataset = dataset
        self.implicit = not _is_vr(dataset[at + 4 : at + 6])
        self._tag, self._short, self._long = (struct.Struct(order + form) for form in ("HH", "H", "L"))
        self.items = self.depth = 0
        self.closed = True

    def header(self, at: int, *, implicit: bool = False) -> Header | None:
        """The header at a place; None where the bytes end before it does.

        An element of a VR that there is none of has a length of two bytes, as DCMTK reads it, unless what stands in
        place of the VR is no text: then it is the length of an element in implicit VR.
        """
        data = self._dataset[at : at + 12]
        if len(data) < 8:
            return None
        group, element = self._tag.unpack_from(data)
        tag, vr = group << 16 | element, data[4:6]
        if implicit or self.implicit or group == 0xFFFE or not _is_written(vr):
            return tag, b"", int(self._long.unpack_from(data, 4)[0]), at + 8
        if vr not in _LONG_LENGTH:
            return tag, vr, int(self._short.unpack_from(data, 6)[0]), at + 8
        if len(data) < 12:
            return None
        return tag, vr, int(self._long.unpack_from(data, 8)[0]), at + 12

    def end_of_undefined(self, at: int, vr: bytes, most: int | None = None, most_items: int | None = None) -> int:
        """Where a value of undefined length ends: behind the delimiter that closes what it opened, or at the end.

        Beyond the place `most`, or `most_items` items of this walk, nothing is looked at.
        """
        depth, unknown = 1, 1 if vr == b"UN" else 0  # UN of undefined length is encoded in implicit VR, PS3.5 6.2.2
        self.depth, self.closed = depth, False
        while depth:
            header = self.header(at, implicit=bool(unknown))
            if header is None or (most is not None and at >= most):
                return at
            tag, vr, length, at = header
            if tag == _ITEM:
                self.items += 1
                if most_items is not None and self.items > most_items:
                    return at
            if tag in (_ITEM_END, _SEQUENCE_END):
                depth -= 1
                unknown = unknown if depth >= unknown else 0
            elif length == UNDEFINED:
                depth += 1
                self.depth = max(self.depth, depth)
                unknown = unknown or (depth if vr == b"UN" else 0)
            else:
                at += length
        self.closed = True
        return at


def _is_vr(letters: bytes) -> bool:
    return letters.isalpha() and letters.isupper()


def _is_written(vr: bytes) -> bool:
    """Whether it stands for a VR, if there is one or not: two printable characters, or none at all."""
    return vr == b"\0\0" or (vr.isascii() and vr.decode("ascii").isprintable())
