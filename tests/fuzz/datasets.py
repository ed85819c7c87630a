"""Data Sets of the field: how each is made, what C-STORE answers, and what reading its header and pixels says.

What can be identified is kept as sent and answered Success: an archive keeps what it gets, and what cannot be analysed
says so. So the refusals of the last two columns come later, in the worker.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from tests.node.phantoms import encoded, image, part10

SUCCESS, NOT_UNDERSTOOD, MISMATCH = "0x0000", "0xC000", "0xA900"
DEPTH = 10_000
BOMB = 1 << 28  # bytes that 256 kB inflate to
_OPEN = 0xFFFFFFFF
_ROWS = b"\x28\0\x10\0US\2\0\4\0"


@dataclass(frozen=True)
class Broken:
    """A Data Set by its maker, which takes the SOP Instance UID that the command names."""

    name: str
    dataset: Callable[[str], bytes]
    status: str = SUCCESS
    says: str = ""
    """What the log says of a refusal."""
    pixels: str = ""
    """What decoding says; empty where the pixels can be decoded."""
    header: str = ""
    """What reading the header says; empty where it can be read."""
    syntax: str = ExplicitVRLittleEndian


def _whole(uid: str, **changes: object) -> Dataset:
    """A CT image of 4 x 4 that can be decoded."""
    more = {
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "HighBit": 15, "PixelRepresentation": 0,
    }  # fmt: skip
    return image(uid, **(more | changes))


def _bytes(uid: str, **changes: object) -> bytes:
    return encoded(_whole(uid, **changes))


def _without_pixels(uid: str) -> bytes:
    return encoded(_whole(uid, PixelData=None))


def _element(group: int, element: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """An element of a 4-byte length in Explicit VR Little Endian."""
    return struct.pack("<HH2sxxL", group, element, vr, len(value) if length is None else length) + value


def _item(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value) if length is None else length) + value


def nested(group: int, element: int, depth: int = DEPTH, vr: bytes = b"SQ") -> bytes:
    """Sequences within sequences, of undefined length."""
    opening = _element(group, element, vr, _item(b"", _OPEN), _OPEN)
    closing = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return opening * depth + closing * depth


def nested_whole(group: int, element: int, depth: int = DEPTH) -> bytes:
    """Sequences within sequences, of known length."""
    parts = [b""]
    size = 0
    for _ in range(depth):
        head = struct.pack("<HH2sxxLHHL", group, element, b"SQ", size + 8, 0xFFFE, 0xE000, size)
        parts.append(head)
        size += len(head)
    return b"".join(reversed(parts))


def deflated(dataset: bytes, more: int = 0) -> bytes:
    """Deflated as PS3.5 A.5 has it, with so many zero bytes behind."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(dataset) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # refers to nothing before it
    return packed + block * (more >> 20) + packer.flush()


def _bomb(uid: str) -> bytes:
    return deflated(_without_pixels(uid) + _element(0x7FE0, 0x0010, b"OW", b"", BOMB), BOMB)


def _bomb_before_pixels(uid: str) -> bytes:
    return deflated(_without_pixels(uid) + _element(0x0071, 0x1010, b"OB", b"", BOMB), BOMB)


def _early(uid: str, more: bytes) -> bytes:
    """Before Study Instance UID."""
    whole = _bytes(uid)
    at = whole.index(b"\x08\0\x18\0UI")
    return whole[:at] + more + whole[at:]


def _rows(uid: str, rows: bytes) -> bytes:
    whole = _bytes(uid)
    assert _ROWS in whole
    return whole.replace(_ROWS, rows)


def _encapsulated(uid: str) -> bytes:
    """Pixel Data without its Sequence Delimitation Item."""
    fragment = b"\xff\x4f\xff\x51" + bytes(60)
    return _without_pixels(uid) + _element(0x7FE0, 0x0010, b"OB", _item(b"") + _item(fragment), _OPEN)


def _odd_lengths(uid: str) -> bytes:
    """Texts and pixels of odd length."""
    whole = _without_pixels(uid)
    before, after = b"\x10\0\x20\0LO\x08\0HUSH4711", b"\x10\0\x20\0LO\x07\0HUSH471"
    assert before in whole
    return whole.replace(before, after) + _element(0x7FE0, 0x0010, b"OW", bytes(31))


def _polyglot(uid: str, magic: bytes) -> bytes:
    """A whole file with a preamble that begins a program, sent where a Data Set belongs (CVE-2019-11687)."""
    file = part10(_bytes(uid), sop_instance_uid=uid)
    return magic + file[len(magic) :]


_PRIVATE = b"\x71\0\x10\0LO\4\0FUZZ"
_MORE = "more than the limit"

