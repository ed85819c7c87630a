"""What a model analysed, one image or one volume, as findings and results see it: alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from models.anatomy.ct.measures import Measures, measured
from models.anatomy.ct.thorax import ANYWHERE, possible
from models.card import Input, Label
from models.data.geometry.stacking import axis_order
from models.regions import Mask, bounds
from workers.dicom.attributes import number, numbered, numbers, series_and_image, text, words
from workers.dicom.evidence import pixel_spacing
from workers.findings.boxed import BoxedMask
from workers.findings.location import BODY_HU, Location, image_location, names_the_sides, volume_side
from workers.findings.lung_zones import LungZones, Zones
from workers.findings.volume_zones import VolumeZones
from workers.inputs.eligibility import of_chest
from workers.inputs.grid import Grid
from workers.inputs.pixels import SourceImage, window
from workers.inputs.volume import SourceVolume

Floats = NDArray[np.float32]
Rectangle = tuple[float, float, float, float]
"""x0, y0, x1, y1: columns and rows, (0, 0) is the top left corner of the top left pixel."""
PERCENTILES, SPARSE = (0.5, 99.5), 4  # of every fourth voxel along each axis
LUNG_WINDOW = (-600.0, 1500.0)  # centre and width in HU, where a CT names none


class PixelMeasures(NamedTuple):
    """Values of the Pixel Measures Sequence (0028,9110) in mm, by highdicom's names."""

    pixel_spacing: tuple[float, float]
    slice_thickness: float
    spacing_between_slices: float | None


class Part(NamedTuple):
    """A map in the source's pixels within a box, and the raw value from which on it has regions.

    Outside of the box it does not reach the threshold.
    """

    values: Floats
    box: tuple[slice, ...]
    shape: tuple[int, ...]
    threshold: float


