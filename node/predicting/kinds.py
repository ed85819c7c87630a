"""What kind of file it is, by its content: names and media types are the sender's word."""

from __future__ import annotations

import zlib
from typing import Literal

Kind = Literal["DICOM", "PNG", "JPEG", "NIfTI"]
HEAD = 4096  # bytes that tell the kind
_NIFTI_AT = 344  # byte of the magic, after the 344 bytes of the header before it
_NIFTI = (b"n+1\0", b"ni1\0")


def kind_of(head: bytes) -> Kind | None:
    """The kind of a file that begins so, None where it is none that is read."""
    if head[128:132] == b"DICM":
        return "DICOM"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    return "NIfTI" if _unpacked(head)[_NIFTI_AT : _NIFTI_AT + 4] in _NIFTI else None


def _unpacked(head: bytes) -> bytes:
    if not head.startswith(b"\x1f\x8b"):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, _NIFTI_AT + 4)
    except zlib.error:
        return b""
