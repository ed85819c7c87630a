"""The two Structured Reports (TID 1500, Comprehensive 3D SR) of a package's results.

OHIF crashes on a document titled (126000, DCM) when one group has no coordinates, and shows other titles as a page of
text. So the regions, each with coordinates, are one document, and the complete statement is the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import highdicom as hd
from highdicom.sr.templates import ImageLibraryEntryDescriptors
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from models.card import Code, Label
from models.localizers.registry import LOCALIZERS
from workers.dicom import codes
from workers.dicom.attributes import items, numbers, text, words
from workers.dicom.evidence import changed, pixel_spacing, prepared
from workers.dicom.references import Predecessor, predecessor_references
from workers.dicom.sequences import whole_code
from workers.dicom.uids import Context
from workers.findings import equipment, statement, wording
from workers.findings.findings import Finding, Region, Source, largest_slice, named, source_headers, source_uids
from workers.findings.location import outline
from workers.inputs.volume import SourceVolume

REGIONS_SERIES, STATEMENT_SERIES = 9102, 9103

FindingsOfSources = Sequence[Sequence[Finding]]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a document is filed."""

    kind: str
    series_number: int
    description: str


_REGIONS = _Place("regions", REGIONS_SERIES, "regions with probability")
_STATEMENT = _Place("statement", STATEMENT_SERIES, "all findings")


def regions_documents(
    findings: FindingsOfSources,
    sources: Sequence[Source],
    contexts: Sequence[Context],
    predecessors: Sequence[Predecessor] = (),
) -> tuple[Dataset, ...]:
    """A document for each source that has regions and square pixels.

    OHIF opens a document on the image of its first region, and its arrows lead to no other series: regions on a second
    radiograph would be listed and never seen. On oblong pixels it draws outlines in the wrong place (it takes the
    distance of rows for that of columns), so they are left to the Segmentation, which it draws right. Of the older
    generation's documents those that are made again are no predecessors.
    """
    pairs = list(zip(findings, sources, contexts, strict=True))
    again = {context.uid("regions/instance", *source_uids(source)) for _, source, context in pairs}
    replaced = [one for one in predecessors if one.sop_instance_uid not in again]
    made = (regions_document([f], [source], context, replaced) for f, source, context in pairs if not _oblong(source))
    return tuple(document for document in made if document is not None)


def _oblong(source: Source) -> bool:
    """Whether rows and columns lie so differently far apart that it is a pixel on a picture of a thousand."""
    of_image = None if isinstance(source, SourceVolume) else pixel_spacing(source.image.dataset)[0]
    rows, columns = source.spacing[1:] if isinstance(source, SourceVolume) else of_image or (1.0, 1.0)
    return abs(rows - columns) > 0.001 * columns


def regions_document(
    findings: FindingsOfSources, sources: Sequence[Source], context: Context, predecessors: Sequence[Predecessor] = ()
) -> Dataset | None:
    """Every region of every source as an outline with its finding, site and probability; None where there is none.

    Parameters
    ----------
    findings
        The findings of each of `sources`, in their order.
    """
    found = [
        (finding, region, source)
        for of_source, source in zip(findings, sources, strict=True)
        for finding in of_source
        for region in finding.regions
    ]
    if not found:
        return None
    shown = [(region, source, _shown_image(region, source)) for _, region, source in found]
    groups = [_region_group(finding, *each, context) for (finding, _, _), each in zip(found, shown, strict=True)]
    images = {str(image.SOPInstanceUID): image for _, _, image in shown}
    content = _report(codes.REGIONS_TITLE, groups, tuple(images.values()), sources, statement.opening(context), context)
    uids = [uid for source in sources for uid in source_uids(source)]
    place = replace(_REGIONS, description=named(sources[0], _REGIONS.description)) if len(sources) == 1 else _REGIONS
    return _document(content, place, uids, sources, context, predecessors)


