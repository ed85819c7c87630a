"""An image's stored values to the intensities or colours that its maker meant to be seen.

Stored value, Modality LUT (PS3.3 C.11.1), VOI LUT or window (C.11.2), Presentation LUT Shape (C.11.6): worked out
once for each stored value that occurs, then looked up. Padding is found among the stored values (C.7.5.1.1.2) and
takes no part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.data.scaling import windowed
from node.errors import AnalysisError
from workers.dicom.attributes import header, items, number, numbers, photometric, text, words
from workers.dicom.geometry import drop_invalid
from workers.inputs.colour import colours, grey, is_colour, luminance
from workers.inputs.decoding.decoder import Decoder, Stored
from workers.inputs.grid import Grid
from workers.inputs.lut import Curve, LookupTable, lookup_table

if TYPE_CHECKING:
    from models.card import Input

MOST_VALUES = 1 << 20  # between the smallest and the largest stored value: a radiograph has at most 16 bits
PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True, slots=True, eq=False)
class SourceImage:
    """A single-frame image, in the row and column order in which it is stored."""

    dataset: Dataset  # the header, no Pixel Data
    intensity: NDArray[
        np.float32
    ]  # (rows, columns), 0 black .. 1 white, bone is white; padding is 0; of colour: how light
    valid: NDArray[np.bool_]  # (rows, columns), False where padded
    spacing: tuple[float, float] | None  # mm between rows, between columns; None where unknown
    voi: str  # what made the contrast, in words
    colours: NDArray[np.float32] | None = None  # (rows, columns, 3) red, green, blue, 0..1; None of a grey image
    windows: tuple[NDArray[np.float32], ...] = ()  # (rows, columns), 0..1, of each window that the model asks for

    @property
    def shown(self) -> NDArray[np.float32]:
        """What people are shown: the colours where it has some, else the intensity."""
        return self.intensity if self.colours is None else self.colours


def load_image(path: Path, decoder: Decoder, rules: Input | None = None) -> SourceImage:
    """Decode and present an image as a model of these rules sees it; without rules a grey one.

    Raises
    ------
    AnalysisError
        It has several frames, or colours where the model sees grey images; DecodeError: by the decoder.
    """
    dataset = drop_invalid(header(path))
    if rules is not None and is_colour(dataset):
        return _load_colours(path, dataset, decoder, rules.colour == "rgb")
    require_monochrome(dataset)
    stored = decoder.decode(path)
    valid = ~padded(stored, dataset)
    low, curve, voi = presentation(stored, valid, dataset)
    index = stored.astype(np.int64) - low
    intensity = curve.astype(np.float32)[index]
    intensity[~valid] = 0
    found = SourceImage(dataset, intensity, valid, spacing_of(dataset), voi)
    if rules is None or not rules.windows:
        return found
    real = modality(np.arange(low, low + len(curve), dtype=np.float64), dataset)
    planes = tuple(np.where(valid, windowed(real, one)[index], np.float32(0)) for one in rules.windows)
    return replace(found, windows=planes)


def _load_colours(path: Path, dataset: Dataset, decoder: Decoder, as_colours: bool) -> SourceImage:
    _require_one_frame(dataset)
    found = colours(decoder.decode(path), dataset)
    light = luminance(found) if as_colours else grey(found)
    if light is None:
        raise AnalysisError("a colour image is not analysed by a model of grey images")
    profile = ", ICC Profile not applied" if "ICCProfile" in dataset else ""
    voi = f"colours as stored{profile}" if as_colours else "grey, stored as colours"
    valid = np.ones(light.shape, np.bool_)
    return SourceImage(dataset, light, valid, spacing_of(dataset), voi, found if as_colours else None)


def image_grid(dataset: Dataset, size: tuple[int, int], crop: float = 0.0) -> Grid:
    """The grid between this image and a network's input of `size` (rows, columns)."""
    orientation = words(dataset, "PatientOrientation")
    return Grid.fit(int(dataset.Rows), int(dataset.Columns), size, aspect_of(dataset), orientation, crop)


