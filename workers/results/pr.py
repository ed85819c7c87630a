"""Grayscale Softcopy Presentation State (PS3.3 A.33.1): outlines for workstations that draw nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from models.regions import Mask
from workers.dicom import codes
from workers.dicom.evidence import prepared
from workers.dicom.uids import Context
from workers.findings import equipment, wording
from workers.findings.findings import Finding, Region, Source, largest_slice, source_headers, source_uids
from workers.findings.location import outline
from workers.inputs.pixels import inverted
from workers.inputs.volume import SourceVolume

SERIES_NUMBER = 9106
_ABOVE = 0.02  # of the image's height: how far above a region its text begins


def presentation_state(findings: Sequence[Finding], source: Source, context: Context) -> Dataset | None:
    """The outlines of one source's regions, a layer a finding; None where there is no region."""
    pairs = [(finding, region) for finding in findings for region in finding.regions]
    if not pairs:
        return None
    headers = source_headers(source)
    layers = {
        finding.label.name: hd.pr.GraphicLayer(
            f"FINDING {number}", number, finding.label.title, codes.cielab(finding.label.colour)
        )
        for number, (finding, _) in enumerate({one.label.name: (one, None) for one, _ in pairs}.values(), start=1)
    }
    drawn = [(finding, region, *_plane(region, source)) for finding, region in pairs]
    images = {index: headers[index] for *_, index in drawn}
    first, *others = images.values()
    uids = source_uids(source)
    dataset: Dataset = hd.pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[prepared(first), *others],
        series_instance_uid=context.uid("presentation-state/series", *uids),
        series_number=SERIES_NUMBER,
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
            _annotation(finding, region, plane, headers[index], layers[finding.label.name], context)
            for finding, region, plane, index in drawn
        ],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=equipment.series_description(context, "outlines"),
    )
    _complete(dataset, first, context)
    equipment.sign(dataset, context)
    return dataset


def _plane(region: Region, source: Source) -> tuple[Mask, int]:
    if not isinstance(source, SourceVolume):
        return region.mask, 0
    index = largest_slice(region.mask)
    return region.mask[index], index


def _annotation(
    finding: Finding, region: Region, plane: Mask, header: Dataset, layer: object, context: Context
) -> object:
    points = outline(plane)
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

    A presentation state overrides the image's Photometric Interpretation (PS3.3 C.11.6.1), so it must say itself that
    the smallest value is white.
    """
    dataset.PresentationLUTShape = "INVERSE" if inverted(header) else "IDENTITY"
    dataset.pop("PresentationLUTSequence", None)
    dataset.Laterality = None
    dataset.PresentationCreationDate = context.now.strftime("%Y%m%d")
    dataset.PresentationCreationTime = context.now.strftime("%H%M%S")
