"""CT studies as scanners send them, from files to checked objects: the ball is where the patient has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedCTImageStorage

from models.prediction import Model
from node.entities import AnalysisReport, StudyState
from node.settings import Policy, Settings
from node.worklist.items.priority import Priority
from node.worklist.triage.policy import DecisionInputs, decide
from tests.workers import ct_phantoms as phantoms
from tests.workers.ct_phantoms import BALL, DENSE, RADIUS, STEPS, BallModel, ct, written
from tests.workers.enhanced_phantoms import enhanced_ct
from workers.delivery.profiles import result_options
from workers.dicom.content_tree import content_items
from workers.inputs.decoding.decoder import Decoder
from workers.pipeline import Environment, Instance, Study, analyze

EVERY = "segmentation", "regions", "statement", "key-objects", "capture", "presentation-state", "saliency-map"


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as decoder:
        yield decoder


def run(decoder: Decoder, paths: list[Path], model: Model, more: bool = False) -> AnalysisReport:
    folder = paths[0].parent / "a"
    instances = tuple(Instance(path.stem, path, 1_767_348_930.0) for path in paths)
    study = Study(instances, folder / "results", folder / "pictures")
    options = result_options(Settings())
    options = options._replace(kinds=frozenset(EVERY)) if more else options
    return analyze(study, [model], Environment(decoder, "0.1.0", options))


def objects(report: AnalysisReport, kind: str) -> list[Dataset]:
    return [dcmread(one.path) for one in report.results if one.kind == kind]


def centre(segmentation: Dataset, segment: int = 1) -> NDArray[np.float64]:
    """LPS centre of a segment, from the Segmentation alone."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    points = []
    for frame, pixels in zip(segmentation.PerFrameFunctionalGroupsSequence, segmentation.pixel_array, strict=True):
        if frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == segment:
            first = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
            rows, columns = np.nonzero(pixels)
            points.append(first + rows[:, None] * row_mm * cosines[1] + columns[:, None] * column_mm * cosines[0])
    return np.concatenate(points).mean(axis=0)


def numbers(document: Dataset) -> dict[str, float]:
    """The first value of each concept's name."""
    found: dict[str, float] = {}
    for item in content_items(document):
        if item.get("ValueType") == "NUM":
            name = str(item.ConceptNameCodeSequence[0].CodeMeaning)
            found.setdefault(name, float(item.MeasuredValueSequence[0].NumericValue))
    return found


@pytest.mark.parametrize(("tilt", "turn"), [(0, 0), (0, 12), (18, 0), (-14, 8)])
def test_the_ball_is_segmented_and_measured_where_it_is(
    decoder: Decoder, tmp_path: Path, tilt: float, turn: float
) -> None:
    report = run(decoder, written(ct(tilt, turn), tmp_path), BallModel())
    assert report.state == StudyState.ANALYSED
    assert [(one.kind, one.fault) for one in report.results] == [
        ("segmentation", ""), ("regions", ""), ("statement", "")
    ]  # fmt: skip
    (segmentation,), (regions,), (statement,) = (objects(report, one.kind) for one in report.results)
    assert np.linalg.norm(centre(segmentation) - BALL) < max(STEPS) / 2
    assert len(segmentation.SegmentSequence) == 2
    assert len(segmentation.PerFrameFunctionalGroupsSequence) < phantoms.SHAPE[0]  # only slices with the region
    found = numbers(regions)
    volume = 4 / 3 * np.pi * RADIUS**3
    assert found["Volume"] == pytest.approx(volume, rel=0.3)
    assert found["Long axis"] == pytest.approx(2 * RADIUS, abs=2 * STEPS[1])
    assert found["Short axis"] == pytest.approx(2 * RADIUS, abs=2 * STEPS[1])
    assert found["Attenuation Coefficient"] > 0.75 * DENSE  # a tilted gantry's map is interpolated
    text = "\n".join(str(item.TextValue) for item in content_items(statement) if item.get("ValueType") == "TEXT")
    assert "right, slice at z = 24.0 mm (image 19)" in text
    assert f"long axis {found['Long axis']:.1f} mm" in text
    assert ", images 17 to 21." in text
    assert any("gantry was tilted" in note for note in report.notes) == bool(tilt)