def spacing_of(dataset: Dataset) -> tuple[float, float] | None:
    """Pixel Spacing, else Imager Pixel Spacing (at the detector, so without magnification), where it can be true."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        found = numbers(dataset, keyword, 2)
        if found and min(found) > 1e-3 and max(found) < 10:  # 0.000\0.000 is found in the wild
            return found[0], found[1]
    return None


def aspect_of(dataset: Dataset) -> tuple[float, float]:
    """The distances between rows and columns in mm, or their ratio alone (Pixel Aspect Ratio), or (1, 1)."""
    ratio = numbers(dataset, "PixelAspectRatio", 2)
    return spacing_of(dataset) or ((ratio[0], ratio[1]) if ratio and min(ratio) > 0 else (1.0, 1.0))


def require_monochrome(dataset: Dataset) -> None:
    """AnalysisError unless the header declares one frame of one grey sample."""
    interpretation = photometric(dataset)
    if number(dataset, "SamplesPerPixel", 1) != 1 or interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise AnalysisError(f"a colour image ({interpretation or 'no Photometric Interpretation'}) is not analysed")
    _require_one_frame(dataset)


def _require_one_frame(dataset: Dataset) -> None:
    if number(dataset, "NumberOfFrames", 1) > 1:
        raise AnalysisError("an image of several frames is not analysed")


def padded(stored: Stored, dataset: Dataset) -> NDArray[np.bool_]:
    """Where stored values are Pixel Padding Value (0028,0120), or between it and the Range Limit (0028,0121)."""
    value = numbers(dataset, "PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=np.bool_)
    limit = numbers(dataset, "PixelPaddingRangeLimit") or value
    low, high = sorted(_as_stored(one[0], dataset) for one in (value, limit))
    return np.logical_and(stored >= low, stored <= high)


def _as_stored(value: float, dataset: Dataset) -> int:
    """A value whose VR (US or SS) may not fit Pixel Representation, as the stored values' type reads it."""
    bits = int(number(dataset, "BitsAllocated", 16))
    raw = int(value) & ((1 << bits) - 1)
    signed = number(dataset, "PixelRepresentation", 0) == 1
    return raw - (1 << bits) if signed and raw >> (bits - 1) else raw


def presentation(stored: Stored, valid: NDArray[np.bool_], dataset: Dataset) -> tuple[int, Curve, str]:
    """(smallest stored value, intensity 0..1 of each value from there on, what made the contrast)."""
    seen = stored[valid] if not valid.all() else stored
    if stored.dtype.kind not in "ui" or not seen.size:
        raise AnalysisError("the image holds no pixel that could be analysed")
    low, high = int(stored.min()), int(stored.max())
    if high - low >= MOST_VALUES:
        raise AnalysisError("the image's values span more than 20 bits, which is no radiograph")
    counts = np.bincount((seen.astype(np.int64) - low).ravel(), minlength=high - low + 1)
    real = modality(np.arange(low, high + 1, dtype=np.float64), dataset)
    curve, voi = contrast(real, counts, dataset)
    return low, 1 - curve if inverted(dataset) else curve, voi


def modality(values: Curve, dataset: Dataset) -> Curve:
    """Stored values to manufacturer-independent ones: the Modality LUT Sequence, else slope and intercept."""
    table = first_table(dataset, "ModalityLUTSequence", number(dataset, "PixelRepresentation", 0) == 1)
    if table is not None:
        return table.of(values)
    slope, intercept = number(dataset, "RescaleSlope", 1.0), number(dataset, "RescaleIntercept", 0.0)
    return values * slope + intercept if slope else values  # of a slope of 0 viewers ignore the intercept, too


def contrast(values: Curve, counts: NDArray[np.intp], dataset: Dataset) -> tuple[Curve, str]:
    """0..1 by the first VOI LUT, else the first window, else percentiles of the valid pixels (`counts` a value)."""
    may_be_negative = values.min() < 0 or number(dataset, "PixelRepresentation", 0) == 1
    table = first_table(dataset, "VOILUTSequence", may_be_negative or number(dataset, "RescaleIntercept", 0.0) < 0)
    if table is not None:
        return table.of(values) / table.largest, "VOI LUT"
    centre, width = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip()  # viewers take another spelling as LINEAR
    if centre and width and (width[0] >= 1 if function == "LINEAR" else width[0] > 0):
        return window(values, centre[0], width[0], function), f"window {centre[0]:g}/{width[0]:g} {function}"
    low, high = percentiles(values, counts)
    curve = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    return (
        curve,
        f"percentiles {PERCENTILES[0]:g} and {PERCENTILES[1]:g} (the image has no VOI LUT and no valid window)",
    )


def first_table(dataset: Dataset, keyword: str, negative: bool) -> LookupTable | None:
    """The first table of a sequence, or None; `negative` whether values below 0 are looked up."""
    tables = items(dataset, keyword)
    return lookup_table(tables[0], negative, dataset.original_encoding[1] is False) if tables else None


def window(values: Curve, centre: float, width: float, function: str) -> Curve:
    """PS3.3 C.11.2.1.2.1 (LINEAR, also for what is unknown), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT)."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def percentiles(values: Curve, counts: NDArray[np.intp]) -> tuple[float, float]:
    """The values below which PERCENTILES of the counted pixels lie; `values` rise or fall."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(counts[order]) / counts.sum()
    low, high = (values[order[int(np.searchsorted(share, one / 100))]] for one in PERCENTILES)
    return float(low), float(high)


def inverted(dataset: Dataset) -> bool:
    """Whether the smallest value is white: MONOCHROME1 and INVERSE mean the same (PS3.3 C.8.11.3.1.2).

    Where they contradict each other the shape counts, as in DCMTK and dcm4che.
    """
    shape = text(dataset, "PresentationLUTShape")
    return shape == "INVERSE" if shape in ("INVERSE", "IDENTITY") else photometric(dataset) == "MONOCHROME1"
