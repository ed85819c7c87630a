"""Encapsulated Pixel Data as devices send it: the right picture, or a sentence of ours."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import JPEG2000Lossless

from tests.workers.imaging_phantoms import pydicom_file
from workers.inputs.decoding.codestream import BadPixels, split, with_end
from workers.inputs.decoding.decoder import DecodeError, Decoder
from workers.inputs.decoding.encapsulation import MOST_FRAGMENTS, fragments, frames

FIELD = Path(__file__).parents[5] / "shared/cases/field"
END, ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0), struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
EMPTY = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
ONE = (
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEG-LL.dcm",
    "JPGExtended.dcm",
)
MARKED = ONE[1:]  # with an end marker of their own
SEVERAL = ("emri_small_RLE.dcm", "emri_small_jpeg_2k_lossless.dcm", "emri_small_jpeg_ls_lossless.dcm")
OURS = (  # the beginnings of all our sentences
    "its ", "it ", "no codec can decode it", "nothing here decodes", "the decoder crashed", "(",
)  # fmt: skip


def item(content: bytes, length: int | None = None) -> bytes:
    """An item; its length may lie."""
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content) if length is None else length) + content


def split_marker(frame: bytes) -> bytes:
    """Without its end marker and what follows."""
    return frame[: frame.rindex(b"\xff\xd9")]


def table(contents: list[bytes]) -> bytes:
    """A right Basic Offset Table."""
    offsets, at = [], 0
    for content in contents:
        offsets.append(at)
        at += len(content) + 8
    return item(struct.pack(f"<{len(offsets)}L", *offsets))


Layout = Callable[[list[bytes]], bytes]
ANY: dict[str, Layout] = {  # frames of any codec
    "as it should be": lambda all_: EMPTY + b"".join(map(item, all_)) + END,
    "no Sequence Delimitation Item": lambda all_: EMPTY + b"".join(map(item, all_)),
    "none, padded with zeros": lambda all_: EMPTY + b"".join(map(item, all_)) + bytes(500),
    "none, padded with spaces": lambda all_: EMPTY + b"".join(map(item, all_)) + b" " * 33,
    "none, garbage behind": lambda all_: EMPTY + b"".join(map(item, all_)) + bytes(range(256)),
    "garbage behind the end": lambda all_: EMPTY + b"".join(map(item, all_)) + END + bytes(range(256)) * 9,
    "half a delimiter": lambda all_: EMPTY + b"".join(map(item, all_)) + END[:4],
    "an item's delimiter as the end": lambda all_: EMPTY + b"".join(map(item, all_)) + ITEM_END,
    "an item's delimiter behind each": lambda all_: EMPTY + ITEM_END + b"".join(item(one) + ITEM_END for one in all_),
    "a delimiter with a length": lambda all_: EMPTY + b"".join(map(item, all_)) + END[:4] + b"\4\0\0\0",
    "a right table": lambda all_: table(all_) + b"".join(map(item, all_)) + END,
    "a wrong table": lambda all_: item(bytes(4) + b"\x99" * (4 * len(all_) - 4)) + b"".join(map(item, all_)) + END,
    "a table of odd length": lambda all_: item(bytes(5)) + b"".join(map(item, all_)) + END,
    "a table of all zeros": lambda all_: item(bytes(4 * len(all_))) + b"".join(map(item, all_)) + END,
    "no table": lambda all_: b"".join(map(item, all_)) + END,
    "items without a length": lambda all_: EMPTY + b"".join(item(one, 0xFFFFFFFF) + ITEM_END for one in all_) + END,
    "the last item longer than the file": lambda all_: (
        EMPTY + b"".join(map(item, all_[:-1])) + item(all_[-1], len(all_[-1]) + 100)
    ),
    "odd items, counted without their padding": lambda all_: (
        EMPTY + b"".join(item(one.rstrip(b"\0") + b"\0" * (even(one)), len(one.rstrip(b"\0"))) for one in all_) + END
    ),
}
CODESTREAMS: dict[str, Layout] = {  # frames that show where they begin
    "several items a frame": lambda all_: (
        EMPTY + b"".join(item(one[:100]) + item(one[100:202]) + item(one[202:]) for one in all_) + END
    ),
    "two items a frame and a wrong table": lambda all_: (
        item(bytes(4 * len(all_))) + b"".join(item(one[:100]) + item(one[100:]) for one in all_) + END
    ),
    "all frames in one item": lambda all_: EMPTY + item(b"".join(all_)) + END,
    "items that end within frames": lambda all_: EMPTY + b"".join(map(item, pieces(b"".join(all_), 1000))) + END,
    "bare, without items": b"".join,
}


def even(one: bytes) -> int:
    """How many zeros make it even, without those that it has."""
    return len(one.rstrip(b"\0")) % 2


def pieces(whole: bytes, size: int) -> list[bytes]:
    """Of this size, but the last."""
    return [whole[at : at + size] for at in range(0, len(whole), size)]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(seconds=20.0) as decoder:
        yield decoder


class Source:
    """A file whose Pixel Data is written anew; `right` is what it shows."""

    def __init__(self, name: str, folder: Path, decoder: Decoder) -> None:
        path = pydicom_file(name)
        dataset, content = dcmread(path), path.read_bytes()
        self.head = content[: content.rindex(b"\xe0\x7f\x10\0O")]
        self.frames = list(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)))
        self.right, self._decoder, self._path = decoder.decode(path), decoder, folder / "x.dcm"

    def shows(self, value: bytes, explicit: bool = False) -> np.ndarray:
        """What is decoded where Pixel Data has this value, of undefined or of explicit length."""
        length = len(value) if explicit else 0xFFFFFFFF
        self._path.write_bytes(self.head + struct.pack("<HH2sxxL", 0x7FE0, 0x0010, b"OB", length) + value)
        return self._decoder.decode(self._path)

    def reason(self, value: bytes) -> str:
        """Why it cannot be decoded; empty where it can and is right."""
        try:
            found = self.shows(value)
        except DecodeError as error:
            return error.reason
        assert np.array_equal(found, self.right)
        return ""


@pytest.mark.parametrize("layout", ANY)
@pytest.mark.parametrize("name", [*ONE, *SEVERAL])
def test_frames_of_any_codec_are_read_on(decoder: Decoder, tmp_path: Path, name: str, layout: str) -> None:
    source = Source(name, tmp_path, decoder)
    assert np.array_equal(source.shows(ANY[layout](source.frames)), source.right)


@pytest.mark.parametrize("layout", CODESTREAMS)
@pytest.mark.parametrize("name", [*MARKED, *SEVERAL[1:]])
def test_codestreams_show_where_frames_begin(decoder: Decoder, tmp_path: Path, name: str, layout: str) -> None:
    source = Source(name, tmp_path, decoder)
    value = CODESTREAMS[layout](source.frames)
    assert np.array_equal(source.shows(value, explicit=layout.startswith("bare")), source.right)


def test_a_table_shows_where_rle_frames_of_several_items_begin(decoder: Decoder, tmp_path: Path) -> None:
    source = Source("emri_small_RLE.dcm", tmp_path, decoder)
    halves = [[one[:100], one[100:]] for one in source.frames]
    offsets, at = [], 0
    for pair in halves:
        offsets.append(at)
        at += sum(len(half) + 8 for half in pair)
    value = item(struct.pack(f"<{len(offsets)}L", *offsets)) + b"".join(item(half) for pair in halves for half in pair)
    assert np.array_equal(source.shows(value), source.right)
    assert "frames where 10 are declared" in source.reason(EMPTY + value[8 + 4 * len(offsets) :])


@pytest.mark.parametrize("padding", [b"", b"\0", b"\0\0\0", b"\xff", b"\xff\0"])
@pytest.mark.parametrize("name", MARKED[:-1])
def test_a_codestream_without_its_end_marker_is_shown(
    decoder: Decoder, tmp_path: Path, name: str, padding: bytes
) -> None:
    source = Source(name, tmp_path, decoder)
    value = EMPTY + item(split_marker(source.frames[0]) + padding)
    assert np.array_equal(source.shows(value), source.right)


def test_one_that_ends_in_many_zeros_cannot_be_told_from_a_cut_one(decoder: Decoder, tmp_path: Path) -> None:
    source = Source("JPGExtended.dcm", tmp_path, decoder)  # its lower half is black
    bare = split_marker(source.frames[0])
    assert bare.endswith(bytes(100))
    assert "has no end marker, and bits before it are missing" in source.reason(EMPTY + item(bare))
    trimmed = Source("JPEG-LL.dcm", tmp_path, decoder)
    assert trimmed.reason(EMPTY + item(split_marker(trimmed.frames[0]) + bytes(15))) == ""


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", MARKED)
def test_one_whose_bits_are_missing_too_is_refused(decoder: Decoder, tmp_path: Path, name: str, kept: float) -> None:
    source = Source(name, tmp_path, decoder)
    frame = source.frames[0]
    cut = frame[: int(len(frame) * kept)]
    for end in (b"", END, bytes(500)):
        assert "no codec can decode it" in source.reason(EMPTY + item(cut) + end)
    assert "no codec can decode it" in source.reason(EMPTY + item(cut + bytes(500), len(cut) + 500) + END)


def test_reasons_are_plain(decoder: Decoder, tmp_path: Path) -> None:
    source = Source("MR_small_jp2klossless.dcm", tmp_path, decoder)
    (frame,) = source.frames
    jpeg = b"\xff\xd8\xff\xda\0\2" + bytes(100)
    for value, reason in (
        (b"", "begins neither with an item nor with a codestream"),
        (b"garbage.", "begins neither with an item nor with a codestream"),
        (EMPTY, "holds no frame"),
        (EMPTY * 3 + END, "holds no frame"),
        (EMPTY + item(bytes(500)) + END, "it does not begin as JPEG 2000 does"),
        (EMPTY + item(jpeg) + END, "it is JPEG where its Transfer Syntax says JPEG 2000"),
        (EMPTY + item(frame[:-300]), "has no end marker, and bits before it are missing"),
        (EMPTY + item(frame[:300] + frame[600:]) + END, "its codestream is damaged"),
        (EMPTY * (MOST_FRAGMENTS + 2), f"more than {MOST_FRAGMENTS} items"),
    ):
        assert reason in source.reason(value)


def test_uncompressed_values_in_items_are_shown_and_compressed_ones_named(decoder: Decoder, tmp_path: Path) -> None:
    path = pydicom_file("MR_small.dcm")
    content = path.read_bytes()
    at = content.rindex(b"\xe0\x7f\x10\0OW")
    value, file = content[at + 12 : at + 12 + 8192], tmp_path / "x.dcm"
    opened = content[: at + 8] + b"\xff\xff\xff\xff" + EMPTY
    file.write_bytes(opened + item(value[:5000]) + item(value[5000:]))
    assert np.array_equal(decoder.decode(file), decoder.decode(path))
    file.write_bytes(opened + item(value[:5000]) + END)
    with pytest.raises(DecodeError, match="its Pixel Data has 5000 bytes where 8192 are declared"):
        decoder.decode(file)
    syntax = dcmread(path).file_meta.TransferSyntaxUID.encode() + b"\0"
    assert len(syntax) == 20
    file.write_bytes(content.replace(b"UI\x14\0" + syntax, b"UI\x16\0" + JPEG2000Lossless.encode()))
    with pytest.raises(DecodeError, match="neither with an item nor with a codestream"):
        decoder.decode(file)


@pytest.mark.parametrize("name", [*ONE, *SEVERAL])
def test_whatever_is_changed_in_the_encapsulation_is_shown_right_or_refused_in_words(
    decoder: Decoder, tmp_path: Path, name: str
) -> None:
    """Only items' headers, the table and the ends are changed; what lies within a codestream is its codec's."""
    source, chance = Source(name, tmp_path, decoder), random.Random(name)
    for _ in range(25):
        parts = [EMPTY, *(part for one in source.frames for part in (item(one)[:8], one)), END]
        for _ in range(chance.randint(1, 3)):
            at = chance.choice([number for number, part in enumerate(parts) if len(part) <= 8])
            parts[at] = changed(parts[at], chance)
        reason = source.reason(b"".join(parts))
        assert reason == "" or reason.startswith(OURS)
        assert "object" not in reason


def changed(header: bytes, chance: random.Random) -> bytes:
    """An item's header with something wrong."""
    return chance.choice(
        [
            b"", END, ITEM_END, header + b"\0", header[:-1], header[:4] + bytes(4), header[:4] + b"\xff" * 4,
            header[:4]
            + ((int.from_bytes(header[4:], "little") + chance.randint(-3, 3)) % (1 << 32)).to_bytes(4, "little"),
            header[::-1], EMPTY + header, header + header, bytes(8),
        ]
    )  # fmt: skip