def test_the_first_outline_is_of_the_slice_where_the_ball_is_largest(decoder: Decoder, tmp_path: Path) -> None:
    """OHIF opens a region on the slice of its first outline."""
    report = run(decoder, written(ct(), tmp_path), BallModel(), more=True)
    assert [one.fault for one in report.results] == [""] * len(report.results)
    (regions,) = objects(report, "regions")
    named = [
        str(item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in content_items(regions)
        if item.get("ValueType") == "SCOORD"
    ]
    assert named[0] == f"{phantoms.STUDY}.1.19"
    assert len(set(named)) == len(named) // 2 > 3  # each slice once a finding
    (selection,) = objects(report, "key-objects")
    assert [
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in content_items(selection)
        if item.get("ValueType") == "IMAGE"
    ] == [named[0]]


@pytest.mark.parametrize("tilt", [0, 15])
def test_an_enhanced_ct_gives_what_its_slices_give_and_refers_to_its_frames(
    decoder: Decoder, tmp_path: Path, tilt: float
) -> None:
    (tmp_path / "single").mkdir()
    (tmp_path / "enhanced").mkdir()
    slices = ct(tilt)
    single = run(decoder, written(slices, tmp_path / "single"), BallModel())
    one = enhanced_ct(slices[::-1], uid=f"{phantoms.STUDY}.7")
    report = run(decoder, written([one], tmp_path / "enhanced"), BallModel(), more=True)
    assert (report.state, report.left_out) == (StudyState.ANALYSED, ())
    assert {one.kind for one in report.results} == set(EVERY)
    assert [one.fault for one in report.results] == [""] * len(report.results)
    (segmentation,), (as_single,) = objects(report, "segmentation"), objects(single, "segmentation")
    np.testing.assert_allclose(centre(segmentation), centre(as_single), atol=1e-6)
    (regions,) = objects(report, "regions")
    assert numbers(regions) == numbers(objects(single, "regions")[0])
    references = [
        item for dataset in map(dcmread, (one.path for one in report.results)) for item in _references(dataset)
    ]
    ours = [item for item in references if item.ReferencedSOPClassUID == EnhancedCTImageStorage]
    assert ours
    assert {str(item.ReferencedSOPInstanceUID) for item in ours} == {f"{phantoms.STUDY}.7"}
    groups = segmentation.PerFrameFunctionalGroupsSequence
    sources = [frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in groups]
    frames = [int(item.ReferencedFrameNumber) for item in sources]
    heights = [float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) for frame in groups]
    placed = [float(slices[::-1][number - 1].ImagePositionPatient[2]) for number in frames]
    assert heights == pytest.approx(placed)


def test_frames_that_are_not_analysed_are_said(decoder: Decoder, tmp_path: Path) -> None:
    slices = ct()
    slices[2].ImageOrientationPatient = slices[3].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    one = enhanced_ct(slices, uid=f"{phantoms.STUDY}.7")
    for index in (2, 3):
        group = Dataset()
        group.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        one.PerFrameFunctionalGroupsSequence[index].PlaneOrientationSequence = [group]
    report = run(decoder, written([one], tmp_path), BallModel())
    assert report.state == StudyState.ANALYSED
    assert any("slices are missing" in note for note in report.notes)
    text = " ".join(report.notes)
    assert "frames of the enhanced CT were not analysed" in text


def test_of_two_series_the_soft_kernel_is_analysed_and_why_is_told(decoder: Decoder, tmp_path: Path) -> None:
    lung, soft = ct(series=1, ConvolutionKernel="B60f"), ct(series=2, ConvolutionKernel="B31f")
    report = run(decoder, written(lung + soft, tmp_path), BallModel())
    assert (
        "of 2 volumes of the study series 2 was analysed (24 slices every 4.00 mm, kernel B31F (soft)), before "
        "series 1: the model asks for a soft kernel"
    ) in report.notes
    of_lung = BallModel().card
    of_lung = of_lung.model_copy(update={"input": of_lung.input.model_copy(update={"kernel": "lung"})})
    assert "series 1 was analysed" in " ".join(run(decoder, written(lung + soft, tmp_path), BallModel(of_lung)).notes)


def test_what_was_trained_on_simulated_lesions_says_so_and_keeps_the_order(decoder: Decoder, tmp_path: Path) -> None:
    given, plain = (
        run(decoder, written(ct(series=number), tmp_path), BallModel(phantoms.card(simulated=number == 1)))
        for number in (1, 2)
    )
    decisions = [decide(DecisionInputs(report.findings), Policy()) for report in (given, plain)]
    assert [one.given for one in decisions] == [Priority.LOW, Priority.HIGH]
    assert "Pneumothorax" in decisions[0].reason
    for report, simulated in ((given, True), (plain, False)):
        assert [one.fault for one in report.results] == [""] * 3
        assert ["trained on simulated lesions" in one.place for one in report.findings] == [simulated] * 2 + [False]
        (statement,) = objects(report, "statement")
        texts = [str(item.TextValue) for item in content_items(statement) if item.get("ValueType") == "TEXT"]
        said = [text for text in texts if "rained on simulated lesions" in text]
        assert len(said) == (6 if simulated else 0)  # of three findings, of two in words, and among the limits
        assert ("Limit: the model was trained on simulated lesions." in texts) == simulated


def test_zones_of_the_lungs_say_where_the_ball_is(decoder: Decoder, tmp_path: Path) -> None:
    report = run(decoder, written(ct(), tmp_path), BallModel(zones=True))
    assert report.findings[0].place == "right upper zone, slice at z = 24.0 mm (image 19)"
    tilted = run(decoder, written(ct(tilt=15), tmp_path), BallModel(zones=True))
    assert tilted.findings[0].place.startswith("right upper zone, slice at z = 24.0 mm")
    (regions,) = objects(report, "regions")  # past the gate, dciodvfy included where it is installed
    sites = [item for item in content_items(regions) if item.ConceptNameCodeSequence[0].CodeValue == "363698007"]
    assert [_modified(site) for site in sites] == [
        {"site": "Pleura", "Laterality": "Right", "Topographical modifier": "Superior"},
        {"site": "Right lung", "Topographical modifier": "Superior"},
    ]


def _modified(site: Dataset) -> dict[str, str]:
    """The meaning of a Finding Site and of what modifies it."""
    found = {"site": str(site.ConceptCodeSequence[0].CodeMeaning)}
    for item in site.get("ContentSequence", ()):
        assert item.RelationshipType == "HAS CONCEPT MOD"
        found[str(item.ConceptNameCodeSequence[0].CodeMeaning)] = str(item.ConceptCodeSequence[0].CodeMeaning)
    return found


def _references(dataset: Dataset) -> Iterator[Dataset]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                if "ReferencedSOPInstanceUID" in item:
                    yield item
                yield from _references(item)
