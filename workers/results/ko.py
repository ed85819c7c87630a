"""Key Object Selection (TID 2010): the images on which something was found."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from workers.dicom import codes
from workers.dicom.evidence import prepared
from workers.dicom.uids import Context
from workers.findings import equipment
from workers.findings.findings import Finding, Source, largest_slice, source_headers, source_uids
from workers.inputs.volume import SourceVolume
from workers.results.sr import FindingsOfSources

SERIES_NUMBER = 9105


def key_objects(findings: FindingsOfSources, sources: Sequence[Source], context: Context) -> Dataset | None:
    """One selection a study: each radiograph with a present finding, each slice where a region is largest."""
    found = list(zip(findings, sources, strict=True))
    images = [image for of_source, source in found for image in images_with_findings(of_source, source)]
    if not images:
        return None
    names = dict.fromkeys(one.label.title for of_source in findings for one in of_source if one.present)
    content = hd.ko.KeyObjectSelection(
        document_title=codes.coded(codes.OF_INTEREST),
        referenced_objects=images,
        observer_device_context=equipment.device_context(context),
        description=f"AI findings: {', '.join(names)}. {equipment.RESEARCH}",
    )
    uids = [uid for source in sources for uid in source_uids(source)]
    dataset: Dataset = hd.ko.KeyObjectSelectionDocument(
        evidence=[prepared(images[0]), *images[1:]],  # patient and study are taken from the first
        content=content,
        series_instance_uid=context.uid("key-objects/series", *uids),
        series_number=SERIES_NUMBER,
        sop_instance_uid=context.uid("key-objects/instance", *uids),
        instance_number=1,
        manufacturer=equipment.MANUFACTURER,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=equipment.series_description(context, "key images"),
    )
    equipment.sign(dataset, context)
    return dataset


def images_with_findings(findings: Sequence[Finding], source: Source) -> list[Dataset]:
    """Headers of a source's images with findings, each once."""
    headers = source_headers(source)
    if not isinstance(source, SourceVolume):
        return list(headers) if any(finding.present for finding in findings) else []
    shown = (largest_slice(region.mask) for finding in findings for region in finding.regions)
    return [headers[index] for index in dict.fromkeys(shown)]
