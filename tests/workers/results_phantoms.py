"""Small sources, cards and contexts for the tests of results; real dataclasses, no part of the node replaced."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, CTImageStorage, ExplicitVRLittleEndian

from models.anatomy.zones import zones_of
from models.card import Card
from models.prediction import Prediction
from workers.dicom.uids import Context
from workers.findings.analysed import AnalysedSource, AnalysedStudy
from workers.findings.findings import Finding, findings_of
from workers.findings.source import ImageSource, Source, VolumeSource
from workers.gate import gate
from workers.inputs.grid import Grid
from workers.inputs.pixels import SourceImage
from workers.inputs.volume import SourceVolume
from workers.results import plain
from workers.results.registry import kinds, make_results

NOW = datetime(2026, 1, 2, 10, 15, 30)

PROVEN: dict[str, Any] = {
    "data": "validation C", "threshold": 0.5, "positives": 70, "negatives": 139, "sensitivity": 0.4,
    "specificity": 0.96, "auc": 0.8, "auc_interval": [0.73, 0.86], "raises_priority": True,
}  # fmt: skip
"""Figures that let a label raise the priority."""

LABELS: tuple[dict[str, Any], ...] = (
    {
        "name": "Pneumothorax", "code": ["36118008", "SCT", "Pneumothorax"], "site": ["3120008", "SCT", "Pleura"],
        "urgency": "HIGH", "acr": 1, "operating_point": 0.3, "saliency_threshold": 1.0, "colour": [255, 0, 0],
        "smallest_region_fraction": 0.001, "smallest_region_mm3": 20.0, "triage": PROVEN,
    },
    {
        "name": "Nodule", "code": ["786838002", "SCT", "Nodule of lung"], "site": ["39607008", "SCT", "Lung"],
        "urgency": "MEDIUM", "acr": 3, "operating_point": 0.4, "saliency_threshold": 1.0, "colour": [255, 196, 0],
        "smallest_region_fraction": 0.001, "smallest_region_mm3": 20.0, "triage": PROVEN,
    },
    {
        "name": "Pleural_Thickening", "code": ["PLEURAL_THICK", "99READFIRST", "Pleural thickening"],
        "site": ["3120008", "SCT", "Pleura"], "urgency": "LOW", "acr": 0, "operating_point": 0.5,
        "saliency_threshold": 1.0, "colour": [0, 114, 178],
    },
)  # fmt: skip


def card(kind: str = "image") -> Card:
    """A package's card with three labels."""
    common: dict[str, Any] = {
        "name": f"test-{kind}", "version": "1.2.3", "title": f"Test of {kind}s", "manufacturer": "ReadFirst",
        "summary": "For tests.", "licence": "Apache-2.0", "limits": ["Adults only.", "Not tried on portable images."],
        "training": {"data": "none", "split": "none", "method": "none"}, "labels": LABELS,
    }  # fmt: skip
    image = {
        "algorithm": "neural network", "quantity": "probability", "localizer": "cam",
        "input": {"kind": "image", "modalities": ["CR"], "size": [64, 64]},
        "network": _shipped("chest-xray")["network"] | {"border": 0}, "weights": {"sha256": "0" * 64},
    }  # fmt: skip
    volume = {
        "algorithm": "classical image analysis", "quantity": "score", "localizer": "candidates",
        "input": {"kind": "volume", "modalities": ["CT"]}, "detector": _shipped("chest-ct")["detector"],
    }  # fmt: skip
    return Card.model_validate(common | (image if kind == "image" else volume))


def context(kind: str = "image", digest: str = "a" * 64, **more: Any) -> Context:
    """Of a study that was received on 2 January 2026."""
    return Context(card=card(kind), digest=digest, version="0.1.0", now=NOW, **more)


def radiograph(rows: int = 256, columns: int = 200, orientation: tuple[str, ...] = ("L", "F"), **more: Any) -> Dataset:
    """The header of a chest CR without any pixel spacing; `more` sets or (None) removes attributes."""
    ds = _header(ComputedRadiographyImageStorage, "CR", rows, columns)
    ds.PatientOrientation, ds.ViewPosition = list(orientation), "PA"
    for keyword, value in more.items():
        setattr(ds, keyword, value)
        if value is None:
            delattr(ds, keyword)
    return ds


