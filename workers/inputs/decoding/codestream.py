"""A compressed frame's own header, read before any codec is used, and the end marker where it is missing."""

from __future__ import annotations

import struct

SOC_SIZ = b"\xff\x4f\xff\x51"  # JPEG 2000 and HTJ2K, ISO/IEC 15444-1 A.5.1
SOI = b"\xff\xd8"  # JPEG, ISO/IEC 10918-1 B.1.1, and JPEG-LS, ISO/IEC 14495-1 C.1.1
END = b"\xff\xd9"  # EOI and EOC; not found within the compressed bits of any of them
BEGINNINGS = (SOI + b"\xff", SOC_SIZ)
START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
JPEG_LS = 0xF7
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_BITS = {SOI: b"\xff\xda", SOC_SIZ: b"\xff\x93"}  # SOS, SOD: the markers behind which the compressed bits begin
_MOST_PADDING = 64  # zeros between two codestreams
_MOST_ZEROS = 16  # taken as bits of a JPEG without end: too few for a row of pixels, if they are none
_FILLINGS = (b"\x55" * 64, b"\xaa" * 64)  # bits that differ everywhere


class BadPixels(ValueError):
    """Pixels that cannot be decoded; the text is the reason in plain words, which people read in the study's notes."""


def rows_columns(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS or JPEG 2000 codestream; None where it is none of them or has no size."""
    try:
        if frame.startswith(SOC_SIZ):
            right, bottom, left, top = struct.unpack_from(">4I", frame, 8)
            return bottom - top, right - left
        found = _start_of_frame(frame)
        rows, columns = struct.unpack_from(">HH", frame, found[1] + 5) if found else (0, 0)
        return (rows, columns) if rows else None  # 0: the number of lines comes at the end
    except (struct.error, IndexError):
        return None


def family(frame: bytes) -> str:
    """JPEG, JPEG-LS or JPEG 2000; empty where it begins as none of them."""
    if frame.startswith(SOC_SIZ):
        return "JPEG 2000"
    if not frame.startswith(SOI):
        return ""
    try:
        found = _start_of_frame(frame)
    except (struct.error, IndexError):
        found = None
    return "JPEG-LS" if found and found[0] == JPEG_LS else "JPEG"


def has_end(frame: bytes) -> bool:
    """Whether the end marker stands behind the compressed bits; True for what has no such marker (RLE)."""
    bits = next((marker for begin, marker in _BITS.items() if frame.startswith(begin)), None)
    return bits is None or frame.rfind(END) > frame.rfind(bits)


def with_end(frame: bytes) -> tuple[tuple[bytes, ...], ...]:
    """The ways to read a frame, the first that can be decoded counts; where one has two streams, both must be equal.

    A missing end marker is added. Codecs of JPEG-LS and JPEG 2000 then notice by themselves whether bits are missing.
    Those of JPEG invent what is missing: such a frame is whole if it is the same whatever bits are added before the
    marker.
    """
    if has_end(frame):
        return ((frame,),)
    bare = frame.rstrip(b"\0\xff")  # of padding and fill bytes, which compressed bits may end with, too
    if family(frame) != "JPEG":
        return ((frame + END,), (bare + END,))
    ends = (frame[len(bare) : len(bare) + _MOST_ZEROS].rstrip(b"\xff"), b"")
    return tuple(tuple(bare + end + filling + END for filling in _FILLINGS) for end in ends)


def split(stream: bytes) -> list[bytes]:
    """Codestreams that lie one after the other, cut where an end marker (and padding) is followed by a beginning."""
    starts, at = [0], 0
    while (at := stream.find(END, at)) >= 0:
        at += len(END)
        behind = stream[at : at + _MOST_PADDING].lstrip(b"\0")
        begin = at + min(len(stream) - at, _MOST_PADDING) - len(behind)
        if behind.startswith(BEGINNINGS):
            starts.append(begin)
    return [stream[begin:end] for begin, end in zip(starts, [*starts[1:], len(stream)], strict=True)]


def _start_of_frame(frame: bytes) -> tuple[int, int] | None:
    """(the marker's code, where it stands) of a JPEG or JPEG-LS codestream."""
    at = 2
    while frame.startswith(SOI) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in START_OF_FRAME:
            return marker, at
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", frame, at + 2)[0]
    return None
