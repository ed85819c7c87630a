from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage

from tests.workers import results_phantoms as phantoms
from tests.workers.results_phantoms import enclosed_area
from workers.dicom.references import Predecessor
from workers.findings.analysed import AnalysedStudy
from workers.findings.equipment import RESEARCH
from workers.findings.findings import Finding
from workers.findings.source import Source
from workers.results.regions import regions_documents
from workers.results.seg import segmentations
from workers.results.statement import statement_documents

KINDS = ("image", "volume")


def _source(kind: str, **attributes: object) -> Source:
    return phantoms.image_source(phantoms.radiograph(**attributes)) if kind == "image" else phantoms.ct_source()


def _regions(kind: str, **attributes: object) -> tuple[Source, tuple[Finding, ...], Dataset]:
    source = _source(kind, **attributes)
    found = phantoms.two_findings(source)
    (dataset,) = regions_documents(_study(source, found))
    return source, found, dataset


def _statement(kind: str, **more: object) -> Dataset:
    (dataset,) = statement_documents(_study(_source(kind), **more))
    return dataset


def _study(source: Source, found: tuple[Finding, ...] | None = None, **more: object) -> AnalysedStudy:
    return phantoms.study_of(phantoms.analysed(source, found), **more)


def _predecessors(kind: str, *documents: Predecessor) -> tuple[tuple[str, str, Predecessor], ...]:
    return tuple(("test-image", kind, document) for document in documents)


def _items(dataset: Dataset) -> Iterator[Dataset]:
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from _items(item)


def _named(dataset: Dataset, value: str) -> list[Dataset]:
    return [item for item in _items(dataset) if item.ConceptNameCodeSequence[0].CodeValue == value]


def _texts(dataset: Dataset) -> list[str]:
    return [str(item.TextValue) for item in _named(dataset, "121106")]


def _bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_no_region_gives_no_regions_document_but_a_statement(kind: str, tmp_path: Path) -> None:
    source = _source(kind)
    study = _study(source, phantoms.no_findings(source))
    assert regions_documents(study) == ()
    (statement,) = statement_documents(study)
    phantoms.passed(statement, tmp_path / "statement.dcm")
    assert "PRESENT: none." in _texts(statement)


@pytest.mark.parametrize("kind", KINDS)
def test_each_region_is_a_group_with_outline_finding_site_and_likelihood(kind: str) -> None:
    _, found, dataset = _regions(kind)
    assert dataset.SOPClassUID == Comprehensive3DSRStorage
    assert dataset.ConceptNameCodeSequence[0].CodeValue == "126000"
    groups = _named(dataset, "125007")
    pairs = [(finding, region) for finding in found for region in finding.regions]
    assert len(groups) == len(pairs) == 2
    for group, (finding, region) in zip(groups, pairs, strict=True):
        content = {item.ConceptNameCodeSequence[0].CodeValue: item for item in group.ContentSequence}
        assert content["112039"].TextValue == region.tracking_id
        assert region.tracking_uid == content["112040"].UID
        assert content["121071"].ConceptCodeSequence[0].CodeValue == finding.label.code.value
        assert content["363698007"].ConceptCodeSequence[0].CodeValue == region.site.value
        (number,) = (item for item in group.ContentSequence if item.ConceptNameCodeSequence[0].CodeMeaning == (
            f"{finding.label.title} {'probability' if kind == 'image' else 'score'}"
        ))  # fmt: skip
        (measured,) = number.MeasuredValueSequence
        times, unit = (100, "%") if kind == "image" else (1, "{score}")
        assert measured.NumericValue == pytest.approx(times * finding.probability, abs=times * 0.0001)
        assert measured.MeasurementUnitsCodeSequence[0].CodeValue == unit