def image_source(header: Dataset, size: tuple[int, int] = (64, 64)) -> ImageSource:
    """An evenly grey radiograph."""
    rows, columns = header.Rows, header.Columns
    grid = Grid.fit(rows, columns, size, orientation=header.get("PatientOrientation") or ("L", "F"))
    grey = np.full((rows, columns), 0.5, dtype=np.float32)
    return ImageSource(SourceImage(header, grey, np.ones((rows, columns), dtype=np.bool_), None, "none"), grid)


def ct_source(slices: int = 12, rows: int = 64, columns: int = 80) -> VolumeSource:
    """A head-first supine CT of a block of water in air, 2.5 x 1 x 1 mm; slices towards the head."""
    array = np.full((slices, rows, columns), -1000, dtype=np.float32)
    array[:, 8:-8, 10:-10] = 0
    headers = tuple(_ct_slice(index, slices, rows, columns) for index in range(slices))
    direction = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=np.float64)
    return VolumeSource(SourceVolume(headers, array, (2.5, 1.0, 1.0), direction, (-40.0, -32.0, -100.0)))


def prediction(saliency: NDArray[np.float32], probabilities: tuple[float, ...]) -> Prediction:
    """For the labels of `card`."""
    labels = tuple(str(label["name"]) for label in LABELS)
    values = np.array(probabilities, dtype=np.float32)
    return Prediction(labels, np.zeros(len(labels), dtype=np.float32), values, saliency.astype(np.float32))


def blob(shape: tuple[int, ...], centre: tuple[float, ...], radius: float, peak: float = 2.0) -> NDArray[np.float32]:
    """A cone of saliency: `peak` at its centre, half of it at `radius`, in cells (pixel-centre convention)."""
    axes = np.ogrid[tuple(slice(length) for length in shape)]
    squares = sum((axis + 0.5 - middle) ** 2 for axis, middle in zip(axes, centre, strict=True))
    cone: NDArray[np.float32] = (peak * (1 - np.sqrt(squares) / (2 * radius))).astype(np.float32)
    return np.maximum(cone, 0)


