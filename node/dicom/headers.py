"""Received instances read from disk with bounds: what is broken in a header is found here, not where it is used.

Our own walk (`node.dicom.elements`), which also identified the instance when it arrived, says where each element of the
Data Set begins and ends. pydicom decodes what the walk has cut out, so no second parser decides what a file holds: an
element that is too long, a Data Set that inflates without end, a VR that there is none of never reach it.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, FileDataset
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from node.dicom.character_sets import decode_texts
from node.dicom.elements import PIXELS, UNDEFINED, Walk
from node.dicom.part10 import Part10, read_part10
from node.dicom.value_representations import (
    CHARACTER_STRINGS,
    EXTENDED_CHARACTERS,
    LONG_LENGTH,
    VALUE_REPRESENTATIONS,
)
from node.errors import UnreadableInstance

LONGEST = 1 << 24  # bytes of a header, or of a Data Set that inflates before its pixels
LONGEST_VALUE = 1 << 20  # bytes of a value that is no sequence; a longer one is left out, and is not read
DEEPEST = 64  # sequences within sequences; SR trees of people have less than 20
MOST_ITEMS = 200_000  # of sequences; an item of 8 bytes becomes a Data Set of over a thousand
_MIB = LONGEST >> 20
_LAST = 0xFFFFFFFF
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # the item's tag, Little and Big Endian
_NUMBERS = frozenset({"DS", "IS"})  # texts, which devices also write as binary numbers
_CHARACTER_SET = 0x00080005
_PORTION = 1 << 16


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What of a Data Set is read at most.

    `tags` are those that are wanted, none for all; nothing behind the last of them is looked at.
    """

    tags: frozenset[int] = frozenset()
    value: int = LONGEST_VALUE
    sequence: int = LONGEST
    total: int = LONGEST
    items: int = MOST_ITEMS

    @property
    def last(self) -> int:
        return max(self.tags, default=_LAST)


def read_header(path: Path) -> Header:
    """The Data Set of a DICOM file up to its pixels, with `file_meta`, without what cannot be decoded.

    Raises
    ------
    UnreadableInstance
        The file is not there, is no DICOM file, is broken, or holds more than the bounds allow.
    """
    head = _head(path)
    excerpt = _excerpt(head, _Bounds())
    if excerpt.broken:
        raise _unreadable(path, excerpt.broken)
    return _decoded(head, excerpt)


def read_attributes(path: Path, tags: frozenset[int]) -> Header:
    """A few attributes of a DICOM file, as far as it can be read, within little memory and time.

    Raises
    ------
    UnreadableInstance
        The file is not there, is no DICOM file, or pydicom can decode none of it.
    """
    head = _head(path)
    return _decoded(head, _excerpt(head, _Bounds(tags | {_CHARACTER_SET}, 1 << 16, 1 << 16, 1 << 22, 100_000)))


class Header(FileDataset):
    """The Data Set of a file as far as it was read, with `file_meta`.

    Attributes
    ----------
    undeclared
        The character sets that its texts are in and that it does not declare (`character_sets.decoded`).
    """

    undeclared: frozenset[str] = frozenset()


class _File:
    """The Data Set of a file, of which a portion is in memory."""

    def __init__(self, file: BinaryIO, head: Part10) -> None:
        self._descriptor, self._begin, self._size = file.fileno(), head.dataset_at, head.size
        self._at, self._portion = 0, b""

    def __getitem__(self, place: slice, /) -> bytes:
        at, end = place.start, place.stop
        if end - at > _PORTION:
            return os.pread(self._descriptor, end - at, self._begin + at)
        if not self._at <= at <= end <= self._at + len(self._portion):
            self._at, self._portion = at, os.pread(self._descriptor, _PORTION, self._begin + at)
        return self._portion[at - self._at : end - self._at]

    def reaches(self, end: int) -> bool:
        """Whether there are so many bytes."""
        return end <= self._size


class _Inflated:
    """A deflated Data Set, inflated as far as it is asked for, and hardly further than `LONGEST`."""

    def __init__(self, file: BinaryIO, head: Part10) -> None:
        self._file, self._path = file, head.path
        self._packer, self._data = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
        self._file.seek(head.dataset_at)

    def __getitem__(self, place: slice, /) -> bytes:
        self._inflate(place.stop)
        return bytes(self._data[place])

    def reaches(self, end: int) -> bool:
        """Whether there are so many bytes; UnreadableInstance where that is too far."""
        self._inflate(end)
        if end > len(self._data) > LONGEST:
            raise UnreadableInstance(f"the file {self._path.name} inflates to more than {_MIB} MiB before its pixels")
        return end <= len(self._data)

    def _inflate(self, end: int) -> None:
        end = min(end, LONGEST + 1)
        while len(self._data) < end and (packed := self._packer.unconsumed_tail or self._file.read(_PORTION)):
            try:
                self._data += self._packer.decompress(packed, _PORTION)
            except zlib.error as error:
                raise _unreadable(self._path, "it cannot be inflated") from error


