"""The Image Pixel module of a file's bytes (PS3.3 C.7.6.3): what it declares, and where the pixels are.

The same flat walk of elements as at reception: whatever else the Data Set holds is passed over, not decoded.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from dataclasses import dataclass

from node.dicom.elements import UNDEFINED, headers
from workers.inputs.decoding.codestream import BadPixels

LONGEST = 1 << 24  # bytes of a deflated Data Set before its pixels; a bomb is never inflated further
_PREAMBLE, _PREFIX = 132, b"DICM"
_TRANSFER_SYNTAX = 0x00020010
_PIXEL_DATA = 0x7FE00010
_NUMBERS = {  # tag: keyword
    0x00280002: "SamplesPerPixel",
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280100: "BitsAllocated",
    0x00280101: "BitsStored",
    0x00280103: "PixelRepresentation",
}
_FRAMES, _PHOTOMETRIC, _PLANAR = 0x00280008, 0x00280004, 0x00280006
_HIGH_BIT, _PADDING = 0x00280102, 0x00280120
_WANTED = frozenset({*_NUMBERS, _FRAMES, _PHOTOMETRIC, _PLANAR, _HIGH_BIT, _PADDING})
_DEFLATED, _BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
_WHOLE = re.compile(r"[+]?[0-9]{1,12}([.]0*)?")
_Values = dict[int, tuple[bytes, bytes]]  # tag: VR (empty where implicit), value


@dataclass(frozen=True, slots=True)
class ImagePixel:
    """What an instance declares of its pixels, compared with itself, and the bytes of its Pixel Data."""

    transfer_syntax: str
    rows: int
    columns: int
    samples: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int
    planar_configuration: int
    photometric_interpretation: str
    padding: int | None
    """Pixel Padding Value as its bits are, unsigned."""
    vr: str
    pixel_data: memoryview
    """Without its header; up to the end of the file where it has no length."""
    encapsulated: bool
    """Whether its length is undefined."""

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(rows, columns), and samples where there are several."""
        return (self.rows, self.columns) + (self.samples,) * (self.samples > 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """(frames, rows, columns), without frames where there is one."""
        return (self.frames,) * (self.frames > 1) + self.frame_shape

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return (self.bits_allocated + 7) // 8


def read_image_pixel(content: bytes, largest_bytes: int) -> ImagePixel:
    """Find and compare them.

    Raises
    ------
    BadPixels
        It is no DICOM file, lacks an attribute, contradicts itself, or declares more than `largest_bytes` of pixels.
    """
    if content[_PREAMBLE - 4 : _PREAMBLE] != _PREFIX:
        raise BadPixels("it is no DICOM file: there is no DICM after 128 bytes")
    transfer_syntax, at = _transfer_syntax(content)
    if transfer_syntax == _DEFLATED:
        return _read_deflated(content, at, largest_bytes)
    order = ">" if transfer_syntax == _BIG_ENDIAN else "<"
    values, place = _walk(content, order, at)
    return _image_pixel(transfer_syntax, values, order, _pixel_data(content, place), largest_bytes)


def _transfer_syntax(content: bytes) -> tuple[str, int]:
    """(Transfer Syntax UID, where the Data Set begins)."""
    found, end = "", _PREAMBLE
    for tag, _, length, at in headers(content, "<", _PREAMBLE):
        if tag >> 16 != 0x0002 or length == UNDEFINED:
            break
        end = at + length
        if tag == _TRANSFER_SYNTAX:
            found = content[at:end].decode("latin-1").strip("\0 ")
    if not found:
        raise BadPixels("its File Meta Information names no Transfer Syntax")
    return found, end


_Place = tuple[str, int, int]  # VR, length, where the value begins


def _walk(content: bytes, order: str, at: int) -> tuple[_Values, _Place | None]:
    """The wanted attributes and where the pixels are; what lies behind those counts only where one is still missing."""
    values: _Values = {}
    place: _Place | None = None
    for tag, vr, length, begin in headers(content, order, at):
        if tag == _PIXEL_DATA:
            place = (vr.decode("latin-1"), length, begin)
        elif tag in _WANTED and length != UNDEFINED:
            values[tag] = vr, content[begin : begin + length]
        if place and values.keys() >= _NUMBERS.keys():
            break
    return values, place


_Pixels = tuple[str, memoryview, bool]  # VR, bytes, whether it is of undefined length


def _pixel_data(content: bytes, place: _Place | None) -> _Pixels | None:
    if place is None:
        return None
    vr, length, at = place
    open_ended = length == UNDEFINED
    return vr, memoryview(content)[at : None if open_ended else at + length], open_ended


def _read_deflated(content: bytes, at: int, largest_bytes: int) -> ImagePixel:
    """Inflate what lies before the pixels, then no more than is declared."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        head = inflater.decompress(memoryview(content)[at:], LONGEST)
        values, place = _walk(head, "<", 0)
        if place is None and inflater.unconsumed_tail:
            raise BadPixels(f"it inflates to more than {LONGEST >> 20} MiB before its pixels")
        declared = _image_pixel(_DEFLATED, values, "<", ("", memoryview(b""), False), largest_bytes)
        most = math.prod(declared.shape) * declared.itemsize + LONGEST
        whole = head + inflater.decompress(inflater.unconsumed_tail, most)
    except zlib.error:
        raise BadPixels("its Data Set cannot be inflated") from None
    if inflater.unconsumed_tail and not inflater.eof:  # at the end it holds the padding behind the stream
        raise BadPixels(f"it inflates to more than {most} bytes, which is more than it declares")
    return _image_pixel(_DEFLATED, values, "<", _pixel_data(whole, place), largest_bytes)


def _image_pixel(syntax: str, values: _Values, order: str, pixels: _Pixels | None, largest_bytes: int) -> ImagePixel:
    if not values and pixels is None:
        raise BadPixels("its Data Set ends within an element, or holds no image")
    samples, rows, columns, bits, stored, signed = (_number(values, tag, name, order) for tag, name in _NUMBERS.items())
    frames = _frames(values)
    if min(frames, samples, rows, columns, bits) < 1 or not 1 <= stored <= bits <= 64 or signed not in (0, 1):
        raise BadPixels("its Image Pixel attributes contradict each other")
    count = frames * samples * rows * columns * ((bits + 7) // 8)
    if count > largest_bytes:
        raise BadPixels(f"it declares {count} bytes of pixels, more than the limit of {largest_bytes}")
    if pixels is None:
        raise BadPixels("it has no Pixel Data")
    high, planar = _optional(values, _HIGH_BIT, order), _optional(values, _PLANAR, order)
    return ImagePixel(
        syntax, rows, columns, samples, frames, bits, stored, stored - 1 if high is None else high, signed,
        planar or 0, _photometric(values, samples), _optional(values, _PADDING, order), *pixels
    )  # fmt: skip


def _number(values: _Values, tag: int, keyword: str, order: str) -> int:
    if tag not in values:
        raise BadPixels(f"it has no {keyword}")
    vr, value = values[tag]
    form = {2: "h" if vr == b"SS" else "H", 4: {b"UL": "L", b"SL": "l"}.get(vr, "")}.get(len(value), "")
    if not form:
        raise BadPixels(f"its {keyword} is no number")
    return int(struct.unpack(order + form, value)[0])


def _optional(values: _Values, tag: int, order: str) -> int | None:
    _, value = values.get(tag, (b"", b""))
    return struct.unpack(order + "H", value)[0] if len(value) == 2 else None


def _frames(values: _Values) -> int:
    text = _text(values, _FRAMES) or "1"
    if not _WHOLE.fullmatch(text):
        raise BadPixels("its NumberOfFrames is no number")
    return int(text.partition(".")[0]) or 1


def _photometric(values: _Values, samples: int) -> str:
    """As codecs need it for colour; of one sample they need none, and then its spelling does not matter."""
    return "MONOCHROME2" if samples == 1 else _text(values, _PHOTOMETRIC).upper()


def _text(values: _Values, tag: int) -> str:
    return values.get(tag, (b"", b""))[1].decode("latin-1").strip("\0 ")