def largest_slice(mask: NDArray[np.bool_]) -> int:
    """Index of the slice on which a volume's region has most pixels; the middle one of several."""
    sizes = mask.sum(axis=(1, 2))
    largest = np.flatnonzero(sizes == sizes.max())
    return int(largest[len(largest) // 2])


def saliency_shape(source: Source) -> tuple[int, ...]:
    """Of the maps of `two_findings`."""
    return source.volume.array.shape if isinstance(source, VolumeSource) else (16, 16)


def two_findings(source: Source) -> tuple[Finding, ...]:
    """Pneumothorax and Nodule present with a region each that overlap, Pleural Thickening absent."""
    shape = saliency_shape(source)
    centre = tuple(length * 0.4 for length in shape)
    beside = (*centre[:-1], centre[-1] + 2)
    saliency = np.stack([blob(shape, centre, 3.0), blob(shape, beside, 3.0), np.zeros(shape, dtype=np.float32)])
    return found_in(source, saliency, (0.87, 0.5, 0.1))


def diffuse_findings(source: ImageSource) -> tuple[Finding, ...]:
    """Pneumothorax present and diffuse in both lungs, Nodule present with a region, Pleural Thickening absent."""
    right, left = np.zeros((32, 32), np.bool_), np.zeros((32, 32), np.bool_)
    right[6:26, 7:14] = left[6:26, 18:25] = True
    saliency = np.stack([2.0 * (right | left), blob((32, 32), (22, 21), 3.0), np.zeros((32, 32))])
    made = replace(prediction(saliency, (0.87, 0.5, 0.1)), zones=zones_of(right, left))
    about = context()
    labels = tuple(label.model_copy(update={"territory": "lungs"}) for label in about.card.labels)
    return findings_of(made, about.card.model_copy(update={"labels": labels}), source, about)


def no_findings(source: Source) -> tuple[Finding, ...]:
    """All three absent."""
    return found_in(source, np.zeros((3, *saliency_shape(source)), dtype=np.float32), (0.1, 0.2, 0.3))


def found_in(
    source: Source, saliency: NDArray[np.float32], probabilities: tuple[float, ...], **more: Any
) -> tuple[Finding, ...]:
    """The findings of a prediction; `more` is the context's."""
    about = context("volume" if source.is_volume else "image", **more)
    return findings_of(prediction(saliency, probabilities), about.card, source, about)


def analysed(source: Source, findings: tuple[Finding, ...] | None = None, **more: Any) -> AnalysedSource:
    """The source with `two_findings` or those given; `more` is the context's."""
    about = context("volume" if source.is_volume else "image", **more)
    maps: Any = np.stack([blob(saliency_shape(source), (4.8, 25.6, 32.0), 3.0)] * 3) if source.is_volume else ()
    return AnalysedSource(source, two_findings(source) if findings is None else findings, about, maps)


def study_of(*sources: AnalysedSource, **more: Any) -> AnalysedStudy:
    """What one package found in these sources; `more` are fields of AnalysedStudy."""
    return AnalysedStudy(sources, sources[0].context, **more)


def made(kind: str = "image", **more: Any) -> AnalysedStudy:
    """A study of one source with `two_findings`; `more` is the context's."""
    grey: dict[str, Any] = {
        "SamplesPerPixel": 1, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME1" if kind == "image" else "MONOCHROME2",
    }  # fmt: skip
    source: Source = image_source(radiograph(**grey)) if kind == "image" else ct_source()
    for header in source.headers if kind == "volume" else ():
        for keyword, value in (grey | {"RescaleSlope": "1", "RescaleIntercept": "-1024"}).items():
            setattr(header, keyword, value)
    return study_of(analysed(source, **more))


def objects(study: AnalysedStudy, wanted: Collection[str]) -> list[tuple[str, Dataset]]:
    """(kind, object) pairs of these kinds, all of which can be made."""
    faults: dict[str, str] = {}
    found = make_results(study, wanted, faults)
    assert faults == {}
    return found


def every_object(kind: str = "image", **more: Any) -> dict[str, Dataset]:
    """One object of each kind that can be made of an image or a volume, as anyone reads it."""
    found = objects(made(kind, **more), set(kinds()))
    return {name: plain.copied(dataset) for name, dataset in reversed(found)}


def passed(dataset: Dataset, path: Path) -> Path:
    """The file of an object that passes the gate."""
    (one,) = gate.check([(dataset, path)], path.parent / "quarantine")
    assert one.faults == ()
    return one.path


def enclosed_area(points: NDArray[np.float32]) -> float:
    """Area of a closed polygon in pixels (shoelace formula)."""
    x, y = points.astype(np.float64).T
    return float(abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2)


def _shipped(name: str) -> dict[str, Any]:
    """The tables of a shipped card, for the parts that results never look at."""
    card_toml = Path(__file__).parents[2] / "models" / "zoo" / name / "card.toml"
    return tomllib.loads(card_toml.read_text(encoding="utf-8"))


def _header(sop_class_uid: UID, modality: str, rows: int, columns: int, number: int = 1) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class_uid, f"1.2.826.0.1.3680043.8.498.{modality == 'CT':d}.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.77", "1.2.826.0.1.3680043.8.498.78"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Tést^Ä", "T1", "19700101", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260102", "101500", "1", "A1"
    ds.ReferringPhysicianName, ds.Manufacturer, ds.Modality = "", "Maker of scanners", modality
    ds.SeriesNumber, ds.InstanceNumber, ds.BodyPartExamined = 1, number, "CHEST"
    ds.Rows, ds.Columns = rows, columns
    return ds


def _ct_slice(index: int, slices: int, rows: int, columns: int) -> Dataset:
    ds = _header(CTImageStorage, "CT", rows, columns, slices - index)  # numbered from the head down, as scanners do
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = "1.2.826.0.1.3680043.8.498.79", ""
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-40, -32, -100 + 2.5 * index]
    ds.PixelSpacing, ds.SliceThickness = [1, 1], 2.5
    return ds
