"""Studies as the field sends them, through the whole pipeline: two patients in one, one instance in two, odd words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.prediction import Prediction
from node.entities import AnalysisReport, StudyState
from node.settings import Settings
from tests.field_data import FIELD, needs_field
from tests.workers import imaging_phantoms as imaging
from tests.workers import results_phantoms as results
from tests.workers.gate.test_gate import needs_dciodvfy
from tests.workers.study_phantoms import NODULE, SERIES, STUDY, TinyModel, radiograph
from tests.workers.test_pipeline import RECEIVED, objects, run
from workers.delivery.profiles import result_options
from workers.dicom.references import Predecessor
from workers.inputs.decoding.decoder import Decoder
from workers.inputs.volume import load_volume
from workers.pipeline import Environment, Instance, Study, analyze

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what is wrong on purpose


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as decoder:
        yield decoder


def referenced(document: Dataset) -> set[str]:
    """SOP Instance UIDs of the images that a document is evidence of."""
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def test_two_patients_under_one_study_uid_share_no_document(decoder: Decoder, tmp_path: Path) -> None:
    mine = [radiograph(tmp_path, number) for number in (1, 2)]
    other = radiograph(tmp_path, 3, PatientID="T2", PatientName="Other^P")
    earlier = (("test-image", "statement", Predecessor("1.2.8", "1.2.840.10008.5.1.4.1.1.88.34", "1.2.8.1")),)
    report = run(decoder, tmp_path / "out", [*mine, other], predecessors=earlier)
    assert report.state is StudyState.ANALYSED
    statements = objects(report, "statement")
    assert {str(one.PatientID): referenced(one) for one in statements} == {
        "T1": {path.stem for path in mine}, "T2": {other.stem}
    }  # fmt: skip
    assert not any("PredecessorDocumentsSequence" in one for one in statements)
    series: dict[str, set[str]] = {}
    for result in report.results:
        series.setdefault(result.series_instance_uid, set()).add(str(dcmread(result.path).PatientID))
    assert all(len(patients) == 1 for patients in series.values())
    assert any(note.startswith("the study holds images of 2 patients (2 and 1 instances") for note in report.notes)
    assert len({finding.label for finding in report.findings}) == len(report.findings)


def test_the_first_patient_s_results_stay_the_same_when_the_other_s_images_come_late(
    decoder: Decoder, tmp_path: Path
) -> None:
    mine, other = radiograph(tmp_path, 1), radiograph(tmp_path, 2, PatientID="T2")
    before = {result.sop_instance_uid for result in run(decoder, tmp_path / "a", [mine]).results}
    after = {result.sop_instance_uid for result in run(decoder, tmp_path / "b", [mine, other]).results}
    assert before < after


def test_a_patient_who_changes_within_a_ct_series_is_two_volumes(decoder: Decoder, tmp_path: Path) -> None:
    slices = imaging.ct_series([float(place) for place in range(24)], StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES)
    for index, one in enumerate(slices):
        one.PatientID, one.PatientName = ("T1", "A^B") if index < 12 else ("T2", "C^D")
    paths = [imaging.save(one, tmp_path / f"{one.SOPInstanceUID}.dcm") for one in slices]
    shown = []

    class Volume(TinyModel):
        def predict(self, image: np.ndarray, spacing: tuple[float, ...] | None = None) -> Prediction:
            shown.append(image.shape)
            return results.prediction(np.zeros((3, *image.shape), np.float32), NODULE)

    report = run(decoder, tmp_path / "out", paths, Volume(card=results.card("volume")))
    assert shown == [(12, 16, 16), (12, 16, 16)]
    assert sorted(str(one.PatientID) for one in objects(report, "statement")) == ["T1", "T2"]


def test_the_same_instance_in_two_studies_has_results_in_each(decoder: Decoder, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = radiograph(tmp_path), radiograph(tmp_path / "other", StudyInstanceUID=f"{STUDY}.2")
    first, second = run(decoder, tmp_path / "a", [one]), run(decoder, tmp_path / "b", [other])
    assert len(first.results) == len(second.results) > 0
    assert not {each.sop_instance_uid for each in first.results} & {each.sop_instance_uid for each in second.results}
    series = [{each.series_instance_uid for each in report.results} for report in (first, second)]
    assert not series[0] & series[1]


@needs_dciodvfy
@pytest.mark.parametrize("modality", ["DR", "RG", "XR", "dr"])
def test_a_radiograph_by_its_sop_class_is_read_whatever_its_modality_is_called(
    decoder: Decoder, tmp_path: Path, modality: str
) -> None:
    report = run(decoder, tmp_path / "out", [radiograph(tmp_path, Modality=modality)])
    assert report.state is StudyState.ANALYSED
    assert [result.fault for result in report.results if result.fault] == []


@pytest.mark.parametrize("modality", ["MG", "US", "PX", ""])
def test_a_modality_that_denies_a_radiograph_is_believed(decoder: Decoder, tmp_path: Path, modality: str) -> None:
    report = run(decoder, tmp_path / "out", [radiograph(tmp_path, Modality=modality)])
    assert report.reason.startswith(f"not analysed, because: modality {modality or 'unknown'}, the model reads")


def test_what_was_changed_of_the_identity_is_noted(decoder: Decoder, tmp_path: Path) -> None:
    report = run(decoder, tmp_path / "out", [radiograph(tmp_path, AccessionNumber="1" * 20)])
    assert report.state is StudyState.ANALYSED
    assert [result.fault for result in report.results if result.fault] == []
    assert any("Accession Number of the images has 20 characters" in note for note in report.notes)


def test_a_slice_thickness_that_is_missing_is_the_distance_of_slices(decoder: Decoder, tmp_path: Path) -> None:
    slices = imaging.ct_series([2.5 * index for index in range(6)], SliceThickness=None)
    paths = [imaging.save(one, tmp_path / f"{index}.dcm") for index, one in enumerate(slices)]
    assert {float(one.SliceThickness) for one in load_volume(paths, decoder).headers} == {2.5}


@needs_field
@needs_dciodvfy
@pytest.mark.parametrize(
    ("files", "statements"),
    [
        (["06-two-patients-one-study-uid/patientA.dcm", "06-two-patients-one-study-uid/patientB.dcm"], 2),
        (["24-modality-dr/modality-DR.dcm"], 1),
        (["10-frame-of-reference-empty/fr-uid-empty.dcm"], 1),
        (["12-patientorientation-odd/orient-one.dcm"], 1),
        (["12-patientorientation-odd/orient-backslash-empty.dcm"], 1),
        (["04-identity-too-long/acc-20.dcm"], 1),
        (["04-identity-too-long/pid-70.dcm"], 1),
        (["04-identity-too-long/name-long.dcm"], 1),
        (["04-identity-too-long/name-6-carets.dcm"], 1),
    ],
)
def test_the_field_s_studies_have_their_results(
    decoder: Decoder, tmp_path: Path, files: list[str], statements: int
) -> None:
    report = analysed(decoder, tmp_path, [FIELD / name for name in files])
    assert report.state is StudyState.ANALYSED
    assert [result.fault for result in report.results if result.fault] == []
    assert len(objects(report, "statement")) == statements


@needs_field
def test_the_field_s_instance_in_two_studies(decoder: Decoder, tmp_path: Path) -> None:
    folder = FIELD / "07-same-sop-uid-two-studies"
    first = analysed(decoder, tmp_path / "a", [folder / "studyA.dcm"])
    second = analysed(decoder, tmp_path / "b", [folder / "studyB.dcm"])
    assert not {each.sop_instance_uid for each in first.results} & {each.sop_instance_uid for each in second.results}


def analysed(decoder: Decoder, folder: Path, paths: list[Path]) -> AnalysisReport:
    card = results.card()
    card = card.model_copy(update={"input": card.input.model_copy(update={"modalities": ("CR", "DX")})})
    instances = tuple(Instance(str(dcmread(path).SOPInstanceUID), path, RECEIVED) for path in paths)
    study = Study(instances, folder / "results" / "x" / "out")
    return analyze(study, [TinyModel(card=card)], Environment(decoder, "0.1.0", result_options(Settings())))
