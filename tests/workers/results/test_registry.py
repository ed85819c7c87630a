"""Every kind of object that we make: conformant, named alike, and the same whenever it is made of the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from pydicom import Dataset, dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from node.entities import JobState
from node.settings import Peer, Settings
from tests.workers import results_phantoms as phantoms
from tests.workers.gate.test_gate import needs_dciodvfy
from tests.workers.results_phantoms import objects
from workers.delivery.profiles import plan_of, profiles, result_options
from workers.findings.analysed import AnalysedStudy
from workers.findings.source import VolumeSource
from workers.gate import gate
from workers.results import plain, registry
from workers.results.registry import Kind, kinds, make_results

OF_IMAGE = sorted(set(kinds()) - {"saliency-map"})  # a radiograph has no Frame of Reference
EVERY = [("image", kind) for kind in OF_IMAGE] + [("volume", kind) for kind in sorted(kinds())]
SCHEME = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID")


@cache
def encoded(kind: str, digest: str = "a" * 64, language: str = "en") -> dict[str, bytes]:
    found = phantoms.every_object(kind, digest=digest, language=language)
    return {name: as_bytes(dataset) for name, dataset in found.items()}


def as_bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def read(kind: str, name: str, digest: str = "a" * 64, language: str = "en") -> Dataset:
    return dcmread(BytesIO(encoded(kind, digest, language)[name]))


def said_in_content(dataset: Dataset) -> dict[str, set[str]]:
    """Concept's code to the values of a document's TEXT and UIDREF items."""
    found: dict[str, set[str]] = {}

    def walk(item: Dataset) -> None:
        for child in item.get("ContentSequence", ()):
            if child.get("ConceptNameCodeSequence"):
                value = child.get("UID") or child.get("TextValue")
                found.setdefault(str(child.ConceptNameCodeSequence[0].CodeValue), set()).add(str(value))
            walk(child)

    walk(dataset)
    return found


def test_all_kinds_are_made() -> None:
    assert sorted(encoded("image")) == OF_IMAGE
    assert sorted(encoded("volume")) == sorted(kinds())


@needs_dciodvfy
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("source", ["image", "volume"])
def test_every_object_passes_the_gate_with_dciodvfy(source: str, language: str, tmp_path: Path) -> None:
    found = objects(phantoms.made(source, language=language), set(kinds()))
    checked = gate.check([(one, tmp_path / f"{n}.dcm") for n, (_, one) in enumerate(found)], tmp_path / "quarantine")
    assert [(kind, each.faults) for (kind, _), each in zip(found, checked, strict=True)] == [
        (kind, ()) for kind, _ in found
    ]


@pytest.mark.parametrize(("source", "kind"), EVERY)
def test_every_object_names_its_algorithm_alike(source: str, kind: str) -> None:
    """IHE AI Results: manufacturer, model, version and Device UID correspond, wherever they are said."""
    one, context = read(source, kind), phantoms.context(source)
    expected = ["ReadFirst", context.card.name, [context.card.version, "ReadFirst 0.1.0"], context.uid("device")]
    assert [one[keyword].value for keyword in SCHEME] == expected
    (equipment,) = [
        item
        for item in one.ContributingEquipmentSequence
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    ]
    assert [equipment[keyword].value for keyword in SCHEME] == expected
    said = said_in_content(one)
    assert said.get("121012", {context.uid("device")}) == {context.uid("device")}  # TID 1004
    assert said.get("121015", {context.card.name}) == {context.card.name}
    assert said.get("111001", {context.card.name}) == {context.card.name}  # TID 4019
    assert said.get("111003", {context.card.version}) == {context.card.version}
    for segment in one.get("SegmentSequence", ()):
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (context.card.name, context.card.version)
    assert one.ContentQualification == "RESEARCH"
    assert one.SOPClassUID == kinds()[kind].sop_class_uid
    assert (one.PatientID, one.PatientName) == ("T1", "Tést^Ä")


@pytest.mark.parametrize(("source", "kind"), EVERY)
def test_other_weights_are_another_device_and_other_instances(source: str, kind: str) -> None:
    old, new = read(source, kind), read(source, kind, digest="b" * 64)
    assert new.DeviceUID != old.DeviceUID
    assert new.ContributingEquipmentSequence[-1].DeviceUID == new.DeviceUID
    assert (new.SOPInstanceUID, new.SeriesInstanceUID) != (old.SOPInstanceUID, old.SeriesInstanceUID)
    assert new.SOPInstanceUID != old.SOPInstanceUID


@pytest.mark.parametrize("source", ["image", "volume"])
def test_the_same_input_gives_the_same_bytes(source: str) -> None:
    again = {name: as_bytes(one) for name, one in phantoms.every_object(source).items()}
    assert [name for name in again if again[name] != encoded(source)[name]] == []


@pytest.mark.parametrize(("source", "kind"), EVERY)
def test_what_was_left_out_is_part_of_the_identity_of_what_tells_it(source: str, kind: str) -> None:
    told = ("statement", "statement-2d", "report-text", "report-pdf")
    ((_, other), *_) = objects(replace(phantoms.made(source), left_out=(("1.2.3", "lateral view"),)), {kind})
    before = read(source, kind)
    assert (other.SOPInstanceUID != before.SOPInstanceUID) == (kind in told)
    assert (as_bytes(other) != encoded(source)[kind]) == (kind in told)


def test_reports_tell_the_slices_that_a_volume_left_out() -> None:
    made = phantoms.made("volume")
    (analysed,) = made.sources
    assert isinstance(analysed.source, VolumeSource)
    torn = VolumeSource(replace(analysed.source.volume, left_out=(("1.2.3", "it is torn"),)))
    fewer = replace(made, sources=(replace(analysed, source=torn),))
    ((_, report),) = objects(fewer, {"report-text"})
    assert "Not analysed, because it is torn: 1.2.3." in said_in_content(report)["121106"]
    assert report.SOPInstanceUID != read("volume", "report-text").SOPInstanceUID


@pytest.mark.parametrize("source", ["image", "volume"])
def test_no_two_objects_share_an_identity(source: str) -> None:
    found = [read(source, kind) for kind in encoded(source)]
    assert len({one.SOPInstanceUID for one in found}) == len({one.SeriesInstanceUID for one in found}) == len(found)
    assert len({int(one.SeriesNumber) for one in found}) == len(found)


def test_another_language_is_another_instance_of_the_same_device() -> None:
    english, chinese = (read("image", "report-text", language=language) for language in ("en", "zh"))
    assert english.SOPInstanceUID != chinese.SOPInstanceUID
    assert english.DeviceUID == chinese.DeviceUID
    tracking = [
        {segment.TrackingUID for segment in read("image", "segmentation", language="zh").SegmentSequence},
        said_in_content(read("image", "regions", language="zh"))["112040"],
    ]
    assert tracking[0] == tracking[1]


@pytest.mark.parametrize("kind", ["regions", "statement", "regions-2d", "statement-2d"])
def test_a_document_that_says_it_is_in_english_is(kind: str) -> None:
    def texts(item: Dataset) -> Iterator[str]:
        yield str(item.get("TextValue", ""))
        for child in item.get("ContentSequence", ()):
            yield from texts(child)

    one = read("image", kind, language="zh")
    languages = [item for item in one.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121049"]
    assert [item.ConceptCodeSequence[0].CodeValue for item in languages] == ["en-US"]
    assert "".join(texts(one)).isascii()


def test_the_plain_documents_say_what_the_others_say() -> None:
    for kind, flat_kind in (("regions", "regions-2d"), ("statement", "statement-2d")):
        whole, flat = said_in_content(read("image", kind)), said_in_content(read("image", flat_kind))
        for sources in (whole, flat):  # how the image under an outline is called is the one difference
            sources.pop("260753009", None)
            sources.pop("111040", None)
        assert flat == whole


def test_a_report_in_words_is_the_same_on_paper() -> None:
    report, pdf = read("image", "report-text"), read("image", "report-pdf")
    assert report.ConceptNameCodeSequence[0].CodeValue == pdf.ConceptNameCodeSequence[0].CodeValue == "18748-4"
    content = bytes(pdf.EncapsulatedDocument)[: pdf.EncapsulatedDocumentLength]
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert pdf.SourceInstanceSequence[0].ReferencedSOPInstanceUID == phantoms.radiograph().SOPInstanceUID


def test_key_objects_are_the_images_with_findings() -> None:
    (image,) = [item for item in read("image", "key-objects").ContentSequence if item.ValueType == "IMAGE"]
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == phantoms.radiograph().SOPInstanceUID
    slices = [item for item in read("volume", "key-objects").ContentSequence if item.ValueType == "IMAGE"]
    assert len(slices) == 1  # both regions are largest on one slice
    source = phantoms.image_source(phantoms.radiograph())
    nothing = phantoms.study_of(phantoms.analysed(source, phantoms.no_findings(source)))
    assert objects(nothing, {"key-objects", "presentation-state"}) == []


def test_a_presentation_state_draws_the_outlines_of_the_document() -> None:
    state, regions = read("image", "presentation-state"), read("image", "regions")
    drawn = [list(one.GraphicObjectSequence[0].GraphicData) for one in state.GraphicAnnotationSequence]
    groups = regions.ContentSequence[-1].ContentSequence
    outlines = [list(item.GraphicData) for one in groups for item in one.ContentSequence if item.ValueType == "SCOORD"]
    assert drawn == outlines
    assert state.PresentationLUTShape == "INVERSE"  # the phantom is MONOCHROME1
    assert read("volume", "presentation-state").PresentationLUTShape == "IDENTITY"
    texts = [one.TextObjectSequence[0].UnformattedTextValue for one in state.GraphicAnnotationSequence]
    assert texts == ["AI Pneumothorax 1, probability 87 %", "AI Nodule 1, probability 50 %"]


def test_a_saliency_map_is_the_raw_map_on_its_slices() -> None:
    made = phantoms.made("volume")
    maps = made.sources[0].saliency
    one = read("volume", "saliency-map")
    assert "PixelData" not in one
    assert one.FrameOfReferenceUID == phantoms.ct_source().headers[0].FrameOfReferenceUID
    mapping = one.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    quantities = [item.ConceptCodeSequence[0].CodeValue for item in mapping.QuantityDefinitionSequence]
    assert quantities == ["130404"]  # a candidate map is no class activation: the general word
    positions = [
        float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) for frame in one.PerFrameFunctionalGroupsSequence
    ]
    for frame, z in zip(one.pixel_array, positions, strict=True):
        assert (frame == maps[0][round((z + 100) / 2.5)]).all()


def test_an_object_that_cannot_be_made_costs_no_other() -> None:
    made = phantoms.made()
    del made.sources[0].source.headers[0].SamplesPerPixel  # highdicom needs it
    faults: dict[str, str] = {}
    found = make_results(made, {"segmentation", "presentation-state", "report-text"}, faults)
    assert [kind for kind, _ in found] == ["segmentation", "report-text"]
    assert list(faults) == ["presentation-state"]
    assert faults["presentation-state"].startswith("no presentation-state could be made: AttributeError")


@pytest.mark.parametrize("kind", OF_IMAGE)
def test_whatever_kind_cannot_be_made_the_others_are(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made_by(monkeypatch, kind, ZeroDivisionError)
    faults: dict[str, str] = {}
    found = make_results(phantoms.made(), set(OF_IMAGE), faults)
    assert {one for one, _ in found} == set(OF_IMAGE) - {kind}
    assert list(faults) == [kind]


def test_the_end_of_the_time_is_no_fault_of_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    made_by(monkeypatch, "capture", SoftTimeLimitExceeded)
    with pytest.raises(SoftTimeLimitExceeded):
        make_results(phantoms.made(), {"capture"}, {})


def made_by(monkeypatch: pytest.MonkeyPatch, kind: str, error: type[Exception]) -> None:
    """From now on this kind cannot be made."""

    def fails(_study: AnalysedStudy) -> Iterable[Dataset]:
        raise error

    monkeypatch.setattr(kinds()[kind].writer.replace(":", "."), fails)


def toys(study: AnalysedStudy) -> Iterator[Dataset]:
    (_, picture), *_ = objects(study, {"capture"})
    copy = plain.copied(picture)
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = study.context.uid("toy/instance", "1.2")
    copy.SeriesNumber = registry.series_number("toy")
    yield copy


def test_a_kind_is_one_file_that_registers_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A toy: it is made, it passes the gate, a peer may ask for it, and it has a fallback. No table is edited."""
    monkeypatch.setattr(registry, "_KINDS", dict(kinds()))

    registry.register(Kind("toy", SecondaryCaptureImageStorage, 9199, f"{__name__}:toys", fallback="report-text"))
    (*_, (kind, dataset)) = objects(phantoms.made(), set(kinds()))
    assert (kind, dataset.SeriesNumber) == ("toy", 9199)
    assert dcmread(phantoms.passed(dataset, tmp_path / "toy.dcm")).SOPInstanceUID == dataset.SOPInstanceUID
    assert list(registry.fallbacks("toy")) == ["report-text", "capture"]
    peer = Peer(ae_title="PACS", host="127.0.0.1", receive=("results",), viewer="basic", also=("toy",))
    settings = Settings(peers={"pacs": peer})
    assert plan_of(settings)("pacs", "toy") == JobState.PENDING
    assert result_options(settings).kinds == {"capture", "toy", "report-text"}


def test_a_kinds_facts_need_no_highdicom(tmp_path: Path) -> None:
    code = (
        "import sys; from workers.delivery.profiles import profiles; from workers.results.registry import kinds;"
        "print(len(kinds()), len(profiles()), *{'torch', 'highdicom', 'SimpleITK', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(kinds())), str(len(profiles()))]