class Source(Protocol):
    """One image, or the slices of one volume; each instance is a frame, in the order of `headers`.

    A mask or map "of the source" is (rows, columns) of an image and (slices, rows, columns) of a volume, as stored.

    Attributes
    ----------
    headers
        Of all instances that were analysed, without pixels.
    left_out
        (SOP Instance UID, reason) of slices that are not part of the volume.
    valid
        Mask of the pixels that may belong to a region; None: all.
    pixel_spacing
        mm between rows, between columns; None where unknown.
    description
        For people: "CR series 1, image 1, PA view".
    """

    is_volume: ClassVar[bool]

    @property
    def headers(self) -> tuple[Dataset, ...]: ...

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]: ...

    @property
    def valid(self) -> Mask | None: ...

    @property
    def pixel_spacing(self) -> tuple[float, float] | None: ...

    @property
    def pixel_measures(self) -> PixelMeasures: ...

    @property
    def description(self) -> str: ...

    @property
    def sop_instance_uids(self) -> tuple[str, ...]:
        """Of `headers`."""
        return tuple(str(header.SOPInstanceUID) for header in self.headers)

    def to_model(self) -> tuple[Floats, tuple[float, ...] | None]:
        """What `models.prediction.Model.predict` takes: the array, and a volume's spacing."""
        ...

    def to_source(self, saliency: NDArray[Any]) -> Floats:
        """A map of the model's output in the source's pixels."""
        ...

    def smallest_region(self, label: Label) -> float:
        """Pixels or voxels of the label's smallest region."""
        ...

    def part(self, saliency: NDArray[Any], label: Label) -> Part | None:
        """What of a map of the model's output, in the source's pixels, can reach the label's threshold, if anything."""
        ...

    def box(self, box: NDArray[np.float32]) -> Rectangle | None:
        """x0, y0, x1, y1 of the model's input in the source's pixels; None where nothing of it lies in the source."""
        ...

    def size(self, pixels: int) -> tuple[float | None, float | None]:
        """(area of an image in mm2, where its spacing is known; volume in mm3)."""
        ...

    def measures(self, mask: BoxedMask) -> Measures | None:
        """Axes and density of a region of a volume."""
        ...

    def lung_zones(self, zones: NDArray[np.uint8] | None) -> Zones | None:
        """The zones of a prediction in the source's pixels, where it has any."""
        ...

    def location(self, mask: BoxedMask, zones: Zones | None) -> Location:
        """Where a region is; by the lungs where their zones are known."""
        ...

    def presented(self, frame: int) -> Floats:
        """(rows, columns), 0 black .. 1 white, or (rows, columns, 3): a frame as its header asks for."""
        ...

    def pictured(self, frame: int) -> tuple[Floats, str]:
        """The same in one window for all slices, and what it is in words."""
        ...

    def series_name(self, what: str) -> str:
        """A result in the list of series: a study may hold one for each image, "S:2 I:1 regions"."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ImageSource(Source):
    """One image, and the way back from the network's input to its pixels."""

    is_volume = False

    image: SourceImage
    grid: Grid
    rules: Input | None = None

    @property
    def _header(self) -> Dataset:
        return self.image.dataset

    @property
    def headers(self) -> tuple[Dataset, ...]:
        return (self._header,)

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        return ()

    @property
    def valid(self) -> Mask:
        return self.image.valid & self.grid.seen

    @property
    def pixel_spacing(self) -> tuple[float, float] | None:
        return pixel_spacing(self._header)[0]

    @property
    def pixel_measures(self) -> PixelMeasures:
        """1 mm where no spacing is known, since OHIF's page fails on a radiograph without Pixel Measures.

        highdicom's reader then needs a slice thickness, which a projection has not: 1 mm, too.
        """
        return PixelMeasures(self.pixel_spacing or (1.0, 1.0), 1.0, None)

    @property
    def description(self) -> str:
        view = text(self._header, "ViewPosition")
        name = f"{text(self._header, 'Modality')} {series_and_image(self._header)}"
        words = (f"{view} view" if view else "", self.image.voi if self.image.colours is not None else "")
        return ", ".join(filter(None, (name, *words)))

    def to_model(self) -> tuple[Floats, None]:
        found = [self.grid.to_input(plane) for plane in self._planes]
        return (found[0] if len(found) == 1 else np.stack(found)), None

    @property
    def _planes(self) -> tuple[Floats, ...]:
        """(rows, columns) each: a window, or red, green and blue, or the intensity."""
        if self.image.windows:
            return self.image.windows
        if self.rules is None or self.rules.colour == "grey":
            return (self.image.intensity,)
        colours = self.image.colours
        return (self.image.intensity,) * 3 if colours is None else tuple(np.moveaxis(colours, -1, 0))

    def to_source(self, saliency: NDArray[Any]) -> Floats:
        return self.grid.to_source(saliency)

    def smallest_region(self, label: Label) -> float:
        return label.smallest_region_fraction * self.image.intensity.size

    def part(self, saliency: NDArray[Any], label: Label) -> Part:
        whole = self.to_source(saliency)
        box = tuple(slice(0, length) for length in whole.shape)
        return Part(whole, box, whole.shape, label.region_threshold(float(whole.max())))

    def box(self, box: NDArray[np.float32]) -> Rectangle | None:
        x0, y0, x1, y1 = (float(one) for one in box[:4])
        found = self.grid.box_to_source((x0, y0, x1, y1))
        return found if found[2] > found[0] and found[3] > found[1] else None

    def size(self, pixels: int) -> tuple[float | None, None]:
        spacing = self.pixel_spacing
        return (pixels * spacing[0] * spacing[1] if spacing else None), None

    def measures(self, mask: BoxedMask) -> None:
        return None

    def lung_zones(self, zones: NDArray[np.uint8] | None) -> LungZones | None:
        of_patient = names_the_sides(words(self._header, "PatientOrientation"))
        return None if zones is None else LungZones.of(zones, self.grid, of_patient=of_patient)

    def location(self, mask: BoxedMask, zones: Zones | None) -> Location:
        if zones is not None and zones.of_patient:
            return zones.location(mask)
        orientation = words(self._header, "PatientOrientation") if of_chest(self._header) else ()
        return image_location(mask.whole, orientation)  # of other organs zones and the body's sides say nothing

    def presented(self, frame: int) -> Floats:
        return self.image.shown

    def pictured(self, frame: int) -> tuple[Floats, str]:
        return self.image.shown, self.image.voi

    def series_name(self, what: str) -> str:
        return f"{numbered(self._header)} {what}"