DATASETS: tuple[Broken, ...] = (
    Broken("no Data Set", lambda _uid: b"", NOT_UNDERSTOOD, "is missing"),
    Broken("garbage", lambda _uid: b"\xff" * 5000, NOT_UNDERSTOOD, "is missing", header="ends within a sequence"),
    Broken("another instance than the command's", lambda _uid: _bytes("1.2.3"), MISMATCH, "name different"),
    Broken("no Study Instance UID", lambda uid: _bytes(uid, StudyInstanceUID=None), NOT_UNDERSTOOD,
           "StudyInstanceUID is missing"),
    Broken("a Study Instance UID of 65 characters",
           lambda uid: _bytes(uid).replace(b"\x20\0\x0d\0UI\x18\0", b"\x20\0\x0d\0UI\x42\0" + b"1." + b"2" * 40),
           NOT_UNDERSTOOD, "is not a valid UID"),
    Broken("NUL within the Study Instance UID",
           lambda uid: _bytes(uid).replace(b"043.9.1\0\x20\0\x0e", b"04\x00.9.1\0\x20\0\x0e"),
           NOT_UNDERSTOOD, "is not a valid UID"),
    Broken("a path for the Study Instance UID",
           lambda uid: _bytes(uid).replace(
               b"1.2.826.0.1.3680043.9.1\0\x20\0\x0e", b"../../../../../tmp/xxxx\0\x20\0\x0e"
           ),
           NOT_UNDERSTOOD, "is not a valid UID"),
    Broken("a UID with a VR that there is none of",
           lambda uid: _bytes(uid).replace(b"\x20\0\x0d\0UI", b"\x20\0\x0d\0U8")),
    Broken("a program's preamble, PE", lambda uid: _polyglot(uid, b"MZ\x90\0"), NOT_UNDERSTOOD, "is missing",
           header="ends within an element"),
    Broken("a program's preamble, ELF", lambda uid: _polyglot(uid, b"\x7fELF\2\1\1"), NOT_UNDERSTOOD, "is missing",
           header="ends within an element"),
    Broken("sequences 10,000 deep", lambda uid: _without_pixels(uid) + nested(0x0040, 0xA730), pixels="no Pixel Data"),
    Broken("sequences 10,000 deep, of known length", lambda uid: _without_pixels(uid) + nested_whole(0x0040, 0xA730),
           pixels="no Pixel Data"),
    Broken("sequences 10,000 deep before the UIDs", lambda uid: _early(uid, nested(0x0008, 0x0006))),
    Broken("sequences 10,000 deep of UN", lambda uid: _without_pixels(uid) + nested(0x0071, 0x1010, vr=b"UN"),
           pixels="no Pixel Data", header="a sequence of more than 16 MiB"),
    Broken("private elements of undefined length without end",
           lambda uid: _without_pixels(uid) + _PRIVATE + _element(0x0071, 0x1010, b"UN", b"", _OPEN) * 5000,
           pixels="no Pixel Data", header="a sequence of more than 16 MiB"),
    Broken("private elements of undefined length without end before the UIDs",
           lambda uid: _early(uid, _element(0x0007, 0x1010, b"OB", b"", _OPEN) * 5000), NOT_UNDERSTOOD, "is missing",
           header="ends within a sequence"),
    Broken("ten thousand empty items",
           lambda uid: _early(uid, _element(0x0008, 0x0006, b"SQ", _item(b"") * 10_000))),
    Broken("ten thousand empty items without end",
           lambda uid: _early(uid, _element(0x0008, 0x0006, b"SQ", _item(b"") * 10_000, _OPEN)), NOT_UNDERSTOOD,
           "is missing", header="ends within a sequence"),
    Broken("an element of 0xFFFFFFF0 bytes",
           lambda uid: _without_pixels(uid) + _element(0x0071, 0x1010, b"OB", b"x", 0xFFFFFFF0),
           pixels="no Pixel Data", header="ends within an element"),
    Broken("an element of 0xFFFFFFF0 bytes before the UIDs",
           lambda uid: _early(uid, _element(0x0008, 0x0006, b"OB", b"x", 0xFFFFFFF0)), NOT_UNDERSTOOD, "is missing",
           header="ends within an element"),
    Broken("Rows x Columns of 65,535 each", lambda uid: _bytes(uid, Rows=65535, Columns=65535), pixels=_MORE),
    Broken("Rows as UL of 0xFFFFFFFF", lambda uid: _rows(uid, b"\x28\0\x10\0UL\4\0\xff\xff\xff\xff"), pixels=_MORE),
    Broken("Rows as UL", lambda uid: _rows(uid, b"\x28\0\x10\0UL\4\0\4\0\0\0")),
    Broken("negative Rows", lambda uid: _rows(uid, b"\x28\0\x10\0SS\2\0\xfc\xff"), pixels="contradict each other"),
    Broken("empty Rows", lambda uid: _rows(uid, b"\x28\0\x10\0US\0\0"), pixels="Rows is no number"),
    Broken("two Rows", lambda uid: _rows(uid, b"\x28\0\x10\0US\4\0\4\0\4\0"), pixels="Rows is no number"),
    Broken("two billion frames", lambda uid: _bytes(uid, NumberOfFrames="2147483647"), pixels=_MORE),
    Broken("a deflate bomb", _bomb, syntax=DeflatedExplicitVRLittleEndian, pixels="more than it declares"),
    Broken("a deflate bomb before the pixels", _bomb_before_pixels, syntax=DeflatedExplicitVRLittleEndian,
           pixels="before its pixels", header="before its pixels"),
    Broken("deflated garbage", lambda _uid: b"\xff" * 5000, NOT_UNDERSTOOD, "cannot be inflated",
           header="cannot be read", syntax=DeflatedExplicitVRLittleEndian),
    Broken("a character set that there is none of",
           lambda uid: _bytes(uid).replace(b"Secret^Name ", b"S\xff\xfe\x1b$)CN\xc3e\\ ", 1)),
    Broken("Pixel Data without its delimiter", _encapsulated, syntax=JPEG2000Lossless, pixels="0 x 0"),
    Broken("Pixel Data without its delimiter, RLE", _encapsulated, syntax=RLELossless, pixels="0 x 0"),
    Broken("odd lengths", _odd_lengths, pixels="31 bytes where 32 are declared"),
    Broken("implicit VR where explicit was agreed on", lambda uid: encoded(_whole(uid), ImplicitVRLittleEndian)),
    Broken("Little Endian where Big Endian was agreed on", _bytes, NOT_UNDERSTOOD, "is missing",
           header="ends within an element", syntax=ExplicitVRBigEndian),
)  # fmt: skip
