"""PNG, JPEG and NIfTI bytes to values, within limits; only the decoding child calls it."""

from __future__ import annotations

import base64
import io
import math
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from workers.inputs.decoding.codestream import BadPixels

_NIFTI_HEADER = 348  # bytes of NIfTI-1
_NIFTI_2_HEADER = 540
_MOST_BEFORE = 1 << 20  # bytes of header and extensions before the voxels
_NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}  # nifti1.h
_WIDE = "I"  # Pillow's modes of more than 8 bits begin with it


def picture(content: bytes, largest_bytes: int) -> Any:
    """A PNG or JPEG as (rows, columns) of 8 or 16 bits, or of red, green, blue (rows, columns, 3) of 8.

    Raises
    ------
    BadPixels
        It is damaged or cut, or larger than `largest_bytes` would allow.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            columns, rows = image.size
            if columns * rows * 4 > largest_bytes:
                raise BadPixels(f"it has {rows} x {columns} pixels, more than may be decoded")
            wide = image.mode.startswith(_WIDE)
            mode = "RGB" if image.mode in ("P", "RGB", "RGBA", "CMYK", "YCbCr", "PA") else "L"
            array = np.asarray(image if wide else image.convert(mode))
    except (BadPixels, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise BadPixels("it has more pixels than may be decoded") from None
    except Exception as error:  # Pillow's plugins raise what their parsers do
        raise BadPixels("it is damaged or cut") from error
    return np.ascontiguousarray(array.clip(0, 65535).astype("<u2") if wide else array)


def nifti(content: bytes, largest_bytes: int) -> tuple[Any, dict[str, object]]:
    """The values of a NIfTI-1 file as (slices, rows, columns), its indices k, j, i, unscaled; and its header, base64.

    Raises
    ------
    BadPixels
        It is damaged or cut, of another type or number of dimensions, or larger than `largest_bytes`.
    """
    content = _unpacked(content, largest_bytes + _MOST_BEFORE)
    order = next((order for order in "<>" if _number(f"{order}i", content, 0) == _NIFTI_HEADER), "")
    if not order:
        is_second = any(_number(f"{order}i", content, 0) == _NIFTI_2_HEADER for order in "<>")
        raise BadPixels("it is NIfTI-2, NIfTI-1 is read" if is_second else "its header is no NIfTI-1 header")
    shape = _shape(content, order)
    code, offset = _number(f"{order}h", content, 70), _number(f"{order}f", content, 108)
    if code not in _NIFTI_TYPES:
        raise BadPixels(f"its voxels are of NIfTI's type {code:g}, which is not read")
    dtype = np.dtype(f"{order}{_NIFTI_TYPES[int(code)]}")
    size = math.prod(shape) * dtype.itemsize
    if size > largest_bytes:
        raise BadPixels(f"it has {' x '.join(map(str, shape))} voxels, more than may be decoded")
    if not _NIFTI_HEADER <= offset <= _MOST_BEFORE or len(content) < offset + size:
        raise BadPixels("it has fewer bytes than its header declares")
    values = np.frombuffer(content, dtype, math.prod(shape), int(offset)).reshape(shape[::-1])
    if dtype.kind == "f" and not np.isfinite(values).all():
        raise BadPixels("it has voxels that are no numbers")
    kept = "<f4" if dtype.kind == "f" else dtype.newbyteorder("<")
    return np.ascontiguousarray(values.astype(kept)), {"header": base64.b64encode(content[:_NIFTI_HEADER]).decode()}


def _shape(content: bytes, order: str) -> tuple[int, int, int]:
    """(i, j, k)."""
    count, *lengths = (int(_number(f"{order}h", content, 40 + 2 * index)) for index in range(8))
    used = lengths[: count if 2 <= count <= 7 else 0]
    if not used or min(used) < 1 or math.prod(used[3:]) != 1:
        raise BadPixels("it is no image or volume of one grey value a voxel")
    i, j, k = (*used[:3], 1)[:3]
    return i, j, k


def _number(code: str, content: bytes, at: int) -> float:
    try:
        return float(struct.unpack_from(code, content, at)[0])
    except struct.error:
        raise BadPixels("it is cut") from None


def _unpacked(content: bytes, most: int) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return content
    stream = zlib.decompressobj(wbits=31)
    try:
        unpacked = stream.decompress(content, most)
    except zlib.error:
        raise BadPixels("its compressed bytes are damaged") from None
    if stream.unconsumed_tail:
        raise BadPixels("it unpacks to more bytes than may be decoded")
    if not stream.eof:
        raise BadPixels("it is cut")
    return unpacked
