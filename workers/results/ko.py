"""Key Object Selection (TID 2010): the images on which something was found."""

from __future__ import annotations

from collections.abc import Iterator

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from workers.dicom import codes
from workers.dicom.evidence import prepared
from workers.findings import equipment
from workers.findings.analysed import AnalysedSource, AnalysedStudy
from workers.results.registry import series_number


def key_objects(study: AnalysedStudy) -> Iterator[Dataset]:
    """One selection a study: each radiograph with a present finding, each slice where a region is largest."""
    images = [image for each in study.sources for image in _images_with_findings(each)]
    if not images:
        return
    context, uids = study.context, study.sop_instance_uids
    present = (finding for each in study.sources for finding in each.findings if finding.present)
    names = dict.fromkeys(finding.label.title for finding in present)
    content = hd.ko.KeyObjectSelection(
        document_title=codes.coded(codes.OF_INTEREST),
        referenced_objects=images,
        observer_device_context=equipment.device_context(context),
        description=f"AI findings: {', '.join(names)}. {equipment.RESEARCH}",
    )
    dataset: Dataset = hd.ko.KeyObjectSelectionDocument(
        evidence=[prepared(images[0]), *images[1:]],  # patient and study are taken from the first
        content=content,
        series_instance_uid=context.uid("key-objects/series", *uids),
        series_number=series_number("key-objects"),
        sop_instance_uid=context.uid("key-objects/instance", *uids),
        instance_number=1,
        manufacturer=equipment.MANUFACTURER,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=equipment.series_description(context, "key images"),
    )
    equipment.sign(dataset, context)
    yield dataset


def _images_with_findings(analysed: AnalysedSource) -> list[Dataset]:
    """Headers of a source's images with findings, each once."""
    if analysed.regions:
        return [analysed.source.headers[frame] for frame in analysed.shown]
    present = any(finding.present for finding in analysed.findings)
    return list(analysed.source.headers) if present and not analysed.source.is_volume else []