def statement_document(
    findings: FindingsOfSources,
    sources: Sequence[Source],
    context: Context,
    left_out: Iterable[tuple[str, str]] = (),
    predecessors: Sequence[Predecessor] = (),
) -> Dataset:
    """Every finding, present or absent, most probable first among the present; images analysed and left out.

    Of several sources a finding has its highest probability. It has no image library: OHIF prints each image of one as
    "[IMAGE is not supported]" before the findings; the sentences at the end name the images for people, the evidence
    for programs.

    Parameters
    ----------
    findings
        The findings of each of `sources`, in their order; at least one.
    left_out
        (SOP Instance UID, reason) of what was not analysed; the slices that the volumes left out are added.
    """
    missing = statement.unseen(sources, left_out)
    uids = [uid for source in sources for uid in source_uids(source)]
    merged = merge(findings, sources)
    groups = [_finding_group(finding, regions, uids, context, len(sources) > 1) for finding, regions in merged]
    comments = statement.opening(context) + statement.summary([finding for finding, _ in merged], context.card.quantity)
    # The document says that it is in English (TID 1204), so all of it is, whatever language people are told in.
    told = [(finding, [region for region, _ in regions]) for finding, regions in merged]
    comments += wording.report(told, context, "en")
    content = _report(
        codes.STATEMENT_TITLE, groups, (), sources, comments, context
    )  # OHIF prints no image of a library
    for sentence in statement.closing(context, sources, missing):
        content.ContentSequence.append(_text(sentence))
    return _document(content, _STATEMENT, [*uids, *(uid for uid, _ in missing)], sources, context, predecessors)


def merge(findings: FindingsOfSources, sources: Sequence[Source]) -> list[tuple[Finding, list[tuple[Region, Source]]]]:
    """Each label's most probable finding with its regions in all sources; the present first, then by probability."""
    merged = []
    for same_label in zip(*findings, strict=True):
        regions = [(region, source) for one, source in zip(same_label, sources, strict=True) for region in one.regions]
        merged.append((max(same_label, key=lambda finding: finding.probability), regions))
    return sorted(merged, key=lambda pair: (not pair[0].present, -pair[0].probability))


def _shown_image(region: Region, source: Source) -> Dataset:
    """The instance that the outline is drawn on: of a volume, the slice where the region is largest."""
    headers = source_headers(source)
    return headers[largest_slice(region.mask) if isinstance(source, SourceVolume) else 0]


def _region_group(finding: Finding, region: Region, source: Source, image: Dataset, context: Context) -> Any:
    """TID 1410: one outline. What must be seen on the image is a number, since OHIF shows no coded evaluation there."""
    plane = region.mask[largest_slice(region.mask)] if isinstance(source, SourceVolume) else region.mask
    coordinates = hd.sr.ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=outline(plane),
        source_image=hd.sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID),
    )
    method = LOCALIZERS.get(context.card.localizer).code
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(region.tracking_uid, region.tracking_id),
        referenced_region=coordinates,
        finding_type=codes.coded(finding.label.code),
        method=codes.coded(method) if method else None,
        algorithm_id=equipment.algorithm(context, equipment.region_parameters(context, finding.label)),
        finding_sites=[hd.sr.FindingSite(codes.coded(region.site))],
        measurements=[_likelihood(finding, context), *_sizes(region, image)],
        qualitative_evaluations=_acr_category(finding.label),
    )


def _finding_group(
    finding: Finding, regions: Sequence[tuple[Region, Source]], uids: Sequence[str], context: Context, several: bool
) -> Any:
    """TID 1501: one finding of the whole study, coded, and once more as a sentence that reads alone."""
    label = finding.label
    tracking_uid = context.uid(f"tracking/{label.name}", *uids)
    presence = codes.PRESENT if finding.present else codes.ABSENT
    point = _fraction(codes.OPERATING_POINT, finding.operating_point, context)
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(tracking_uid, label.title),
        finding_type=codes.coded(label.code),
        finding_sites=[hd.sr.FindingSite(codes.coded(label.site))],
        measurements=[_likelihood(finding, context, equipment.algorithm(context)), point],
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(codes.coded(codes.PRESENCE), codes.coded(presence)),
            *(_acr_category(label) if finding.present else []),
        ],
    )
    sentence = statement.finding_sentences(finding, regions, context.card.quantity, several)
    group[0].ContentSequence.insert(0, _text(sentence))
    return group