class _Excerpt:
    """What is cut out of a Data Set for pydicom: its elements, each of a VR that there is.

    Attributes
    ----------
    content
        The encoded elements.
    broken
        Why the walk ended early; empty where it did not.
    """

    def __init__(self, source: _File | _Inflated, order: str, bounds: _Bounds) -> None:
        self.content, self.broken = bytearray(), ""
        self._source, self._bounds, self._seen = source, bounds, set[int]()
        self._walk = Walk(source, order)
        self.implicit = self._walk.implicit
        self._short, self._long = struct.Struct(order + "HH2sH"), struct.Struct(order + "HH2sxxL")
        self._implicit = struct.Struct(order + "HHL")

    def make(self) -> None:
        """Walk, up to the pixels or the last tag that is needed."""
        at, tags, last = 0, self._bounds.tags, self._bounds.last
        while not self.broken and (header := self._walk.header(at)) is not None:
            tag, vr, length, at = header
            if tag in PIXELS or tag > last:
                return
            end = self._end(at, vr, length)
            if not self.broken and tag not in self._seen and (not tags or tag in tags):
                self._seen.add(tag)  # of one that is there twice the first counts, as for DCMTK
                self._keep(tag, vr, length, self._source[at:end] if self._fits(vr, at, end) else None)
            at = end

    def _end(self, at: int, vr: bytes, length: int) -> int:
        bounds = self._bounds
        if length != UNDEFINED:
            if not self._source.reaches(at + length):
                self.broken = "it ends within an element"
            return at + length
        end = self._walk.end_of_undefined(at, vr, at + bounds.total, bounds.items)
        if self._walk.items > bounds.items:
            self.broken = _too_many(bounds.items)
        elif end >= at + bounds.total:
            self.broken = f"it has a sequence of more than {bounds.total >> 20} MiB"
        elif not self._walk.closed:
            self.broken = "it ends within a sequence"
        return end

    def _fits(self, vr: bytes, at: int, end: int) -> bool:
        return end - at <= (self._bounds.sequence if vr == b"SQ" else self._bounds.value)

    def _keep(self, tag: int, vr: bytes, length: int, value: bytes | None) -> None:
        """Append an element; one that is too long, nested too deep, or of no known VR is left out."""
        undefined = length == UNDEFINED
        known = "" if self.implicit else _vr(tag, vr)
        if value is None or (undefined and self._walk.depth > 2 * DEEPEST) or not (known or self.implicit):
            return
        if len(self.content) + len(value) > self._bounds.total:
            self.broken = f"its header has more than {self._bounds.total >> 20} MiB"
            return
        group, element = tag >> 16, tag & 0xFFFF
        if self.implicit:
            self.content += self._implicit.pack(group, element, length)
        elif known in LONG_LENGTH:
            self.content += self._long.pack(group, element, known.encode(), length)
        elif length < 1 << 16:
            self.content += self._short.pack(group, element, known.encode(), length)
        else:
            return
        self.content += value


def _vr(tag: int, vr: bytes) -> str:
    """The VR to read a value by: what it was sent as, or the dictionary's; empty where neither can be.

    The dictionary's where there is no such VR, where numbers or bytes are declared in place of a text, and of what has
    a character set: a UID or a Patient ID is a text, whatever a device calls it (PS3.6).
    """
    sent = vr.decode("latin-1")
    try:
        known = dictionary_VR(tag)[:2]
    except KeyError:
        return sent if sent in VALUE_REPRESENTATIONS else ""
    if sent not in VALUE_REPRESENTATIONS:
        return known
    texts = CHARACTER_STRINGS - _NUMBERS
    return known if known in EXTENDED_CHARACTERS or (known in texts and sent not in texts) else sent


@contextmanager
def _opened(head: Part10) -> Iterator[_File | _Inflated]:
    with head.path.open("rb") as file:
        yield _Inflated(file, head) if _is_deflated(head) else _File(file, head)


def _excerpt(head: Part10, bounds: _Bounds) -> _Excerpt:
    order = ">" if head.transfer_syntax_uid == ExplicitVRBigEndian else "<"
    with _opened(head) as source:
        excerpt = _Excerpt(source, order, bounds)
        excerpt.make()
    if max(excerpt.content.count(item) for item in _ITEMS) > bounds.items:
        excerpt.broken = _too_many(bounds.items)
        excerpt.content.clear()
    return excerpt


def _decoded(head: Part10, excerpt: _Excerpt) -> Header:
    little = head.transfer_syntax_uid != ExplicitVRBigEndian
    try:
        found = read_dataset(BytesIO(excerpt.content), excerpt.implicit, little)
    except Exception as error:  # pydicom raises whatever it met in the bytes; all of it means the same here
        raise _unreadable(head.path, type(error).__name__) from error
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(head.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(head.sop_instance_uid)
    meta.TransferSyntaxUID = UID(head.transfer_syntax_uid)
    dataset = Header(head.path, found, file_meta=meta, is_implicit_VR=excerpt.implicit, is_little_endian=little)
    undeclared = set[str]()
    _decode(dataset, (), undeclared)
    dataset.undeclared = frozenset(undeclared)
    return dataset


def _head(path: Path) -> Part10:
    try:
        return read_part10(path)
    except UnreadableInstance as error:
        raise _unreadable(path, str(error)) from error


def _is_deflated(head: Part10) -> bool:
    return head.transfer_syntax_uid == DeflatedExplicitVRLittleEndian


def _unreadable(path: Path, reason: str) -> UnreadableInstance:
    return UnreadableInstance(f"the file {path.name} cannot be read as DICOM: {reason}")


def _too_many(items: int) -> str:
    return f"it has more than {items} items of sequences"


def _decode(dataset: Dataset, inherited: Sequence[str], undeclared: set[str], depth: int = 0) -> None:
    """In place, without what cannot be decoded."""
    declared = decode_texts(dataset, inherited, undeclared)
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
            _decode(item, declared, undeclared, depth + 1)
