"""The raw saliency of a present finding as a Parametric Map (PS3.3 A.75): float, for volumes only.

The IOD needs a Frame of Reference, which radiographs have not. Only the slices that the finding's regions touch are
in it: all slices of a thorax would be a hundred megabytes a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from models.localizers.registry import LOCALIZERS
from workers.dicom import codes
from workers.dicom.evidence import prepared
from workers.dicom.geometry import require_frame_of_reference
from workers.dicom.uids import Context
from workers.findings import equipment
from workers.findings.analysed import AnalysedStudy
from workers.findings.findings import Finding
from workers.findings.source import Source, VolumeSource
from workers.results.registry import series_number


def saliency_maps(study: AnalysedStudy) -> Iterator[Dataset]:
    """Of each finding of a volume that has regions its map in the source's own pixels."""
    for each in study.sources:
        for finding, saliency in zip(each.findings, each.saliency, strict=False):
            if finding.regions:
                yield _saliency_map(finding, saliency, each.source, each.context)


def _saliency_map(finding: Finding, saliency: NDArray[np.float32], source: Source, context: Context) -> Dataset:
    require_frame_of_reference(source.headers[0], "a Parametric Map")
    masks = [region.boxed for region in finding.regions]
    touched = sorted({frame for mask in masks for frame in mask.touched if mask.reaches(frame)})
    values = _planes(saliency, touched, source)
    first, *others = (source.headers[frame] for frame in touched)
    name, uids = finding.label.name, source.sop_instance_uids
    low, high = float(values.min()), float(values.max())
    dataset: Dataset = hd.pm.ParametricMap(
        source_images=[prepared(first), *others],
        pixel_array=values,
        series_instance_uid=context.uid(f"saliency-map/{name}/series", *uids),
        series_number=series_number("saliency-map"),
        sop_instance_uid=context.uid(f"saliency-map/{name}/instance", *uids),
        instance_number=1,
        manufacturer=equipment.MANUFACTURER,
        manufacturer_model_name=context.card.name,
        software_versions=equipment.software_versions(context),
        device_serial_number=context.digest[:16],
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_meaning(low, high, context)],
        voi_lut_transformations=[
            hd.VOILUTTransformation(
                window_center=(low + high) / 2,
                window_width=max(high - low, 1e-6),
                voi_lut_function="LINEAR_EXACT",  # LINEAR allows no width below 1
            )
        ],
        pixel_measures=hd.PixelMeasuresSequence(**source.pixel_measures._asdict()),
        content_label="SALIENCY",
        content_description=equipment.RESEARCH,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=equipment.series_description(context, f"saliency of {finding.label.title}"),
    )
    dataset.Laterality = None
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = context.uid(f"saliency-map/{name}/dimensions", *uids)
    equipment.sign(dataset, context)
    return dataset


def _planes(saliency: NDArray[np.float32], touched: Sequence[int], source: Source) -> NDArray[np.float32]:
    """(frames, rows, columns) of the map in the source's pixels; no map of all slices is made."""
    assert isinstance(source, VolumeSource), "radiographs have no Frame of Reference, and get no Parametric Map"
    _, rows, columns = source.volume.array.shape
    box = slice(touched[0], touched[-1] + 1), slice(0, rows), slice(0, columns)
    planes: NDArray[np.float32] = source.volume.part_of(saliency, box)[np.array(touched) - touched[0]]
    return planes.astype(np.float32, copy=False)


def _meaning(low: float, high: float, context: Context) -> object:
    """What the values are: CID 217 by the localizer, in the model's own scale."""
    quantity = LOCALIZERS.get(context.card.localizer).code or codes.SALIENCY
    return hd.pm.RealWorldValueMapping(
        lut_label="RAW",
        lut_explanation=f"{equipment.method(context)}, raw scale"[:64],
        unit=codes.coded(codes.NO_UNITS),
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.coded(quantity),
    )