def _acr_category(label: Label) -> list[Any]:
    if not label.acr:
        return []
    name, category = codes.coded(codes.ACTIONABLE), codes.coded(codes.ACR_CATEGORIES[label.acr])
    return [hd.sr.QualitativeEvaluation(name, category)]


def _likelihood(finding: Finding, context: Context, algorithm: Any = None) -> Any:
    name = codes.likelihood(finding.label, context.card.quantity)
    return _fraction(name, finding.probability, context, algorithm)


def _fraction(name: Code, value: float, context: Context, algorithm: Any = None) -> Any:
    """A probability in percent, a score as it is, as in the sentences."""
    if context.card.quantity == "probability":
        return _number(name, 100 * value, codes.PERCENT, algorithm)
    return _number(name, value, codes.SCORE, algorithm, digits=4)


def _sizes(region: Region, image: Dataset) -> list[Any]:
    if region.volume_mm3 is not None:
        return [_number(codes.VOLUME, region.volume_mm3, codes.CUBIC_MILLIMETRE)]
    if region.area_mm2 is None:
        return []
    _, at_detector = pixel_spacing(image)
    name = codes.AREA_AT_DETECTOR if at_detector else codes.AREA
    return [_number(name, region.area_mm2, codes.SQUARE_MILLIMETRE)]


def _number(name: Code, value: float, unit: Code, algorithm: Any = None, digits: int = 2) -> Any:
    return hd.sr.Measurement(codes.coded(name), round(value, digits), codes.coded(unit), algorithm_id=algorithm)


def _text(sentence: str) -> Any:
    return hd.sr.TextContentItem(codes.coded(codes.COMMENT), sentence, relationship_type="CONTAINS")


def _report(
    title: Code,
    groups: Sequence[Any],
    images: Sequence[Dataset],
    sources: Sequence[Source],
    comments: Sequence[str],
    context: Context,
) -> Any:
    """TID 1500, the comments and the image library before the measurements."""
    report = hd.sr.MeasurementReport(
        observation_context=equipment.device_observer(context),
        procedure_reported=codes.coded(_procedure(source_headers(sources[0])[0])),
        imaging_measurements=groups,
        title=codes.coded(title),
    )
    root = report[0]
    measurements = root.ContentSequence.pop()
    for comment in comments:
        root.ContentSequence.append(_text(comment))
    if images:
        root.ContentSequence.append(_image_library(images))
    root.ContentSequence.append(measurements)
    _separate(root)
    return root


def _separate(item: Dataset) -> None:
    """Each value on a line of its own, with its concept's name: OHIF runs together what highdicom calls CONTINUOUS."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
        for child in item.ContentSequence:
            _separate(child)


def _procedure(header: Dataset) -> Code:
    """The study's own procedure code where it has a whole one, else what the modality stands for."""
    for keyword in ("ProcedureCodeSequence", "RequestedProcedureCodeSequence"):
        for item in items(header, keyword):
            if whole_code(item):
                return Code(str(item.CodeValue), str(item.CodingSchemeDesignator), str(item.CodeMeaning))
    return codes.PROCEDURES.get(text(header, "Modality"), codes.ANY_PROCEDURE)


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


def _document(
    content: Any,
    place: _Place,
    uids: Sequence[str],
    sources: Sequence[Source],
    context: Context,
    predecessors: Sequence[Predecessor],
) -> Dataset:
    first, *others = (header for source in sources for header in source_headers(source))
    instance_uid = context.uid(f"{place.kind}/instance", *uids)
    dataset: Dataset = hd.sr.Comprehensive3DSR(
        evidence=[prepared(first), *others],  # patient and study are taken from the first
        content=content,
        series_instance_uid=context.uid(f"{place.kind}/series", *uids),
        series_number=place.series_number,
        sop_instance_uid=instance_uid,
        instance_number=1,
        manufacturer=equipment.MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=equipment.series_description(context, place.description),
    )
    replaced = [one for one in predecessors if one.sop_instance_uid != instance_uid]
    if replaced:
        dataset.PredecessorDocumentsSequence = [predecessor_references(dataset.StudyInstanceUID, replaced)]
    equipment.sign(dataset, context)
    dataset.SeriesDate, dataset.SeriesTime = dataset.ContentDate, dataset.ContentTime  # viewers list the newest first
    return dataset
