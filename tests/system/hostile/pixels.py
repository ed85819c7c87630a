"""Radiographs whose encapsulated Pixel Data is odd, broken or changed by chance; a child decodes them."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import generate_uid

from tests.fuzz.chance import changed
from tests.node.phantoms import encoded
from tests.system.hostile.kind import Answer, Kind, first, spread
from tests.system.hostile.limited import Site
from tests.system.hostile.raw import pieces, stores
from tests.workers.imaging_phantoms import pydicom_file, radiograph
from tests.workers.inputs.decoding.test_encapsulation import ANY, CODESTREAMS, Layout

_FILES = ("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm")
_MODULE = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
_OPEN = 0xFFFFFFFF
_SEED = 13


class Encapsulated:
    """A compressed image of pydicom's as the radiograph of nobody."""

    def __init__(self, name: str) -> None:
        self._source = dcmread(pydicom_file(name))
        self.frames = list(generate_frames(self._source.PixelData, number_of_frames=1))

    def store(self, site: Site, value: bytes, length: int = _OPEN) -> str:
        """The answer to a study of its own with this value of Pixel Data."""
        header = self._header()
        sends = encoded(header) + struct.pack("<HH2sxxL", 0x7FE0, 0x0010, b"OB", length) + value
        syntax = str(self._source.file_meta.TransferSyntaxUID)
        return stores(site, str(header.SOPInstanceUID), pieces(sends), syntax, str(header.SOPClassUID))

    def _header(self) -> Dataset:
        given = {keyword: self._source[keyword].value for keyword in _MODULE}
        uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), "PixelData": None}
        return radiograph(np.zeros((8, 8), np.uint16), PatientID="H1", **given, **uids)


def _odd_streams(site: Site, most: int) -> Iterator[Answer]:
    marked: list[tuple[str, Layout]] = [*ANY.items(), *CODESTREAMS.items()]
    inputs = [(name, layout) for name in _FILES for layout in (ANY.items() if "RLE" in name else marked)]
    for name, (title, layout) in spread(inputs, most):
        source = Encapsulated(name)
        value = layout(source.frames)
        answer = source.store(site, value, len(value) if title.startswith("bare") else _OPEN)
        yield Answer(f"{name}: {title}", answer, answer == "0x0000")


def _by_chance(site: Site, most: int) -> Iterator[Answer]:
    chance = random.Random(_SEED)
    for number in range(most):
        source = Encapsulated(_FILES[number % len(_FILES)])
        (frame,) = first(changed(source.frames, chance), 1)
        answer = source.store(site, ANY["as it should be"]([frame + bytes(len(frame) % 2)]))
        yield Answer(str(number), answer, answer == "0x0000")


KINDS = (
    Kind("encapsulated streams", _odd_streams, few=2),
    Kind("pixels by chance", _by_chance, few=2, many=30),
)
