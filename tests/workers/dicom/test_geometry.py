"""Geometry as devices write it: every result passes the gate, without what cannot be true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR

from tests.field_data import FIELD, needs_field
from tests.workers import results_phantoms as phantoms
from tests.workers.gate.test_gate import needs_dciodvfy
from workers.dicom.attributes import header
from workers.dicom.geometry import drop_invalid, frame_of_reference, orientation
from workers.gate import gate
from workers.results.registry import kinds, make_results

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what is wrong on purpose


def put(dataset: Dataset, attributes: dict[str, Any]) -> Dataset:
    for keyword, value in attributes.items():
        dataset.add(DataElement(keyword, dictionary_VR(keyword), value, validation_mode=config.IGNORE))
    return dataset


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["L", "F"], ("L", "F")), (["l", "f "], ("L", "F")), (["A", "F"], ("A", "F")), (["LP", "FA"], ("LP", "FA")),
        ("L", None), (["", ""], None), (["L", ""], None), ("", None), (["L", "L"], None), (["L", "R"], None),
        (["RL", "F"], None), (["L", "F", "X"], None), (["X", "Y"], None), (["Left", "Foot"], None), (["LL", "F"], None),
    ],
)  # fmt: skip
def test_orientation_is_two_directions_or_none(written: Any, read: Any) -> None:
    assert orientation(put(Dataset(), {"PatientOrientation": written})) == read


@pytest.mark.parametrize(("written", "read"), [("1.2.3", "1.2.3"), ("", None), (" ", None), ("abc", None)])
def test_an_empty_frame_of_reference_is_none(written: str, read: str | None) -> None:
    assert frame_of_reference(put(Dataset(), {"FrameOfReferenceUID": written})) == read


def test_what_cannot_be_true_is_dropped_and_what_can_is_kept() -> None:
    wrong = {"PatientOrientation": "L", "FrameOfReferenceUID": "", "PixelSpacing": "0.2", "SliceThickness": "0"}
    right = {"PatientOrientation": ["L", "F"], "FrameOfReferenceUID": "1.2", "PixelSpacing": ["0.2", "0.2"]}
    assert len(drop_invalid(put(Dataset(), wrong))) == 0
    assert drop_invalid(put(Dataset(), right)) == put(Dataset(), right)


CASES: list[tuple[str, dict[str, Any]]] = [
    *(("image", {"FrameOfReferenceUID": uid}) for uid in ("", "1.2.3", "abc")),
    *(("image", {"PatientOrientation": one}) for one in ("L", ["", ""], ["L", "L"], ["L", "F", "X"], ["RL", "F"])),
    *(("image", {keyword: value}) for keyword in ("PixelSpacing", "ImagerPixelSpacing") for value in ("", "0.2")),
    ("image", {"PixelSpacing": ["0", "0"], "ImagerPixelSpacing": ["0.1", "0.1"]}),
    ("image", {"Modality": "DR"}),
    ("volume", {"PatientOrientation": ["L", ""]}),
]


def results_of(kind: str, attributes: dict[str, Any], folder: Path) -> tuple[list[tuple[str, ...]], dict[str, str]]:
    """(faults of the gate of each result, kinds that could not be made and why)."""
    made = phantoms.made(kind)
    for one in made.headers:
        drop_invalid(put(one, attributes))
    faults: dict[str, str] = {}
    found = make_results(made, set(kinds()), faults)
    checked = gate.check([(one, folder / f"{n}.dcm") for n, (_, one) in enumerate(found)], folder / "quarantine")
    return [each.faults for each in checked if each.faults], faults


@needs_dciodvfy
@pytest.mark.parametrize(("kind", "attributes"), CASES, ids=str)
def test_every_result_passes_the_gate(kind: str, attributes: dict[str, Any], tmp_path: Path) -> None:
    assert results_of(kind, attributes, tmp_path) == ([], {})


@needs_dciodvfy
def test_a_volume_without_frame_of_reference_says_what_is_missing(tmp_path: Path) -> None:
    quarantined, missing = results_of("volume", {"FrameOfReferenceUID": ""}, tmp_path)
    assert quarantined == []
    assert missing.keys() == {"segmentation", "saliency-map"}
    assert missing["segmentation"] == (
        "no segmentation could be made: the images have no Frame of Reference UID (0020,0052), "
        "without which a Segmentation has no place"
    )


@needs_field
@needs_dciodvfy
@pytest.mark.parametrize(
    "name", ["10-frame-of-reference-empty/fr-uid-empty", "12-patientorientation-odd/orient-one",
             "12-patientorientation-odd/orient-backslash-empty"],
)  # fmt: skip
def test_the_field_s_radiographs(name: str, tmp_path: Path) -> None:
    read = drop_invalid(header(FIELD / f"{name}.dcm"))
    study = phantoms.study_of(phantoms.analysed(phantoms.image_source(read)))
    found = phantoms.objects(study, {"segmentation", "regions", "statement", "capture"})
    checked = gate.check([(one, tmp_path / f"{n}.dcm") for n, (_, one) in enumerate(found)], tmp_path / "quarantine")
    assert [each.faults for each in checked if each.faults] == []
