"""Secondary Captures (PS3.3 A.8.1): the image as it is meant to be seen, the regions' outlines, and a legend below.

For viewers that show neither Segmentation nor Structured Report. The picture keeps the source's pixels one to one, the
legend is a strip of its own: nothing of the image is covered but by the outlines and their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from workers.dicom.attributes import numbers, text
from workers.dicom.evidence import prepared
from workers.dicom.geometry import orientation
from workers.dicom.references import source_image_reference
from workers.dicom.uids import Context
from workers.findings import equipment
from workers.findings.findings import Finding, ImageSource, Region, Source, largest_slice, source_uids
from workers.inputs.pixels import aspect_of, window
from workers.inputs.volume import SourceVolume
from workers.results.drawing import Mark, Panel, drawn, panel, stacked

SERIES_NUMBER = 9104
MOST_SLICES = 5
LUNG_WINDOW = (-600.0, 1500.0)  # centre and width in HU, where a CT names none


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """One picture: its grey values 0..1, the instance it is of, and the regions on it (number in the legend, mask)."""

    grey: NDArray[np.float32]
    header: Dataset
    marks: tuple[Mark, ...]


def captures(findings: Sequence[Finding], source: Source, context: Context) -> list[Dataset]:
    """One capture of a radiograph; of a volume one of each slice where a region is largest, else of the middle one."""
    regions = [(finding, region) for finding in findings for region in finding.regions]
    views = _slices(regions, source) if isinstance(source, SourceVolume) else [_image(regions, source)]
    legend = panel(findings, context)
    return [
        _capture(view, legend, number, findings, source, context) for number, view in enumerate(views, start=1)
    ]  # fmt: skip


def _image(regions: Sequence[tuple[Finding, Region]], source: ImageSource) -> _View:
    marks = (Mark(number, finding.label.colour, region.mask) for number, (finding, region) in enumerate(regions, 1))
    return _View(source.image.intensity, source.image.dataset, tuple(marks))


def _slices(regions: Sequence[tuple[Finding, Region]], source: SourceVolume) -> list[_View]:
    numbered = [(number, finding, region) for number, (finding, region) in enumerate(regions, 1)]
    shown = dict.fromkeys(largest_slice(region.mask) for _, _, region in numbered)
    views = []
    for index in list(shown)[:MOST_SLICES] or [len(source.headers) // 2]:
        marks = (
            Mark(number, finding.label.colour, region.mask[index])
            for number, finding, region in numbered
            if region.mask[index].any()
        )
        views.append(_View(_windowed(source, index), source.headers[index], tuple(marks)))
    return views


def _windowed(source: SourceVolume, index: int) -> NDArray[np.float32]:
    header = source.headers[index]
    centre, width = numbers(header, "WindowCenter"), numbers(header, "WindowWidth")
    chosen = (centre[0], width[0]) if centre and width and width[0] > 1 else LUNG_WINDOW
    function = text(header, "VOILUTFunction") or "LINEAR"
    return window(source.array[index].astype(np.float64), *chosen, function).astype(np.float32)


def _capture(
    view: _View, legend: Panel, number: int, findings: Sequence[Finding], source: Source, context: Context
) -> Dataset:
    pixels = stacked(drawn(view.grey, view.marks, _aspect(view.header)), legend)
    uids = source_uids(source)
    header = prepared(view.header)
    directions = orientation(view.header)
    dataset: Dataset = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=header,
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=context.uid("capture/series", *uids),
        series_number=SERIES_NUMBER,
        sop_instance_uid=context.uid(f"capture/instance/{view.header.SOPInstanceUID}", *uids),
        instance_number=number,
        manufacturer=equipment.MANUFACTURER,
        patient_orientation=directions or ("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=equipment.series_description(context, "picture"),
    )
    _complete(dataset, view.header, directions, findings)
    dataset.SourceImageSequence = [source_image_reference(view.header)]
    equipment.sign(dataset, context)
    return dataset


def _complete(
    dataset: Dataset, header: Dataset, directions: tuple[str, str] | None, findings: Sequence[Finding]
) -> None:
    """What highdicom leaves out or fills in by itself, in place."""
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PlanarConfiguration = 0
    dataset.BurnedInAnnotation = "YES"
    dataset.Laterality = None
    dataset.PatientOrientation = list(directions) if directions else None  # type 2C: empty where unknown
    dataset.ConversionType = "WSD"
    dataset.DateOfSecondaryCapture = dataset.TimeOfSecondaryCapture = None
    del dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture
    present = ", ".join(finding.label.title for finding in findings if finding.present) or "no finding called"
    dataset.DerivationDescription = f"Outlines and legend of AI findings ({present}) burned in. {equipment.RESEARCH}"
    if text(header, "LossyImageCompression") == "01":  # PS3.3 C.7.6.1.1.5: once lossy, always lossy
        dataset.LossyImageCompression = "01"


def _aspect(header: Dataset) -> float:
    """Height of a pixel by its width."""
    rows, columns = aspect_of(header)
    return rows / columns
