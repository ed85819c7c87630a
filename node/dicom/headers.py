"""Received instances read from disk with bounds: what is broken in a header is found here, not where it is used."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from node.dicom.part10 import Part10, read_part10
from node.errors import UnreadableInstance

LONGEST = 1 << 24  # bytes of a deflated Data Set before its pixels; a bomb is never inflated further
DEEPEST = 64  # sequences within sequences; SR trees of people have less than 20
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
MOST_ITEMS = 200_000  # of sequences; an item of 8 bytes becomes a Data Set of over a thousand
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # the item's tag, Little and Big Endian
_PORTION = 1 << 16


def read_header(path: Path) -> Dataset:
    """The Data Set of a DICOM file up to its pixels, with `file_meta`, without what cannot be decoded.

    Raises
    ------
    UnreadableInstance
        The file is not there, is no DICOM file, or is broken.
    """
    head = _head(path)
    try:
        with Bounded(path) as file:
            _require_few_items(file, path.name)
            dataset = _inflated_header(head) if _is_deflated(head) else dcmread(file, stop_before_pixels=True)
    except UnreadableInstance:
        raise
    except Exception as error:  # pydicom raises whatever it met in the bytes; all of it means the same here
        raise UnreadableInstance(f"the file {path.name} cannot be read as DICOM: {type(error).__name__}") from error
    _drop_undecodable(dataset)
    return dataset


def read_instance(path: Path, pixel_bytes: Callable[[Dataset], int]) -> Dataset:
    """The whole Data Set with `file_meta`, for a process whose memory is limited; nothing is decoded yet.

    Parameters
    ----------
    pixel_bytes
        Bytes of pixels that a header declares; a deflated Data Set is inflated no further.

    Raises
    ------
    UnreadableInstance, ValueError
        It is broken, or longer than declared; pydicom raises others.
    """
    head = _head(path)
    if not _is_deflated(head):
        with Bounded(path) as file:
            dataset: Dataset = dcmread(file)
        if not dataset:  # what pydicom makes of a value that has no end
            raise ValueError("its Data Set ends within an element")
        return dataset
    header = read_header(path)
    most = pixel_bytes(header) + LONGEST
    content = _inflated(head, most)
    if len(content) > most:
        raise ValueError(f"it inflates to more than {most} bytes, which is more than it declares")
    whole = read_dataset(BytesIO(content), is_implicit_VR=False, is_little_endian=True)
    return _with_meta(whole, head)


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


def _head(path: Path) -> Part10:
    try:
        return read_part10(path)
    except UnreadableInstance as error:
        raise UnreadableInstance(f"the file {path.name} cannot be read as DICOM: {error}") from error


def _is_deflated(head: Part10) -> bool:
    return head.transfer_syntax_uid == DeflatedExplicitVRLittleEndian


def _inflated(head: Part10, most: int) -> bytes:
    """The Data Set of a deflated file as it is in Explicit VR Little Endian, at most so many bytes and one."""
    packer = zlib.decompressobj(-zlib.MAX_WBITS)
    dataset = bytearray()
    with head.path.open("rb") as file:
        file.seek(head.dataset_at)
        while len(dataset) <= most and (portion := file.read(_PORTION)):
            dataset += packer.decompress(portion, most + 1 - len(dataset))
    return bytes(dataset)


def _inflated_header(head: Part10) -> FileDataset:
    content, pixels, name = _inflated(head, LONGEST), False, head.path.name

    def at_pixels(tag: int, _vr: str | None, _length: int) -> bool:
        nonlocal pixels
        pixels = pixels or tag in _PIXELS
        return pixels

    if content.count(_ITEMS[0]) > MOST_ITEMS:
        raise UnreadableInstance(f"the file {name} has more than {MOST_ITEMS} items of sequences")
    dataset = read_dataset(BytesIO(content), is_implicit_VR=False, is_little_endian=True, stop_when=at_pixels)
    if len(content) > LONGEST and not pixels:
        raise UnreadableInstance(f"the file {name} inflates to more than {LONGEST >> 20} MiB before its pixels")
    return _with_meta(dataset, head)


def _with_meta(dataset: Dataset, head: Part10) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(head.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(head.sop_instance_uid)
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return FileDataset(head.path, dataset, file_meta=meta, is_implicit_VR=False, is_little_endian=True)


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
