"""The colours of an image: stored values to red, green and blue (PS3.3 C.7.6.3.1.2), within what its header declares.

An ICC Profile is not applied: values are taken for sRGB, as browsers and most viewers do. Palettes in segments are not
read. A colour image whose red, green and blue are the same, as ultrasound is often stored, can be seen as a grey one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.errors import AnalysisError
from workers.dicom.attributes import number, photometric
from workers.inputs.decoding.decoder import Stored
from workers.inputs.lut import LookupTable, lookup_table

Floats = NDArray[np.float32]
PALETTE = "PALETTECOLOR"  # as `photometric` writes it
OF_RGB = ("RGB", "YBR_ICT", "YBR_RCT")  # what the decoder gives of JPEG 2000's two is RGB
OF_YBR = ("YBR_FULL", "YBR_FULL_422")
CHANNELS = ("Red", "Green", "Blue")
ALIKE = 2 / 255  # red, green and blue that differ by no more are grey: lossy compression changes them by a level or two
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
_FROM_YBR = np.array([[1.0, 0.0, 1.402], [1.0, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587], [1.0, 1.772, 0.0]])


def is_colour(dataset: Dataset) -> bool:
    """Whether the header declares colours of a kind that is read."""
    interpretation, samples = photometric(dataset), number(dataset, "SamplesPerPixel", 1)
    return (samples == 3 and interpretation in OF_RGB + OF_YBR) or (samples == 1 and interpretation == PALETTE)


def colours(stored: Stored, dataset: Dataset) -> Floats:
    """(rows, columns, 3) red, green, blue, 0..1.

    Raises
    ------
    AnalysisError
        The palette is missing or in segments.
    """
    if photometric(dataset) == PALETTE:
        return _looked_up(stored, dataset)
    largest = (1 << int(number(dataset, "BitsStored", 8))) - 1
    found: Floats = stored.astype(np.float32) / np.float32(largest)
    if photometric(dataset) not in OF_YBR:
        return found
    found[..., 1:] -= np.float32((largest + 1) / 2 / largest)
    return np.clip(found @ _FROM_YBR.T.astype(np.float32), np.float32(0), np.float32(1))


def grey(image: Floats) -> Floats | None:
    """The luminance (rows, columns) of colours that are all the same but for `ALIKE`; None where they are not."""
    return luminance(image) if float(np.ptp(image, axis=-1).max(initial=0.0)) <= ALIKE + 1e-6 else None


def luminance(image: Floats) -> Floats:
    """(rows, columns) of colours (rows, columns, 3)."""
    return image @ np.array(LUMINANCE, np.float32)


def _looked_up(stored: Stored, dataset: Dataset) -> Floats:
    """Palette Color Lookup Tables (C.7.6.3.1.5): values below the first have its entry, those above the last its.

    Entries have 16 bits, or 8 where none of the three tables holds more, as devices write them.
    """
    tables = [_table(dataset, channel) for channel in CHANNELS]
    largest = 255.0 if max(float(table.entries.max()) for table in tables) <= 255 else 65535.0
    values = stored.astype(np.float64)
    return np.stack([(table.of(values) / largest).astype(np.float32) for table in tables], -1)


def _table(dataset: Dataset, channel: str) -> LookupTable:
    item = Dataset()
    keyword = f"{channel}PaletteColorLookupTable"
    item.LUTDescriptor = dataset.get(f"{keyword}Descriptor")
    item.LUTData = dataset.get(f"{keyword}Data")
    table = lookup_table(item, number(dataset, "PixelRepresentation", 0) == 1, dataset.original_encoding[1] is False)
    if table is None:
        raise AnalysisError(f"a PALETTE COLOR image without {channel} Palette Color Lookup Table Data is not analysed")
    return table
