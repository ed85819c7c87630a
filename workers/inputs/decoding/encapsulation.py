"""The frames of encapsulated Pixel Data as devices write it, not only as PS3.5 A.4 wants it.

Read are: no Sequence Delimitation Item (but the end of the file, or padding); items of odd length, padded or not; an
Item Delimitation Item behind an item; no Basic Offset Table, an empty or a wrong one; a codestream in several items, an
item with several codestreams; a bare codestream in a value of explicit length. Whatever else is refused in words.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from workers.inputs.decoding.codestream import BEGINNINGS, BadPixels, split

MOST_FRAGMENTS = 1 << 18
_ITEM, _ITEM_END, _SEQUENCE_END = (struct.pack("<HH", 0xFFFE, element) for element in (0xE000, 0xE00D, 0xE0DD))
_TAGS = (_ITEM, _ITEM_END, _SEQUENCE_END)
_HEADER = 8  # bytes: tag and length
_UNDEFINED = 0xFFFFFFFF
_RLE_HEADER = 64  # bytes, PS3.5 G.5
_MOST_SEGMENTS = 15


def frames(value: bytes, count: int) -> list[bytes]:
    """The compressed frames that a Pixel Data value holds.

    Parameters
    ----------
    value
        All bytes of the value; behind it may be others where it has no end of its own.
    count
        Number of Frames, as declared.

    Raises
    ------
    BadPixels
        No frame, or none can say where a frame begins.
    """
    if value.startswith(BEGINNINGS):
        return _grouped([value], (), count)
    if not value.startswith(_ITEM):
        raise BadPixels("its Pixel Data begins neither with an item nor with a codestream")
    found = fragments(value)
    table: tuple[int, ...] = ()
    if not _is_frame(found[0]):
        table = struct.unpack(f"<{len(found[0]) // 4}L", found[0][: len(found[0]) // 4 * 4])
        found = found[1:]
    if not any(found):
        raise BadPixels("its Pixel Data holds no frame")
    return _grouped(found, table, count)


def fragments(value: bytes) -> list[bytes]:
    """The items' values, with the Basic Offset Table, up to whatever is no item; the last may be cut by the end."""
    found: list[bytes] = []
    at = 0
    while (tag := value[at : at + 4]) in (_ITEM, _ITEM_END) and len(value) - at >= _HEADER:
        (length,) = struct.unpack_from("<L", value, at + 4)
        at += _HEADER
        if tag == _ITEM_END:
            continue
        if len(found) == MOST_FRAGMENTS:
            raise BadPixels(f"its Pixel Data has more than {MOST_FRAGMENTS} items")
        end = _end(value, at, length)
        found.append(value[at:end])
        at = end + (value[end : end + 1] == b"\0" and value[end + 1 : end + 5] in _TAGS)
    return found


def _end(value: bytes, at: int, length: int) -> int:
    """Where an item's value ends: by its length, or at the next item's tag where it has none."""
    if length != _UNDEFINED:
        return min(at + length, len(value))
    ends = [end for tag in _TAGS if (end := value.find(tag, at)) >= 0]
    return min(ends, default=len(value))


def _is_frame(fragment: bytes) -> bool:
    """Whether the first item is compressed pixels, because its writer left out the Basic Offset Table."""
    if fragment.startswith(BEGINNINGS):
        return True
    if len(fragment) <= _RLE_HEADER:
        return False
    segments, first = struct.unpack_from("<LL", fragment)
    return bool(1 <= segments <= _MOST_SEGMENTS and first == _RLE_HEADER)


def _grouped(found: Sequence[bytes], table: Sequence[int], count: int) -> list[bytes]:
    """Fragments as frames: one of all, one each, by codestreams' beginnings, by the table, or cut within fragments."""
    if count == 1:
        return [b"".join(found)]
    begins = [at for at, fragment in enumerate(found) if fragment.startswith(BEGINNINGS)]
    if len(found) == count and len(begins) in (0, count):
        return list(found)
    if len(begins) == count and begins[0] == 0:
        return _joined(found, begins)
    by_table = _by_table(found, table)
    if len(by_table) == count and not begins:
        return _joined(found, by_table)
    streams = split(b"".join(found)) if begins else []
    if len(streams) == count:
        return streams
    raise BadPixels(f"its Pixel Data has {len(streams) or len(found)} frames where {count} are declared")


def _joined(found: Sequence[bytes], begins: Sequence[int]) -> list[bytes]:
    ends = [*begins[1:], len(found)]
    return [b"".join(found[begin:end]) for begin, end in zip(begins, ends, strict=True)]


def _by_table(found: Sequence[bytes], table: Sequence[int]) -> list[int]:
    """Which fragments the table's offsets name; none where one of them lies between fragments."""
    offsets, at = {}, 0
    for number, fragment in enumerate(found):
        offsets[at] = number
        at += _HEADER + len(fragment)
    named = [offsets.get(offset, -1) for offset in table]
    return named if named[:1] == [0] and named == sorted(set(named)) else []
