"""Data Sets of any kind: who they are, their headers and their pixels; nothing but our own refusals comes out."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import DataElement, Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage

from node.dicom.elements import headers
from node.dicom.headers import DEEPEST, LONGEST, MOST_ITEMS, read_header
from node.dicom.identity import identify
from node.errors import Refused, UnreadableInstance
from tests.fuzz.chance import TRIES, changed
from tests.fuzz.crashes import replayed
from tests.fuzz.datasets import DATASETS, SUCCESS, Broken, nested, nested_whole
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import SYNTAXES, TARGETS
from tests.node.phantoms import INSTANCE, encoded, image, key, part10
from workers.inputs.decoding.decoder import DecodeError, Decoder

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom says what it meets in garbage
MOST_MEMORY = 4 * LONGEST  # bytes: what is inflated, and its copies while it is read; what 10,000 items become
CHILD_MEMORY = 256 << 10  # KiB; the child alone takes about 70 MiB

texts = st.builds(
    DataElement,
    st.sampled_from([0x00080070, 0x00091010, 0x00100020, 0x00710010]),
    st.just("LO"),
    st.text("ABC 1", max_size=30),
)
others = st.builds(
    DataElement,
    st.sampled_from([0x00091011, 0x00711011]),
    st.just("OB"),
    st.binary(max_size=20).map(lambda value: value + b"\0" * (len(value) % 2)),
)
sequence_tags = st.sampled_from([0x00080006, 0x00081140, 0x00091012, 0x00400275])


def _sequence(tag: int, items: list[list[DataElement]], undefined: bool) -> DataElement:
    element = DataElement(tag, "SQ", Sequence([_dataset(item) for item in items]))
    element.is_undefined_length = undefined
    for item in element.value:
        item.is_undefined_length_sequence_item = undefined
    return element


def _dataset(contents: list[DataElement], dataset: Dataset | None = None) -> Dataset:
    dataset = Dataset() if dataset is None else dataset
    for element in contents:
        dataset[element.tag] = element
    return dataset


contents = st.recursive(
    st.lists(texts | others, max_size=3),
    lambda inner: st.lists(st.builds(_sequence, sequence_tags, st.lists(inner, max_size=2), st.booleans()), max_size=2),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(seconds=20.0) as decoder:
        yield decoder


@TRIES
@given(contents, st.sampled_from(SYNTAXES))
def test_whatever_else_a_data_set_has_it_is_identified(extra: list[DataElement], syntax: UID) -> None:
    dataset = encoded(_dataset(extra, image()), syntax)
    assert identify(dataset, syntax, CTImageStorage, INSTANCE) == key()


def test_unknown_sequences_are_implicit_wherever_they_are() -> None:
    """PS3.5 6.2.2: within UN of undefined length the VR is implicit, also where the rest is explicit."""
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    implicit = item + struct.pack("<HHL4s", 0x0009, 0x1010, 4, b"abcd") + end
    explicit = struct.pack("<HH2sH4s", 0x0009, 0x1012, b"LO", 4, b"abcd")
    unknown = struct.pack("<HH2sxxL", 0x0008, 0x0006, b"UN", 0xFFFFFFFF) + implicit
    known = struct.pack("<HH2sxxL", 0x0008, 0x0006, b"SQ", 0xFFFFFFFF) + item + unknown + explicit + end
    for sequence in (unknown, known):
        dataset = sequence + encoded(image())
        assert identify(dataset, SYNTAXES[0], CTImageStorage, INSTANCE) == key()


@TRIES
@given(st.binary(max_size=300), st.sampled_from(SYNTAXES), st.integers(0, 300))
def test_any_bytes_are_refused_or_identified(garbage: bytes, syntax: UID, at: int) -> None:
    right = encoded(image(), syntax)
    for dataset in (garbage, right[:at] + garbage + right[at:], right[:at] + garbage):
        with suppress(Refused):
            assert identify(dataset, syntax, CTImageStorage, INSTANCE).sop_instance_uid == INSTANCE


@pytest.mark.parametrize("name", ["identity", "header", "parsers", "codestream"])
def test_what_once_went_wrong_and_what_lies_beside_the_right_goes_well(name: str) -> None:
    with TARGETS[name]() as play:
        for data in (*replayed(name), *SEEDS[name].values()):
            play(data)
        for data in islice(changed(list(SEEDS[name].values()), random.Random(1)), 600):
            play(data)


def test_changed_files_are_decoded_or_refused() -> None:
    with TARGETS["pixels"]() as play:
        for data in (*replayed("pixels"), *islice(changed(list(SEEDS["pixels"].values()), random.Random(3)), 20)):
            play(data)


@pytest.mark.parametrize("one", DATASETS, ids=[one.name for one in DATASETS])
def test_headers_of_the_field(one: Broken, tmp_path: Path) -> None:
    path = _file(one, tmp_path)
    tracemalloc.start()
    try:
        if one.header:
            with pytest.raises(UnreadableInstance, match=one.header):
                read_header(path)
        else:
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("one", [one for one in DATASETS if one.status == SUCCESS], ids=lambda one: one.name)
def test_pixels_of_the_field(one: Broken, tmp_path: Path, decoder: Decoder) -> None:
    path = _file(one, tmp_path)
    if one.pixels:
        with pytest.raises(DecodeError, match=one.pixels):
            decoder.decode(path)
    else:
        assert decoder.decode(path).shape == (4, 4)
    status = Path(f"/proc/{decoder.pid}/status").read_text()
    assert int(status.split("VmHWM:")[1].split()[0]) < CHILD_MEMORY


def _file(one: Broken, folder: Path) -> Path:
    path = folder / "instance.dcm"
    path.write_bytes(part10(one.dataset(INSTANCE), UID(one.syntax)))
    return path


@pytest.mark.parametrize("make", [nested, nested_whole])
def test_a_walk_takes_as_long_for_deep_sequences_as_for_flat_ones(make: object) -> None:
    deep = make(0x0008, 0x0006, 50_000)  # type: ignore[operator]
    begin = time.process_time()
    assert [tag for tag, *_ in headers(deep)] == [0x00080006]
    assert time.process_time() - begin < 1.0


def test_sequences_of_people_are_kept_and_deeper_ones_dropped(tmp_path: Path) -> None:
    def depth(dataset: Dataset) -> int:
        return 1 + depth(dataset[0x0040A730].value[0]) if 0x0040A730 in dataset else 0

    for levels, expected in ((DEEPEST, DEEPEST), (DEEPEST + 5, DEEPEST), (10_000, DEEPEST)):
        path = tmp_path / "instance.dcm"
        path.write_bytes(part10(encoded(image(PixelData=None)) + nested_whole(0x0040, 0xA730, levels)))
        assert depth(read_header(path)) == expected


@pytest.mark.parametrize("length", [None, 0xFFFFFFFF])
def test_what_would_become_a_hundred_times_as_large_is_not_read(tmp_path: Path, length: int | None) -> None:
    path = tmp_path / "instance.dcm"
    items = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * (MOST_ITEMS + 1)
    head = struct.pack("<HH2sxxL", 0x0040, 0x0275, b"SQ", len(items) if length is None else length)
    path.write_bytes(part10(encoded(image(PixelData=None)) + head + items))
    with pytest.raises(UnreadableInstance, match="items"):
        read_header(path)