@dataclass(frozen=True, slots=True, eq=False)
class VolumeSource(Source):
    """The slices of one volume."""

    is_volume = True

    volume: SourceVolume

    @property
    def headers(self) -> tuple[Dataset, ...]:
        return self.volume.headers

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        return self.volume.left_out

    @property
    def valid(self) -> None:
        return None

    @property
    def pixel_spacing(self) -> tuple[float, float]:
        _, rows, columns = self.volume.spacing
        return rows, columns

    @property
    def pixel_measures(self) -> PixelMeasures:
        between = self.volume.spacing[0]
        thickness = numbers(self.headers[0], "SliceThickness")
        return PixelMeasures(self.pixel_spacing, thickness[0] if thickness else between, between)

    @property
    def description(self) -> str:
        series = f"series {number(self.headers[0], 'SeriesNumber', 0):.0f}"
        distance = f"{self.volume.spacing[0]:g} mm apart"
        return f"{text(self.headers[0], 'Modality')} {series}, {len(self.headers)} slices {distance}"

    def to_model(self) -> tuple[Floats, tuple[float, ...]]:
        return self.volume.to_model()

    def to_source(self, saliency: NDArray[Any]) -> Floats:
        return self.volume.to_source(saliency)

    def smallest_region(self, label: Label) -> float:
        return label.smallest_region_mm3 / float(np.prod(self.volume.spacing))

    def part(self, saliency: NDArray[Any], label: Label) -> Part | None:
        """Its peak is the map's own: of a volume no map of all source voxels is made."""
        threshold = label.region_threshold(float(saliency.max()))
        reached = saliency >= threshold
        box = self.volume.box_of(bounds(reached), saliency.shape) if reached.any() else None
        if box is None:
            return None
        values = self.volume.part_of(saliency, box)
        if label.region == "smoothed" and label.territory != ANYWHERE:
            values[~possible(self.volume.array, box, self.volume.spacing, label.territory)] = -np.inf
        return Part(values, box, self.volume.array.shape, threshold)

    def box(self, box: NDArray[np.float32]) -> None:
        return None

    def size(self, pixels: int) -> tuple[None, float]:
        return None, float(pixels * np.prod(self.volume.spacing))

    def measures(self, mask: BoxedMask) -> Measures:
        """In the axes of the patient that are the nearest to the slices', rows and columns."""
        order, _ = axis_order(self.volume.direction)
        z, y, x = (self.volume.spacing[axis] for axis in order)
        hu = self.volume.array[mask.box]
        found = measured(mask.inside.transpose(order), hu.transpose(order), (z, y, x))
        return found if self.volume.hounsfield else replace(found, mean_hu=None)

    def lung_zones(self, zones: NDArray[np.uint8] | None) -> VolumeZones | None:
        return None if zones is None else VolumeZones(zones, self.volume)

    def location(self, mask: BoxedMask, zones: Zones | None) -> Location:
        frame = mask.largest_frame
        direction, (_, rows, columns) = self.volume.direction, self.volume.spacing
        towards_left = (direction[1, 0] * rows, direction[2, 0] * columns)
        side = volume_side(mask.on(frame), self._body(frame), towards_left)
        found = zones.location(mask) if zones is not None else Location(side or "midline")
        z = self.volume.position((frame, 0, 0))[2]
        touched = [one for one in mask.touched if mask.reaches(one)]
        first, last = (self._instance_number(one) for one in (touched[0], touched[-1]))
        return replace(found, z=z, image=self._instance_number(frame), images=(min(first, last), max(first, last)))

    def presented(self, frame: int) -> Floats:
        header = self.headers[frame]
        centre, width = numbers(header, "WindowCenter"), numbers(header, "WindowWidth")
        chosen = (centre[0], width[0]) if centre and width and width[0] > 1 else self._window
        function = text(header, "VOILUTFunction") or "LINEAR"
        return window(self.volume.array[frame].astype(np.float64), *chosen, function).astype(np.float32)

    def pictured(self, frame: int) -> tuple[Floats, str]:
        centre, width = self._window
        shown: Floats = np.clip((self.volume.array[frame] - (centre - width / 2)) / width, 0, 1).astype(np.float32)
        unit = " HU" if self.volume.hounsfield else ""
        return shown, f"image {self._instance_number(frame):.0f}, window {centre:g}/{width:g}{unit}"

    @property
    def _window(self) -> tuple[float, float]:
        """Centre and width for all slices: of lungs in HU, else what holds all but the darkest and brightest voxels."""
        if self.volume.hounsfield:
            return LUNG_WINDOW
        low, high = (float(one) for one in np.percentile(self.volume.array[::SPARSE, ::SPARSE, ::SPARSE], PERCENTILES))
        return (low + high) / 2, max(high - low, 1.0)

    def _body(self, frame: int) -> Mask:
        """Where a slice shows the body: in HU what is no air, else what is brighter than an eighth of the window."""
        plane = self.volume.array[frame]
        if self.volume.hounsfield:
            body: Mask = plane > BODY_HU
            return body
        centre, width = self._window
        return np.asarray(plane > centre - 3 * width / 8, np.bool_)

    def series_name(self, what: str) -> str:
        return what

    def _instance_number(self, frame: int) -> float:
        return number(self.headers[frame], "InstanceNumber", frame + 1)
