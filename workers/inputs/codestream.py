"""The size of a compressed frame by its own header, read before any codec is used."""

from __future__ import annotations

import struct

SOC_SIZ = b"\xff\x4f\xff\x51"  # JPEG 2000 and HTJ2K, ISO/IEC 15444-1 A.5.1
SOI = b"\xff\xd8"  # JPEG, ISO/IEC 10918-1 B.1.1, and JPEG-LS, ISO/IEC 14495-1 C.1.1
START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def rows_columns(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS or JPEG 2000 codestream; None where it is none of them or has no size."""
    try:
        if frame.startswith(SOC_SIZ):
            right, bottom, left, top = struct.unpack_from(">4I", frame, 8)
            return bottom - top, right - left
        return _jpeg(frame) if frame.startswith(SOI) else None
    except (struct.error, IndexError):
        return None


def _jpeg(frame: bytes) -> tuple[int, int] | None:
    at = 2
    while frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in START_OF_FRAME:
            rows, columns = struct.unpack_from(">HH", frame, at + 5)
            return (rows, columns) if rows else None  # 0: the number of lines is at the end
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", frame, at + 2)[0]
    return None