@pytest.mark.parametrize("kind", KINDS)
def test_the_outline_encloses_the_mask_on_the_image_that_it_names(kind: str) -> None:
    source, found, dataset = _regions(kind)
    regions = [region for finding in found for region in finding.regions]
    for group, region in zip(_named(dataset, "125007"), regions, strict=True):
        first, *others = _named(group, "111030")
        index = phantoms.largest_slice(region.mask) if kind == "volume" else 0
        planes = region.mask if kind == "volume" else region.mask[np.newaxis]
        assert first.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == (
            source.headers[index].SOPInstanceUID
        )
        assert len(others) == planes.any(axis=(1, 2)).sum() - 1  # of a volume one on each of its slices
        uids = [header.SOPInstanceUID for header in source.headers]
        for outline in (first, *others):
            points = np.array(outline.GraphicData, dtype=np.float32).reshape(-1, 2)
            image = outline.ContentSequence[0].ReferencedSOPSequence[0]
            plane = planes[uids.index(image.ReferencedSOPInstanceUID)]
            assert enclosed_area(points) == pytest.approx(plane.sum() - 0.5)
            middle = np.argwhere(plane).mean(axis=0)[::-1] + 0.5
            assert (points.min(axis=0) + points.max(axis=0)) / 2 == pytest.approx(middle, abs=2.0)


@pytest.mark.parametrize("kind", KINDS)
def test_regions_and_segments_share_their_tracking(kind: str) -> None:
    source, found, dataset = _regions(kind)
    (segments,) = segmentations(_study(source, found))
    identifiers = [(item.TextValue, uid.UID) for item, uid in zip(_named(dataset, "112039"), _named(dataset, "112040"), strict=True)]  # fmt: skip  # noqa: E501
    assert identifiers == [(segment.TrackingID, segment.TrackingUID) for segment in segments.SegmentSequence]