def test_a_walk_takes_what_is_there() -> None:
    assert fragments(b"") == []
    assert fragments(EMPTY + item(b"ab", 3)) == [b"", b"ab"]
    assert fragments(EMPTY + item(b"abc") + b"\0" + item(b"d")) == [b"", b"abc", b"d"]
    assert frames(EMPTY + item(b"a") + item(b"b"), 1) == [b"ab"]
    with pytest.raises(BadPixels, match="3 frames where 2 are declared"):
        frames(EMPTY + item(b"a") * 3, 2)


def test_codestreams_are_cut_between_an_end_and_a_beginning() -> None:
    one, two = b"\xff\xd8\xff\xe0ab\xff\xd9", b"\xff\x4f\xff\x51ab\xff\xd9"
    assert split(one + two + one) == [one, two, one]
    assert split(one + b"\0" + two + b"\0\0") == [one + b"\0", two + b"\0\0"]
    assert split(one + b"x" + two) == [one + b"x" + two]


def test_a_whole_frame_is_read_in_one_way_and_rle_has_no_marker() -> None:
    whole = b"\xff\xd8\xff\xda\0\2ab\xff\xd9\0"
    assert with_end(whole) == ((whole,),)
    assert with_end(b"\1\0\0\0") == ((b"\1\0\0\0",),)
    ways = with_end(b"\xff\xd8\xff\xd9\xff\xda\0\2ab\xff\0\0")  # an end before the bits is none
    for (one, other), end in zip(ways, (b"ab\xff\0\0", b"ab"), strict=True):
        assert one.partition(b"U")[0].endswith(end)
        assert other.partition(b"\xaa")[0].endswith(end)


@pytest.mark.skipif(not FIELD.is_dir(), reason="the samples of the field are not beside this checkout")
@pytest.mark.parametrize("name", ["konica-bare-explicit", "no-eoi", "nodelim-eof", "nodelim-nullpadded", "rle-nodelim"])
def test_samples_of_the_field_show_their_picture(decoder: Decoder, name: str) -> None:
    same = decoder.decode(FIELD / "06-two-patients-one-study-uid/patientA.dcm")
    assert np.array_equal(decoder.decode(FIELD / f"14-encapsulated-odd-ends/{name}.dcm"), same)
