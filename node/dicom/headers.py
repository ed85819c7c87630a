"""Headers of instances that lie on disk, decoded whole: what is wrong in them is met here, not where it is used."""

from __future__ import annotations

import io
import zlib
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, FileDataset, dcmread
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from node.errors import UnreadableInstance

LONGEST = 1 << 24  # bytes of a deflated Data Set before its pixels; a bomb is never inflated further
DEEPEST = 64  # sequences within sequences; SR trees of people have less than 20
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
MOST_ITEMS = 200_000  # of sequences; an item of 8 bytes becomes a Data Set of over a thousand
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # the item's tag, Little and Big Endian
_PORTION = 1 << 16
_META_BEGINS = 132 + 12  # behind preamble, prefix and (0002,0000), whose value counts what comes (PS3.10 7.1)


def read_header(path: Path) -> Dataset:
    """The Data Set of a DICOM file up to its pixels, with `file_meta`, without what cannot be decoded.

    Raises
    ------
    UnreadableInstance
        The file is not there, is no DICOM file, or is broken.
    """
    try:
        with Bounded(path) as file:
            _require_few_items(file, path.name)
            dataset = _inflated_header(path) if is_deflated(path) else dcmread(file, stop_before_pixels=True)
    except UnreadableInstance:
        raise
    except Exception as error:  # pydicom raises whatever it met in the bytes; all of it means the same here
        raise UnreadableInstance(f"the file {path.name} cannot be read as DICOM: {type(error).__name__}") from error
    _drop_undecodable(dataset)
    return dataset


class Bounded(io.BufferedReader):
    """A file of which no more is asked for than there is: a length of four gigabytes in it takes no memory."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(str(path)))
        self.size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """As the parent's."""
        return super().read(size if size is None or size < _PORTION else min(size, self.size))


def _require_few_items(file: Bounded, name: str) -> None:
    """UnreadableInstance where there are too many; in files with few bytes there are not."""
    if file.size < MOST_ITEMS * len(_ITEMS[0]) * 2:
        return
    found = sum(portion.count(item) for portion in iter(lambda: file.read(1 << 20), b"") for item in _ITEMS)
    file.seek(0)
    if found > MOST_ITEMS:
        raise UnreadableInstance(f"the file {name} has more than {MOST_ITEMS} items of sequences")


def is_deflated(path: Path) -> bool:
    """Whether a file says that its Data Set is deflated; whatever is no such file is not."""
    with path.open("rb") as file:
        return DeflatedExplicitVRLittleEndian.encode() in file.read(2048)


def inflated(path: Path, most: int) -> bytes:
    """The Data Set of a deflated file as it is in Explicit VR Little Endian, at most so many bytes and one."""
    packer = zlib.decompressobj(-zlib.MAX_WBITS)
    dataset = bytearray()
    with path.open("rb") as file:
        file.seek(_META_BEGINS + int(read_file_meta_info(path).FileMetaInformationGroupLength))
        while len(dataset) <= most and (portion := file.read(_PORTION)):
            dataset += packer.decompress(portion, most + 1 - len(dataset))
    return bytes(dataset)


def _inflated_header(path: Path) -> FileDataset:
    content, pixels = inflated(path, LONGEST), False

    def at_pixels(tag: int, _vr: str | None, _length: int) -> bool:
        nonlocal pixels
        pixels = pixels or tag in _PIXELS
        return pixels

    if content.count(_ITEMS[0]) > MOST_ITEMS:
        raise UnreadableInstance(f"the file {path.name} has more than {MOST_ITEMS} items of sequences")
    dataset = read_dataset(BytesIO(content), is_implicit_VR=False, is_little_endian=True, stop_when=at_pixels)
    if len(content) > LONGEST and not pixels:
        raise UnreadableInstance(f"the file {path.name} inflates to more than {LONGEST >> 20} MiB before its pixels")
    meta = read_file_meta_info(path)
    return FileDataset(path, dataset, file_meta=meta, is_implicit_VR=False, is_little_endian=True)


def _drop_undecodable(dataset: Dataset, depth: int = 0) -> None:
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]  # pydicom decodes a value when it is first asked for
        except Exception:  # noqa: BLE001  # whatever it met in the bytes
            del dataset[tag]
            continue
        if element.VR != "SQ":
            continue
        if depth == DEEPEST:
            del dataset[tag]
            continue
        for item in element.value or ():
            _drop_undecodable(item, depth + 1)