@pytest.mark.parametrize(
    ("spacing", "name"),
    [
        ({}, None),
        ({"ImagerPixelSpacing": [0.2, 0.2]}, "Area at detector"),
        ({"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.2, 0.2]}, "Area"),
    ],
)
def test_an_area_says_in_which_plane_it_was_measured(spacing: dict[str, object], name: str | None) -> None:
    _, found, dataset = _regions("image", **spacing)
    numbers = [item for group in _named(dataset, "125007") for item in group.ContentSequence if item.ValueType == "NUM"]
    areas = [number for number in numbers if number.ConceptNameCodeSequence[0].CodeMeaning.startswith("Area")]
    assert [area.ConceptNameCodeSequence[0].CodeMeaning for area in areas] == [name] * (2 if name else 0)
    for area, finding in zip(areas, found, strict=False):
        assert area.MeasuredValueSequence[0].NumericValue == pytest.approx(finding.regions[0].area_mm2, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_the_statement_names_every_finding_in_sentences_that_read_alone(kind: str) -> None:
    quantity = "probability" if kind == "image" else "score"
    values = ("87 %", "50 %", "10 %", "30 %") if kind == "image" else ("0.87", "0.50", "0.10", "0.30")
    high, half, low, point = values
    dataset = _statement(kind)
    assert dataset.ConceptNameCodeSequence[0].CodeValue == "18748-4"
    assert not _named(dataset, "111030")
    texts = _texts(dataset)
    assert texts[0] == RESEARCH
    assert f"PRESENT: Pneumothorax {high}, Nodule {half}." in texts
    assert f"Not present: Pleural Thickening {low}." in texts
    start = f"Pneumothorax: PRESENT. The {quantity} of {high} reaches the threshold of {point}. Region Pneu"
    (pneumothorax,) = (text for text in texts if text.startswith(start))
    assert pneumothorax.endswith("ACR category 1, actionable within minutes.")
    assert f"Pleural Thickening: not present. The {quantity} of {low} is below the threshold of {half}." in texts
    presence = [item.ConceptCodeSequence[0].CodeValue for item in _named(dataset, "705057003")]
    assert presence == ["52101004", "52101004", "272519000"]
    points = [item.MeasuredValueSequence[0].NumericValue for item in _named(dataset, "OPERATING_POINT")]
    assert [float(point) for point in points] == ([30, 40, 50] if kind == "image" else [0.3, 0.4, 0.5])
    assert (any("%" in text for text in texts if text.startswith(("Pleura", "Lungs", "PRESENT")))) == (kind == "image")
    assert "Limit: Adults only." in texts


def test_a_finding_without_a_region_says_so() -> None:
    source = _source("image")
    study = _study(source, phantoms.found_in(source, np.zeros((3, 8, 8), dtype=np.float32), (0.9, 0.1, 0.1)))
    assert regions_documents(study) == ()
    (text,) = (one for one in _texts(*statement_documents(study)) if "Pneumothorax: PRESENT" in one)
    assert "No region is drawn: the saliency map does not reach its threshold." in text


def test_the_statement_says_what_was_seen_and_what_not() -> None:
    source = _source("image")
    lateral = phantoms.radiograph(SOPInstanceUID="1.2.3.4", SeriesNumber=2, InstanceNumber=7)
    left_out = (("1.2.3.4", "lateral view"), ("1.2.3.5", "dose report"))
    analysed = phantoms.analysed(source, headers=(*source.headers, lateral))
    (dataset,) = statement_documents(phantoms.study_of(analysed, left_out=left_out))
    assert _texts(dataset)[-3:] == [
        "Analysed: CR series 1, image 1, PA view.",
        "Not analysed, because lateral view: series 2, image 7.",
        "Not analysed, because dose report: 1.2.3.5.",
    ]


def test_of_two_images_the_higher_probability_counts_and_each_region_is_drawn(tmp_path: Path) -> None:
    first = phantoms.image_source(phantoms.radiograph())
    second = phantoms.image_source(phantoms.radiograph(SOPInstanceUID="1.2.826.0.1.3680043.8.498.0.2"))
    saliency = np.stack([phantoms.blob((8, 8), (4, 4), 2.0)] * 3)
    study = phantoms.study_of(
        *(
            phantoms.analysed(source, phantoms.found_in(source, saliency, probabilities))
            for source, probabilities in ((first, (0.2, 0.5, 0.1)), (second, (0.7, 0.45, 0.2)))
        )
    )
    regions, (statement,) = regions_documents(study), statement_documents(study)
    for number, one in enumerate((*regions, statement)):
        phantoms.passed(one, tmp_path / f"{number}.dcm")
    assert [len(_named(one, "125007")) for one in regions] == [1, 2]  # Nodule; on the second Pneumothorax, too
    assert "PRESENT: Pneumothorax 70 %, Nodule 50 %." in _texts(statement)
    (evidence,) = statement.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert len(evidence.ReferencedSOPSequence) == 2
    (sentence,) = (line for line in _texts(statement) if line.startswith("Nodule: PRESENT."))
    assert sentence.count("Region Nodule 1 (series 1, image 1): ") == 2
    assert not _named(statement, "111028"), "OHIF prints no image of an image library"


def test_each_source_has_a_regions_document_of_its_own_and_a_late_one_replaces_no_other(tmp_path: Path) -> None:
    first, second = (
        phantoms.image_source(
            phantoms.radiograph(SOPInstanceUID=f"1.2.826.0.1.3680043.8.498.0.{number}", InstanceNumber=number)
        )
        for number in (1, 2)
    )
    (alone,) = regions_documents(_study(first))
    earlier = Predecessor(str(alone.SeriesInstanceUID), str(alone.SOPClassUID), str(alone.SOPInstanceUID))
    both = phantoms.analysed(first), phantoms.analysed(second)
    documents = regions_documents(phantoms.study_of(*both, predecessors=_predecessors("regions", earlier)))
    for one in documents:
        phantoms.passed(one, tmp_path / f"{one.SOPInstanceUID}.dcm")
    assert _bytes(documents[0]) == _bytes(alone)
    for document, source in zip(documents, (first, second), strict=True):
        assert "PredecessorDocumentsSequence" not in document
        (image,) = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in _named(document, "260753009")}
        assert image == source.headers[0].SOPInstanceUID
    assert "S:1 I:2 regions" in documents[1].SeriesDescription


@pytest.mark.parametrize(
    ("attributes", "documents"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.2]}, 1),
        ({"ImagerPixelSpacing": [0.2, 0.2001]}, 1),
        ({"ImagerPixelSpacing": [0.2, 0.4]}, 0),
        ({"PixelSpacing": [0.3, 0.2]}, 0),
    ],
)
def test_oblong_pixels_have_no_outline_that_ohif_would_draw_elsewhere(
    attributes: dict[str, object], documents: int
) -> None:
    source = phantoms.image_source(phantoms.radiograph(**attributes))
    made = regions_documents(_study(source))
    assert len(made) == documents


