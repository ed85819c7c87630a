"""Frames of CT in DICOM files, from their headers: where each lies, and how its values become Hounsfield units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError

CT_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
NO_VOLUME = frozenset({"LOCALIZER"})  # value 3 of Image Type (0008,0008)
BAD_HEADER = (OSError, ValueError, AttributeError, TypeError, KeyError, IndexError, NotImplementedError, EOFError)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One slice: a file of its own, or a frame of a multi-frame file.

    Attributes
    ----------
    path, index
        The file, and the frame's place in it, from 0.
    series
        Series Instance UID.
    size
        Rows, Columns.
    position
        LPS mm, centre of the first pixel.
    cosines
        (2, 3): where columns grow, where rows grow.
    pixel
        mm between rows, between columns.
    slope, intercept
        HU = stored value * slope + intercept.
    """

    path: Path
    index: int
    series: str
    size: tuple[int, int]
    position: Floats
    cosines: Floats
    pixel: tuple[float, float]
    slope: float
    intercept: float

    @property
    def normal(self) -> Floats:
        """Where slices grow."""
        return np.cross(self.cosines[0], self.cosines[1])


def frames_of(path: Path) -> tuple[Frame, ...]:
    """The frames of a file that are CT and no localizer; none where it is something else.

    Raises
    ------
    DataError
        It is CT, and does not say where its frames lie, or has no Rescale Slope and Intercept.
    """
    from pydicom import dcmread  # noqa: PLC0415 (only DICOM needs it)
    from pydicom.errors import InvalidDicomError  # noqa: PLC0415

    try:
        dataset = dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        return ()
    except BAD_HEADER as error:
        raise DataError(f"{path} cannot be read as DICOM: {error}") from error
    kinds = dataset.get("ImageType") or ()
    if dataset.get("SOPClassUID") not in CT_CLASSES or NO_VOLUME & set(kinds[2:3]):
        return ()
    try:
        return tuple(_frames(path, dataset))
    except BAD_HEADER as error:
        raise DataError(
            f"{path} is CT, but its header lacks what places it in the patient or makes its values Hounsfield units"
            f" ({error}). Export the series again, as the scanner sent it."
        ) from error


def _frames(path: Path, dataset: Any) -> Iterator[Frame]:
    size = int(dataset.Rows), int(dataset.Columns)
    shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or ()), None)
    own = dataset.get("PerFrameFunctionalGroupsSequence")
    for index, group in enumerate(own if own else (None,)):

        def item(sequence: str, group: Any = group) -> Any:
            if group is None:
                return dataset
            return next(one[sequence][0] for one in (group, shared) if one is not None and sequence in one)

        measures, values = item("PixelMeasuresSequence"), item("PixelValueTransformationSequence")
        pixel = [float(one) for one in measures.PixelSpacing]
        cosines = np.array(item("PlaneOrientationSequence").ImageOrientationPatient, np.float64).reshape(2, 3)
        yield Frame(
            path=path,
            index=index,
            series=str(dataset.SeriesInstanceUID),
            size=size,
            position=np.array(item("PlanePositionSequence").ImagePositionPatient, np.float64).reshape(3),
            cosines=cosines,
            pixel=(pixel[0], pixel[1]),
            slope=float(values.RescaleSlope),
            intercept=float(values.RescaleIntercept),
        )
