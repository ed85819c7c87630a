"""The whole analysis on real files, with a real decoder and the real gate; only the model is a tiny one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage

from models import packages
from models.prediction import Model
from node.dicom.identity import is_uid
from node.entities import AnalysisReport, StudyState
from node.settings import Settings
from tests.workers import imaging_phantoms as imaging
from tests.workers import results_phantoms as results
from tests.workers.gate.test_gate import needs_dciodvfy
from tests.workers.study_phantoms import NOTHING, TinyModel, cut, radiograph
from workers.delivery.profiles import result_options
from workers.dicom.references import Predecessor
from workers.gate import rules
from workers.gate.rules import Requirement
from workers.inputs.decoding.decoder import Decoder
from workers.pipeline import NO_FINDINGS, Environment, Instance, Study, analyze
from workers.results.registry import kinds as every_kind

RECEIVED = 1_767_348_930.0  # 2 January 2026


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as decoder:
        yield decoder


def run(
    decoder: Decoder,
    folder: Path,
    paths: Sequence[Path],
    model: Model | None = None,
    predecessors: tuple[tuple[str, str, Predecessor], ...] = (),
) -> AnalysisReport:
    """The report of a study of these files; results lie in `folder`."""
    study = Study(tuple(Instance(path.stem, path, RECEIVED) for path in paths), folder, predecessors=predecessors)
    return analyze(study, [model or TinyModel()], Environment(decoder, "0.1.0", result_options(Settings())))


def kinds(report: AnalysisReport) -> list[str]:
    return [result.kind for result in report.results]


def objects(report: AnalysisReport, kind: str) -> list[Dataset]:
    return [dcmread(result.path) for result in report.results if result.kind == kind]


def words(document: Dataset) -> list[str]:
    """The sentences of a Structured Report, in their order."""
    own = [str(document.TextValue)] if "TextValue" in document else []
    return own + [sentence for item in document.get("ContentSequence", ()) for sentence in words(item)]


def said(report: AnalysisReport) -> str:
    (document,) = objects(report, "statement")
    return "\n".join(words(document))


def test_a_finding_with_a_region_is_three_objects(decoder: Decoder, tmp_path: Path) -> None:
    report = run(decoder, tmp_path / "out", [radiograph(tmp_path)])
    assert (report.state, report.reason, report.left_out) == (StudyState.ANALYSED, "", ())
    assert kinds(report) == ["segmentation", "regions", "statement"]
    assert [result.sop_class_uid for result in report.results] == [
        SegmentationStorage, Comprehensive3DSRStorage, Comprehensive3DSRStorage
    ]  # fmt: skip
    found = {finding.label: (finding.present, finding.urgency, bool(finding.place)) for finding in report.findings}
    assert found["Pneumothorax"] == (True, "HIGH", True)
    assert found["Nodule"] == (False, "MEDIUM", False)
    assert {str(file) for file in (tmp_path / "out").iterdir()} == {result.path for result in report.results}


def test_organs_are_a_segmentation_and_no_finding(decoder: Decoder, tmp_path: Path) -> None:
    model = TinyModel(card=results.card().model_copy(update={"category": "structure"}))
    report = run(decoder, tmp_path / "out", [radiograph(tmp_path)], model)
    assert (report.state, report.reason, report.findings) == (StudyState.ANALYSED, NO_FINDINGS, ())
    assert kinds(report) == ["segmentation"]
    (segmentation,) = objects(report, "segmentation")
    (segment,) = segmentation.SegmentSequence
    category = segment.SegmentedPropertyCategoryCodeSequence[0]
    assert (category.CodeValue, category.CodeMeaning) == ("91723000", "Anatomical Structure")


def test_organs_beside_findings_are_in_no_report(decoder: Decoder, tmp_path: Path) -> None:
    organs = TinyModel(card=results.card().model_copy(update={"category": "structure", "name": "organs"}))
    asked: list[str] = []
    path = radiograph(tmp_path)
    study = Study((Instance(path.stem, path, RECEIVED),), tmp_path / "out")
    environment = Environment(decoder, "0.1.0", result_options(Settings()))
    report = analyze(
        study, [organs, TinyModel()], environment, lambda found: asked.extend(one.package for one in found)
    )
    assert set(asked) == {"test-image"}
    assert [(one.package, one.kind) for one in report.results] == [
        ("organs", "segmentation"), ("test-image", "segmentation"), ("test-image", "regions"),
        ("test-image", "statement"),
    ]  # fmt: skip
    assert report.reason == ""


@needs_dciodvfy
def test_the_lungs_of_a_chest_are_two_segments_that_pass_every_check(decoder: Decoder, tmp_path: Path) -> None:
    (sample,) = imaging.sample("chest-xray-normal")
    path = tmp_path / f"{dcmread(sample).SOPInstanceUID}.dcm"
    shutil.copy(sample, path)
    report = run(decoder, tmp_path / "out", [path], packages.load(packages.find("lungs"), "cpu"))
    assert [(result.kind, result.fault) for result in report.results] == [("segmentation", "")]
    (segmentation,) = objects(report, "segmentation")
    assert segmentation.ContentLabel == "ORGANS"
    right, left = segmentation.SegmentSequence
    for segment, code, meaning in ((right, "3341006", "Right lung"), (left, "44029006", "Left lung")):
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        assert (kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning) == (code, "SCT", meaning)
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "91723000"
        assert segment.AnatomicRegionSequence[0].CodeValue == code
        assert segment.SegmentDescription == meaning
    masks = segmentation.pixel_array
    columns = [np.nonzero(mask)[1].mean() for mask in masks]
    assert columns[0] < columns[1]
    assert all(0.03 < mask.mean() < 0.4 for mask in masks)


def test_where_no_lungs_are_seen_the_study_says_so(decoder: Decoder, tmp_path: Path) -> None:
    ramp = radiograph(tmp_path, size=(300, 300))
    report = run(decoder, tmp_path / "out", [ramp], packages.load(packages.find("lungs"), "cpu"))
    assert report.state == StudyState.NOT_ANALYSED
    assert report.reason.startswith("not analysed, because: no lungs seen: ")


@pytest.mark.parametrize(("change", "clause"), [("washed out", "low contrast"), ("inverted", "looks inverted")])
def test_an_image_unlike_the_training_images_is_named_in_the_notes_and_in_the_statement(
    change: str, clause: str, decoder: Decoder, tmp_path: Path
) -> None:
    (sample,) = imaging.sample("chest-xray-normal")
    pixels = dcmread(sample).pixel_array.astype(np.float64)
    pixels = pixels / pixels.max()
    stored = 400 + 200 * pixels if change == "washed out" else 1000 * (1 - pixels)
    changed = imaging.radiograph(
        stored.astype(np.uint16), WindowCenter=500, WindowWidth=1000, SeriesNumber=3, InstanceNumber=2
    )
    path = imaging.save(changed, tmp_path / f"{changed.SOPInstanceUID}.dcm")
    report = run(decoder, tmp_path / "out", [path], packages.load(packages.find("chest-xray"), "cpu"))
    assert report.state is StudyState.ANALYSED
    unlike = f"series 3, image 2 is unlike the images that the model was trained on: {clause}"
    assert f"chest-xray: {unlike}" in "\n".join(report.notes)
    assert unlike.capitalize() in said(report)


def test_where_nothing_is_present_only_the_statement_is_made(decoder: Decoder, tmp_path: Path) -> None:
    report = run(decoder, tmp_path / "out", [radiograph(tmp_path)], TinyModel(NOTHING))
    assert (report.state, kinds(report)) == (StudyState.ANALYSED, ["statement"])
    assert not any(finding.present for finding in report.findings)
    assert "PRESENT: none." in said(report)
    assert "Pneumothorax: not present. The probability of 10 %" in said(report)
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_two_radiographs_have_a_segmentation_and_a_regions_document_each_and_one_statement(
    decoder: Decoder, tmp_path: Path
) -> None:
    paths = [radiograph(tmp_path, 1), radiograph(tmp_path, 2)]
    report = run(decoder, tmp_path / "out", paths)
    assert kinds(report) == ["segmentation", "segmentation", "regions", "regions", "statement"]
    drawn_on = [
        segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID
        for segmentation in objects(report, "segmentation")
    ]
    assert drawn_on == [path.stem for path in paths]
    assert len({segmentation.SeriesInstanceUID for segmentation in objects(report, "segmentation")}) == 2
    assert len(report.findings) == 3  # one row a label, however many images
    assert "Analysed: CR series 1, image 1, PA view." in said(report)
    assert "Analysed: CR series 1, image 2, PA view." in said(report)


def test_two_radiographs_without_a_finding_are_one_statement(decoder: Decoder, tmp_path: Path) -> None:
    report = run(decoder, tmp_path / "out", [radiograph(tmp_path, 1), radiograph(tmp_path, 2)], TinyModel(NOTHING))
    assert kinds(report) == ["statement"]


def test_an_image_whose_pixels_are_cut_is_named_in_the_statement(decoder: Decoder, tmp_path: Path) -> None:
    good, torn = radiograph(tmp_path, 1), cut(radiograph(tmp_path, 2))
    report = run(decoder, tmp_path / "out", [good, torn])
    assert (report.state, kinds(report)) == (StudyState.ANALYSED, ["segmentation", "regions", "statement"])
    (sentence,) = [line for line in said(report).splitlines() if line.startswith("Not analysed, because")]
    assert sentence.endswith(": series 1, image 2.")
    assert f"the pixels of {torn.stem} cannot be decoded: its Pixel Data has" in sentence
    (note,) = report.notes
    assert note in sentence
    assert "image 1, PA view" in said(report)


def test_a_file_that_is_no_dicom_is_named_in_the_statement(decoder: Decoder, tmp_path: Path) -> None:
    stray = tmp_path / "1.2.9.dcm"
    stray.write_bytes(b"no DICOM at all")
    report = run(decoder, tmp_path / "out", [radiograph(tmp_path), stray])
    assert (report.state, len(report.results)) == (StudyState.ANALYSED, 3)
    reason = "the file 1.2.9.dcm cannot be read as DICOM: it is no DICOM file: there is no DICM after 128 bytes"
    assert report.left_out == (("1.2.9", reason),)
    assert f"Not analysed, because {reason}: 1.2.9." in said(report)


def test_an_image_that_no_model_reads_is_named_in_the_statement(decoder: Decoder, tmp_path: Path) -> None:
    paths = [radiograph(tmp_path, 1), radiograph(tmp_path, 2, Modality="MG")]
    report = run(decoder, tmp_path / "out", paths)
    assert report.left_out == ((paths[1].stem, "modality MG, the model reads CR"),)
    assert "Not analysed, because modality MG, the model reads CR: series 1, image 2." in said(report)


def test_a_study_of_torn_files_alone_is_not_analysed_and_leaves_nothing(decoder: Decoder, tmp_path: Path) -> None:
    torn, stray = cut(radiograph(tmp_path, 1)), tmp_path / "1.2.9.dcm"
    stray.write_bytes(b"no DICOM at all")
    report = run(decoder, tmp_path / "out", [torn, stray])
    assert (report.state, report.findings, report.results) == (StudyState.NOT_ANALYSED, (), ())
    assert report.reason.startswith("not analysed, because: ")
    assert torn.stem in report.reason
    assert "the file 1.2.9.dcm cannot be read as DICOM" in report.reason
    assert not (tmp_path / "out").exists()


def test_a_study_that_no_model_reads_says_why(decoder: Decoder, tmp_path: Path) -> None:
    report = run(decoder, tmp_path / "out", [radiograph(tmp_path, Modality="MG")])
    assert report.state == StudyState.NOT_ANALYSED
    assert report.reason == "not analysed, because: modality MG, the model reads CR"


def test_the_same_input_twice_is_the_same_bytes(decoder: Decoder, tmp_path: Path) -> None:
    paths = [radiograph(tmp_path, 1), radiograph(tmp_path, 2)]
    first, second = (run(decoder, tmp_path / name, paths) for name in ("a", "b"))
    assert first.findings == second.findings
    written = [{Path(one.path).name: Path(one.path).read_bytes() for one in each.results} for each in (first, second)]
    assert len(written[0]) == 5
    assert written[0] == written[1]


def test_another_version_of_the_model_makes_other_instances(decoder: Decoder, tmp_path: Path) -> None:
    path = radiograph(tmp_path)
    first, second = (run(decoder, tmp_path / "out", [path], TinyModel(digest=letter * 64)) for letter in "ab")
    assert not {one.sop_instance_uid for one in first.results} & {one.sop_instance_uid for one in second.results}


def test_new_documents_name_their_predecessors_of_the_same_package_and_kind(decoder: Decoder, tmp_path: Path) -> None:
    earlier = tuple(
        (package, kind, Predecessor("1.2.8", Comprehensive3DSRStorage, f"1.2.8.{index}"))
        for index, (package, kind) in enumerate(
            [("test-image", "statement"), ("test-image", "regions"), ("chest-ct", "statement")]
        )
    )
    report = run(decoder, tmp_path / "out", [radiograph(tmp_path)], predecessors=earlier)
    for kind, uid in (("statement", "1.2.8.0"), ("regions", "1.2.8.1")):
        (document,) = objects(report, kind)
        (study,) = document.PredecessorDocumentsSequence
        assert study.StudyInstanceUID == document.StudyInstanceUID
        named = [one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in study.ReferencedSeriesSequence]
        assert named == [uid]


def test_a_model_that_gives_no_number_analyses_nothing(decoder: Decoder, tmp_path: Path) -> None:
    report = run(decoder, tmp_path / "out", [radiograph(tmp_path)], TinyModel((float("nan"), 0.1, 0.1)))
    assert report.state == StudyState.NOT_ANALYSED
    assert "the model gave nan as the probability of Pneumothorax" in report.reason
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
@pytest.mark.parametrize("value", ["1.2.03.4", "1.2..3"])
def test_a_source_whose_uids_have_leading_zeros_is_analysed_and_named_as_sent(
    decoder: Decoder, tmp_path: Path, value: str
) -> None:
    uids = dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), value)
    source = radiograph(tmp_path, **uids).rename(tmp_path / f"{value}.dcm")
    report = run(decoder, tmp_path / "out", [source])
    assert (report.state, report.reason) == (StudyState.ANALYSED, "")
    assert [result.fault for result in report.results] == [""] * 3
    for result in report.results:
        made = dcmread(result.path)
        assert made.StudyInstanceUID == value
        assert is_uid(str(made.SOPInstanceUID))
        assert is_uid(str(made.SeriesInstanceUID))


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
def test_where_nothing_passes_the_gate_the_study_has_failed_and_all_is_quarantined(
    decoder: Decoder, tmp_path: Path
) -> None:
    source = radiograph(tmp_path, StudyInstanceUID="1.2.x3")  # an SCP refuses it; a file by hand is as bad
    folder = tmp_path / "results" / "study"
    report = run(decoder, folder, [source])
    assert report.state == StudyState.FAILED
    assert report.reason == "the analysis failed: no result passed our own checks: A UID in it is not valid."
    assert [result.fault for result in report.results] == ["A UID in it is not valid."] * 3
    assert list(folder.iterdir()) == []
    kept = {str(path) for path in (tmp_path / "quarantine" / "study").iterdir()}
    assert kept == {result.path for result in report.results}


def test_one_object_that_fails_is_quarantined_and_the_others_are_results(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Requirement(SegmentationStorage, lambda _dataset: False, "A rule that no Segmentation keeps.")
    monkeypatch.setattr(rules, "RULES", (*rules.RULES, broken))
    folder = tmp_path / "results" / "study"
    report = run(decoder, folder, [radiograph(tmp_path)])
    assert (report.state, kinds(report)) == (StudyState.ANALYSED, ["segmentation", "regions", "statement"])
    assert [result.fault for result in report.results] == [broken.reason, "", ""]
    quarantined, *sent = (Path(result.path) for result in report.results)
    assert quarantined.parent == tmp_path / "quarantine" / "study"
    assert dcmread(quarantined).SOPClassUID == SegmentationStorage
    assert set(folder.iterdir()) == set(sent)


def fails(*_: object) -> bool:
    raise ZeroDivisionError


def cannot_be_made(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(every_kind()[kind].writer.replace(":", "."), fails)


def test_one_object_that_a_check_stumbles_over_is_quarantined_and_the_others_are_results(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "RULES", (*rules.RULES, Requirement(SegmentationStorage, fails, "")))
    report = run(decoder, tmp_path / "results" / "study", [radiograph(tmp_path)])
    assert report.state == StudyState.ANALYSED
    reason = "Our own checks cannot read it (ZeroDivisionError); see the worker's log."
    assert [result.fault for result in report.results] == [reason, "", ""]


def test_an_object_that_cannot_be_made_is_a_fault_and_the_others_are_results(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cannot_be_made(monkeypatch, "segmentation")
    report = run(decoder, tmp_path / "results" / "study", [radiograph(tmp_path)])
    assert (report.state, kinds(report)) == (StudyState.ANALYSED, ["regions", "statement", "segmentation"])
    fault = "no segmentation could be made: ZeroDivisionError in our software; see the worker's log"
    assert [result.fault for result in report.results] == ["", "", fault]
    assert report.notes == (fault,)
    for kind in ("regions", "statement"):
        cannot_be_made(monkeypatch, kind)
    nothing = run(decoder, tmp_path / "results" / "study", [radiograph(tmp_path)])
    assert nothing.state == StudyState.FAILED
    assert fault in nothing.reason


def test_results_carry_the_patient_and_study_of_their_source(decoder: Decoder, tmp_path: Path) -> None:
    source = dcmread(radiograph(tmp_path))
    for result in run(decoder, tmp_path / "out", [tmp_path / f"{source.SOPInstanceUID}.dcm"]).results:
        made = dcmread(result.path)
        assert (made.PatientName, made.PatientID) == (source.PatientName, source.PatientID)
        assert made.StudyInstanceUID == source.StudyInstanceUID
        assert made.SeriesInstanceUID == result.series_instance_uid != source.SeriesInstanceUID
