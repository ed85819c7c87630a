"""The regions document: every region as outlines with its finding, site and numbers (TID 1500, TID 1410 and 1411)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.sr.templates import ImageLibraryEntryDescriptors
from numpy.typing import NDArray
from pydicom import Dataset

from models.anatomy.ct.measures import Measures
from models.localizers.registry import LOCALIZERS
from workers.dicom import codes
from workers.dicom.attributes import numbers, text, words
from workers.dicom.evidence import changed, pixel_spacing
from workers.dicom.references import name_predecessors
from workers.dicom.uids import Context
from workers.findings import equipment, statement
from workers.findings.analysed import AnalysedSource, AnalysedStudy
from workers.findings.findings import Finding, Region
from workers.findings.location import outline
from workers.findings.source import Source
from workers.results import sr


def regions_documents(study: AnalysedStudy) -> tuple[Dataset, ...]:
    """A document for each source that has regions and square pixels.

    OHIF opens a document on the image of its first region, and its arrows lead to no other series: regions on a second
    radiograph would be listed and never seen. On oblong pixels it draws outlines in the wrong place (it takes the
    distance of rows for that of columns), so they are left to the Segmentation, which it draws right.
    """
    square = (each for each in study.sources if each.regions and not _oblong(each.source))
    documents = tuple(_regions_document(each) for each in square)
    name_predecessors(documents, study.predecessors_of("regions"))
    return documents


def _oblong(source: Source) -> bool:
    """Whether rows and columns lie so differently far apart that it is a pixel on a picture of a thousand."""
    rows, columns = source.pixel_spacing or (1.0, 1.0)
    return abs(rows - columns) > 0.001 * columns


def _regions_document(analysed: AnalysedSource) -> Dataset:
    source, context = analysed.source, analysed.context
    headers, uids = source.headers, source.sop_instance_uids
    groups = [_region_group(finding, region, headers, context) for finding, region in analysed.regions]
    library = _image_library([headers[frame] for frame in (analysed.touched if source.is_volume else analysed.shown)])
    before = [*map(sr.comment, statement.opening(context)), library]
    content = sr.measurement_report(codes.REGIONS_TITLE, groups, before, headers[0], context)
    return sr.document("regions", source.series_name("regions with probability"), content, headers, uids, context)


def _region_group(finding: Finding, region: Region, headers: Sequence[Dataset], context: Context) -> Any:
    """TID 1410: one outline; of a volume's region TID 1411: one on each of its slices, the largest one first.

    What must be seen on the image is a number, since OHIF shows no coded evaluation there. It opens a region on the
    slice of its first outline.
    """
    method = LOCALIZERS.get(context.card.localizer).code
    about: dict[str, Any] = {
        "tracking_identifier": hd.sr.TrackingIdentifier(region.tracking_uid, region.tracking_id),
        "finding_type": codes.coded(finding.label.code),
        "method": codes.coded(method) if method else None,
        "algorithm_id": equipment.algorithm(context, equipment.region_parameters(context, finding.label)),
        "finding_sites": [_site(region)],
        "measurements": [sr.likelihood(finding, context), *_sizes(region, headers[region.frame])],
        "qualitative_evaluations": sr.acr_category(finding.label),
    }
    if region.volume_mm3 is None:
        outline_ = _outline(region, region.frame, headers[region.frame])
        return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=outline_, **about)
    frames = sorted(region.boxed.touched, key=lambda frame: (frame != region.frame, frame))
    outlines = [_outline(region, frame, headers[frame]) for frame in frames if region.boxed.reaches(frame)]
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_regions=outlines, **about)


def _site(region: Region) -> Any:
    """A radiograph's thirds may be those of the picture, so that of a volume alone the zone is coded."""
    where = region.location
    zone = where.zone if region.volume_mm3 is not None else ""
    return codes.finding_site(region.site, where.side or "", zone)


def _outline(region: Region, frame: int, image: Dataset) -> Any:
    box = region.rectangle
    return hd.sr.ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=outline(region.boxed.on(frame)) if box is None else _corners(*box),
        source_image=hd.sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID),
    )


def _corners(x0: float, y0: float, x1: float, y1: float) -> NDArray[np.float32]:
    """A rectangle's (5, 2), (column, row) each, the last equal to the first."""
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], np.float32)


def _sizes(region: Region, image: Dataset) -> list[Any]:
    if region.volume_mm3 is not None:
        volume = sr.number(codes.VOLUME, region.volume_mm3, codes.CUBIC_MILLIMETRE)
        return [volume, *(_of_volume(region.measures) if region.measures else ())]
    if region.area_mm2 is None:
        return []
    _, at_detector = pixel_spacing(image)
    name = codes.AREA_AT_DETECTOR if at_detector else codes.AREA
    return [sr.number(name, region.area_mm2, codes.SQUARE_MILLIMETRE)]


def _of_volume(measures: Measures) -> tuple[Any, ...]:
    axes = ((codes.LONG_AXIS, measures.long_axis_mm), (codes.SHORT_AXIS, measures.short_axis_mm))
    lengths = (sr.number(name, value, codes.MILLIMETRE, digits=1) for name, value in axes)
    return (*lengths, *(() if measures.mean_hu is None else [sr.mean_attenuation(measures.mean_hu)]))


def _image_library(images: Sequence[Dataset]) -> Any:
    """TID 1600, one group. OHIF needs it.

    highdicom's own fails on a radiograph without Imager Pixel Spacing or Patient Orientation.
    """
    group = hd.sr.ContainerContentItem(codes.coded(codes.IMAGE_LIBRARY_GROUP), relationship_type="CONTAINS")
    group.ContentSequence = hd.sr.ContentSequence([_library_entry(image) for image in images])
    library = hd.sr.ContainerContentItem(codes.coded(codes.IMAGE_LIBRARY), relationship_type="CONTAINS")
    library.ContentSequence = hd.sr.ContentSequence([group])
    return library


def _library_entry(image: Dataset) -> Any:
    """TID 1601; the descriptors of a modality (TID 1603, 1604) only where the image has them all."""
    entry = hd.sr.ImageContentItem(
        codes.coded(codes.SOURCE), image.SOPClassUID, image.SOPInstanceUID, relationship_type="CONTAINS"
    )
    described = image
    across = numbers(image, "ImagerPixelSpacing", 2) and len(words(image, "PatientOrientation")) == 2
    through = numbers(image, "SliceThickness") and numbers(image, "ImagePositionPatient", 3)
    if not (through if text(image, "Modality") == "CT" else across):
        described = changed(image, Modality="OT")  # highdicom then writes what every image has
    entry.ContentSequence = hd.sr.ContentSequence(ImageLibraryEntryDescriptors(described))
    return entry
