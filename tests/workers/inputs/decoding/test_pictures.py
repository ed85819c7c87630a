"""PNG, JPEG and NIfTI in the decoding child: values as they are stored, and nothing larger than may be decoded."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from workers.inputs.decoding.decoder import DecodeError, Decoder

GREY = (np.indices((20, 30)).sum(axis=0) * 5).astype(np.uint8)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(memory_bytes=1 << 30, seconds=60, largest_bytes=1 << 22) as decoder:
        yield decoder


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def picture(path: Path, array: np.ndarray, form: str = "PNG", mode: str | None = None) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, form)
    return path


def nifti(array: np.ndarray, affine: np.ndarray | None = None) -> bytes:
    return bytes(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine).to_bytes())


def reason(decode: object, path: Path) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(path)  # type: ignore[operator]
    return caught.value.reason


def test_a_png_keeps_its_values_of_8_and_of_16_bits(decoder: Decoder, tmp_path: Path) -> None:
    assert np.array_equal(decoder.decode_picture(picture(tmp_path / "8", GREY)), GREY)
    wide = GREY.astype(np.uint16) * 257
    sixteen = decoder.decode_picture(picture(tmp_path / "16", wide))
    assert sixteen.dtype == np.uint16 and np.array_equal(sixteen, wide)


def test_a_jpeg_and_colours_are_as_they_were(decoder: Decoder, tmp_path: Path) -> None:
    jpeg = decoder.decode_picture(picture(tmp_path / "j", GREY, "JPEG"))
    assert np.abs(jpeg.astype(int) - GREY).max() < 10
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert np.array_equal(decoder.decode_picture(picture(tmp_path / "c", red)), red)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("code", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_a_nifti_comes_by_its_indices_unscaled(
    decoder: Decoder, tmp_path: Path, code: str, packed: bool, order: str
) -> None:
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(f"{order}{code}")
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(array.dtype)
    content = bytes(nibabel.Nifti1Image(array, np.eye(4), header).to_bytes())
    values, head = decoder.decode_nifti(saved(tmp_path / "n", gzip.compress(content) if packed else content))
    assert values.dtype.itemsize == min(array.dtype.itemsize, 4) and np.array_equal(values, array.T)
    assert head == content[:348]


def test_bombs_are_refused_before_they_are_unpacked(decoder: Decoder, tmp_path: Path) -> None:
    many = picture(tmp_path / "png", np.zeros((2000, 2000), np.uint8))
    assert many.stat().st_size < 1 << 14
    assert "2000 x 2000 pixels, more than may be decoded" in reason(decoder.decode_picture, many)
    packed = gzip.compress(nifti(np.zeros((200, 200, 200), np.uint8)))
    assert "unpacks to more bytes than may be" in reason(decoder.decode_nifti, saved(tmp_path / "gz", packed))
    texts = b"".join(_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20))) for _ in range(100))
    whole = picture(tmp_path / "t", GREY).read_bytes()
    assert "damaged" in reason(decoder.decode_picture, saved(tmp_path / "text", whole[:33] + texts + whole[33:]))
    assert np.array_equal(decoder.decode_picture(picture(tmp_path / "after", GREY)), GREY)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize(
    ("at", "code", "values", "words"),
    [
        (40, "4h", (3, 30000, 30000, 30000), "voxels, more than may be decoded"),
        (42, "h", (5,), "fewer bytes than its header declares"),
        (42, "h", (-4,), "no image or volume"),
        (40, "6h", (5, 4, 5, 6, 1, 3), "no image or volume of one grey value"),
        (40, "h", (0,), "no image or volume"),
        (70, "h", (128,), "NIfTI's type 128"),  # RGB
        (108, "f", (-1e9,), "fewer bytes than"),
        (108, "f", (float("nan"),), "fewer bytes than"),
        (0, "i", (540,), "NIfTI-2"),
        (0, "i", (7,), "no NIfTI-1 header"),
    ],
)
def test_a_header_that_declares_what_is_not_there_is_refused(
    decoder: Decoder, tmp_path: Path, at: int, code: str, values: tuple[float, ...], words: str
) -> None:
    content = bytearray(nifti(np.zeros((4, 5, 6), np.int16)))
    struct.pack_into(f"<{code}", content, at, *values)
    assert words in reason(decoder.decode_nifti, saved(tmp_path / "n", bytes(content)))


def test_what_is_cut_or_no_number_is_refused(decoder: Decoder, tmp_path: Path) -> None:
    whole = gzip.compress(nifti(np.random.default_rng(1).integers(0, 999, (9, 9, 9), np.int16)))
    assert reason(decoder.decode_nifti, saved(tmp_path / "c", whole[:-300])) == "it is cut"
    hollow = np.zeros((3, 3, 3), np.float32)
    hollow[1, 1, 1] = np.nan
    assert "no numbers" in reason(decoder.decode_nifti, saved(tmp_path / "h", nifti(hollow)))
    half = picture(tmp_path / "p", np.random.default_rng(1).integers(0, 255, (99, 99), np.uint8)).read_bytes()[:4000]
    assert reason(decoder.decode_picture, saved(tmp_path / "half", half)) == "it is damaged or cut"
