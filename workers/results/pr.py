"""Grayscale Softcopy Presentation State (PS3.3 A.33.1): outlines for workstations that draw nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from workers.dicom import codes
from workers.dicom.attributes import photometric
from workers.dicom.evidence import prepared
from workers.dicom.uids import Context
from workers.findings import equipment, wording
from workers.findings.analysed import AnalysedSource, AnalysedStudy
from workers.findings.findings import Finding, Region
from workers.findings.location import outline
from workers.inputs.pixels import inverted
from workers.results.registry import series_number

_ABOVE = 0.02  # of the image's height: how far above a region its text begins


def presentation_states(study: AnalysedStudy) -> Iterator[Dataset]:
    """The outlines of each source that has regions, a layer a finding; a grayscale state is of grey images alone."""
    return (_presentation_state(each) for each in study.sources if each.regions and _is_grey(each))


def _is_grey(analysed: AnalysedSource) -> bool:
    return all(photometric(header).startswith("MONO") for header in analysed.source.headers)


def _presentation_state(analysed: AnalysedSource) -> Dataset:
    pairs, context, headers = analysed.regions, analysed.context, analysed.source.headers
    layers = {
        label.name: hd.pr.GraphicLayer(f"FINDING {number}", number, label.title, codes.cielab(label.colour))
        for number, label in enumerate(dict.fromkeys(finding.label for finding, _ in pairs), start=1)
    }
    first, *others = (headers[frame] for frame in analysed.shown)
    uids = analysed.source.sop_instance_uids
    dataset: Dataset = hd.pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[prepared(first), *others],
        series_instance_uid=context.uid("presentation-state/series", *uids),
        series_number=series_number("presentation-state"),
        sop_instance_uid=context.uid("presentation-state/instance", *uids),
        instance_number=1,
        manufacturer=equipment.MANUFACTURER,
        manufacturer_model_name=context.card.name,
        software_versions=equipment.software_versions(context),
        device_serial_number=context.digest[:16],
        content_label="FINDINGS",
        content_description=equipment.RESEARCH,
        graphic_layers=list(layers.values()),
        graphic_annotations=[
            _annotation(finding, region, headers[region.frame], layers[finding.label.name], context)
            for finding, region in pairs
        ],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=equipment.series_description(context, "outlines"),
    )
    _complete(dataset, first, context)
    equipment.sign(dataset, context)
    return dataset


def _annotation(finding: Finding, region: Region, header: Dataset, layer: object, context: Context) -> object:
    points = outline(region.plane)
    top = points[np.argmin(points[:, 1])]
    height = float(header.Rows)
    beginning = (float(top[0]), max(float(top[1]) - _ABOVE * height, 0.0))
    value = wording.value(finding, context.card.quantity)
    return hd.pr.GraphicAnnotation(
        referenced_images=[header],
        graphic_layer=layer,
        graphic_objects=[
            hd.pr.GraphicObject(
                graphic_type="POLYLINE",
                graphic_data=points,
                units="PIXEL",
                tracking_id=region.tracking_id,
                tracking_uid=region.tracking_uid,
            )
        ],
        text_objects=[
            hd.pr.TextObject(
                f"AI {region.tracking_id}, {context.card.quantity} {value}",
                units="PIXEL",
                anchor_point=beginning,
                anchor_point_visible=False,
            )
        ],
    )


def _complete(dataset: Dataset, header: Dataset, context: Context) -> None:
    """What highdicom leaves out or takes from the clock, in place.

    A presentation state overrides the image's Photometric Interpretation (PS3.3 C.11.6.1), so it must declare that
    the smallest value is white.
    """
    dataset.PresentationLUTShape = "INVERSE" if inverted(header) else "IDENTITY"
    dataset.pop("PresentationLUTSequence", None)
    dataset.Laterality = None
    dataset.PresentationCreationDate = context.now.strftime("%Y%m%d")
    dataset.PresentationCreationTime = context.now.strftime("%H%M%S")
