"""Secondary Captures (PS3.3 A.8.1): the image as it is meant to be seen, the regions' outlines, and a legend below.

For viewers that show neither Segmentation nor Structured Report. The picture keeps the source's pixels one to one, the
legend is a strip of its own: nothing of the image is covered but by the outlines and their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from workers.dicom.attributes import text
from workers.dicom.evidence import prepared
from workers.dicom.geometry import orientation
from workers.dicom.references import source_image_reference
from workers.findings import equipment
from workers.findings.analysed import AnalysedSource, AnalysedStudy
from workers.inputs.pixels import aspect_of
from workers.results.drawing import Mark, drawn
from workers.results.legend import Legend, legend_of, stacked
from workers.results.registry import series_number

MOST_SLICES = 5


def captures(study: AnalysedStudy) -> Iterator[Dataset]:
    """One of a radiograph; of a volume one of each slice where a region is largest, else of the middle one."""
    for each in study.sources:
        below = legend_of(each.findings, each.context)
        for number, frame in enumerate(each.shown[:MOST_SLICES], start=1):
            yield _capture(each, frame, number, below)


def _marks(analysed: AnalysedSource, frame: int) -> list[Mark]:
    """The regions on one picture, with their numbers in the legend."""
    return [
        Mark(number, finding.label.colour, region.boxed.on(frame))
        for number, (finding, region) in enumerate(analysed.regions, start=1)
        if region.boxed.reaches(frame)
    ]


def _capture(analysed: AnalysedSource, frame: int, number: int, below: Legend) -> Dataset:
    source, context = analysed.source, analysed.context
    header, uids = source.headers[frame], source.sop_instance_uids
    directions = orientation(header)
    picture = drawn(source.presented(frame), _marks(analysed, frame), _aspect(header))
    dataset: Dataset = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=prepared(header),
        pixel_array=stacked(picture, below),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=context.uid("capture/series", *uids),
        series_number=series_number("capture"),
        sop_instance_uid=context.uid(f"capture/instance/{header.SOPInstanceUID}", *uids),
        instance_number=number,
        manufacturer=equipment.MANUFACTURER,
        patient_orientation=directions or ("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=equipment.series_description(context, "picture"),
    )
    _complete(dataset, header, directions, analysed)
    dataset.SourceImageSequence = [source_image_reference(header)]
    equipment.sign(dataset, context)
    return dataset


def _complete(dataset: Dataset, header: Dataset, directions: tuple[str, str] | None, analysed: AnalysedSource) -> None:
    """What highdicom leaves out or fills in by itself, in place."""
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PlanarConfiguration = 0
    dataset.BurnedInAnnotation = "YES"
    dataset.Laterality = None
    dataset.PatientOrientation = list(directions) if directions else None  # type 2C: empty where unknown
    dataset.ConversionType = "WSD"
    dataset.DateOfSecondaryCapture = dataset.TimeOfSecondaryCapture = None
    del dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture
    present = ", ".join(finding.label.title for finding in analysed.findings if finding.present) or "no finding"
    dataset.DerivationDescription = f"Outlines and legend of AI findings ({present}) burned in. {equipment.RESEARCH}"
    if text(header, "LossyImageCompression") == "01":  # PS3.3 C.7.6.1.1.5: once lossy, always lossy
        dataset.LossyImageCompression = "01"


def _aspect(header: Dataset) -> float:
    """Height of a pixel by its width."""
    rows, columns = aspect_of(header)
    return rows / columns