@pytest.mark.parametrize("kind", KINDS)
def test_both_documents_pass_the_gate_and_are_read_by_highdicom(kind: str, tmp_path: Path) -> None:
    source, _, dataset = _regions(kind)
    statement = _statement(kind)
    phantoms.passed(statement, tmp_path / "statement.dcm")
    read = hd.sr.srread(phantoms.passed(dataset, tmp_path / "regions.dcm"))
    planar, volumetric = (
        read.content.get_planar_roi_measurement_groups(),
        read.content.get_volumetric_roi_measurement_groups(),
    )
    assert (len(planar), len(volumetric)) == ((2, 0) if kind == "image" else (0, 2))
    for document in (dataset, statement):
        assert (document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag) == (
            "COMPLETE", "UNVERIFIED", "PRELIMINARY",
        )  # fmt: skip
        assert _texts(document)[0] == RESEARCH
        assert document.ContentQualification == "RESEARCH"
        (procedure,) = _named(document, "121058")
        assert procedure.ConceptCodeSequence[0].CodeMeaning == (
            "Plain chest X-ray" if kind == "image" else "CT of chest"
        )
        instances = (
            document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
        )
        assert len(instances) == len(source.headers)
        assert {item.UID for item in _named(document, "121012")} == {document.DeviceUID}
        assert all(item.TextValue == phantoms.card(kind).name for item in _named(document, "111001"))
        assert len(_named(document, "111001")) == len(_named(document, "125007")), "TID 4019 in every group"


def test_the_studys_own_procedure_is_reported() -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "TH2", "99HOSPITAL", "Thorax 2 Ebenen"
    _, _, dataset = _regions("image", ProcedureCodeSequence=[item])
    (procedure,) = _named(dataset, "121058")
    assert procedure.ConceptCodeSequence[0].CodeMeaning == "Thorax 2 Ebenen"


def test_predecessors_are_named_but_never_the_document_itself(tmp_path: Path) -> None:
    own = _statement("image")
    older = Predecessor("1.2.3", str(Comprehensive3DSRStorage), "1.2.3.4")
    itself = Predecessor(str(own.SeriesInstanceUID), str(own.SOPClassUID), str(own.SOPInstanceUID))
    dataset = _statement("image", predecessors=_predecessors("statement", older, itself))
    written = dcmread(phantoms.passed(dataset, tmp_path / "statement.dcm"))
    (study,) = written.PredecessorDocumentsSequence
    assert study.StudyInstanceUID == written.StudyInstanceUID
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == "1.2.3"
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence] == ["1.2.3.4"]
    assert _bytes(_statement("image", predecessors=_predecessors("statement", itself))) == _bytes(own)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_input_gives_the_same_bytes_and_leaves_the_source_alone(kind: str) -> None:
    source = _source(kind)
    before = [header.to_json() for header in source.headers]
    studies = [_study(source) for _ in range(2)]
    documents = [(*regions_documents(study), *statement_documents(study)) for study in studies]
    assert len(documents[0]) == 2
    for first, second in zip(*documents, strict=True):
        assert _bytes(first) == _bytes(second)
    assert [header.to_json() for header in source.headers] == before


def test_what_was_left_out_is_part_of_the_statements_identity() -> None:
    assert (
        _statement("image").SOPInstanceUID != _statement("image", left_out=(("1.2.3", "lateral view"),)).SOPInstanceUID
    )
