from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydicom.sr.codedict import codes as standard

from models.card import Code, Label
from models.localizers.registry import LOCALIZERS
from tests.models.test_card import verhoeff_is_right
from tests.workers import results_phantoms as phantoms
from workers.dicom import codes

ZOO = Path(__file__).parents[3] / "models" / "zoo"


def _codes_in(value: Any) -> list[Code]:
    if isinstance(value, Code):
        return [value]
    return [code for each in value.values() for code in _codes_in(each)] if isinstance(value, dict) else []


TABLE = [code for name, value in vars(codes).items() if name.isupper() for code in _codes_in(value)]
ON_CARDS = [
    Code(*label[key])
    for path in sorted(ZOO.glob("*/card.toml"))
    for label in tomllib.loads(path.read_text(encoding="utf-8"))["labels"]
    for key in ("code", "site")
]


def test_the_tables_are_seen() -> None:
    assert codes.PRESENT in TABLE
    assert codes.LATERAL_SITES[("39607008", "left")] in TABLE
    assert len(TABLE) > 25
    assert len(ON_CARDS) > 10


@pytest.mark.parametrize("code", sorted({*TABLE, *ON_CARDS}), ids=str)
def test_codes_are_well_formed(code: Code) -> None:
    assert 0 < len(code.value) <= (16 if code in TABLE else 64)  # from 17 on a Long Code Value, PS3.3 8.1
    assert 0 < len(code.scheme) <= 16
    assert 0 < len(code.meaning) <= 64
    if code.scheme == "SCT":
        assert verhoeff_is_right(code.value), "a wrong check digit: this is no SNOMED code"


@pytest.mark.parametrize("digits", ["52101005", "25101004", "272519001", "3960700"])
def test_verhoeff_finds_wrong_and_swapped_digits(digits: str) -> None:
    assert not verhoeff_is_right(digits)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (codes.PRESENT, standard.SCT.Present),
        (codes.ABSENT, standard.SCT.Absent),
        (codes.AREA, standard.SCT.Area),
        (codes.SIDES["right"], standard.SCT.Right),
        (codes.SIDES["left"], standard.SCT.Left),
        (codes.HEIGHTS["upper"], standard.SCT.Superior),
        (codes.HEIGHTS["lower"], standard.SCT.Inferior),
        (codes.VOLUME, standard.SCT.Volume),
        (codes.SEGMENT_CATEGORIES["finding"], standard.SCT.MorphologicallyAbnormalStructure),
        (codes.SEGMENT_CATEGORIES["structure"], standard.SCT.AnatomicalStructure),
        (LOCALIZERS.get("cam").code, standard.DCM.ClassActivation),
        (codes.ALGORITHM_FAMILIES["neural network"], standard.DCM.ArtificialIntelligence),
        (codes.ALGORITHM_FAMILIES["classical image analysis"], standard.DCM.MorphologicalOperations),
        (codes.PROCESSING_EQUIPMENT, standard.DCM.ProcessingEquipment),
        (codes.REGIONS_TITLE, standard.DCM.ImagingMeasurementReport),
        (codes.STATEMENT_TITLE, standard.LN.DiagnosticImagingReport),
        (codes.IMAGE_LIBRARY, standard.DCM.ImageLibrary),
        (codes.IMAGE_LIBRARY_GROUP, standard.DCM.ImageLibraryGroup),
        (codes.COMMENT, standard.DCM.Comment),
        (codes.DEVICE, standard.DCM.Device),
        (codes.ACR_CATEGORIES[1], standard.RADLEX.ACRCategory1ActionableFinding),
        (codes.ACR_CATEGORIES[2], standard.RADLEX.ACRCategory2ActionableFinding),
        (codes.ACR_CATEGORIES[3], standard.RADLEX.ACRCategory3ActionableFinding),
    ],
)  # fmt: skip
def test_codes_are_those_of_pydicoms_dictionary(ours: Code, theirs: Any) -> None:
    assert (ours.value, ours.scheme, ours.meaning) == (theirs.value, theirs.scheme_designator, theirs.meaning)


def test_each_label_has_a_likelihood_of_its_own_that_fits_a_code_value() -> None:
    labels = phantoms.card().labels
    long = labels[2].model_copy(update={"name": "Pleural_Thickening_of_the_left"})
    names = [codes.likelihood(label, "probability") for label in (*labels, long)]
    assert names[0] == ("P_PNEUMOTHORAX", "99READFIRST", "Pneumothorax probability")
    assert names[2].meaning == "Pleural Thickening probability"
    assert codes.likelihood(labels[0], "score") == ("S_PNEUMOTHORAX", "99READFIRST", "Pneumothorax score")
    assert len({name.value for name in names}) == 4
    assert all(re.fullmatch(r"P_[A-Z0-9]{1,14}", name.value) and len(name.value) <= 16 for name in names)


def test_a_side_is_told_only_where_a_code_for_it_is_known() -> None:
    lung, pleura = Code("39607008", "SCT", "Lung"), Code("3120008", "SCT", "Pleura")
    assert codes.site(lung, "left").meaning == "Left lung"
    assert codes.site(lung, "right").value == "3341006"
    assert codes.site(lung, None) == lung
    assert codes.site(pleura, "left") == pleura


def test_colours_survive_the_way_to_cielab() -> None:
    label: Label = phantoms.card().labels[1]
    assert codes.cielab(label.colour).to_rgb() == pytest.approx(label.colour, abs=2)


def test_a_side_is_said_once_and_a_zone_of_lung_and_pleura_alone() -> None:
    right_lung, heart = codes.LATERAL_SITES["39607008", "right"], Code("80891009", "SCT", "Heart")
    lung = codes.finding_site(right_lung, "right", "lower")
    assert (lung.laterality, lung.topographical_modifier.value) == (None, codes.HEIGHTS["lower"].value)
    pleura = codes.finding_site(Code(codes.PLEURA, "SCT", "Pleura"), "left", "middle")
    assert (pleura.laterality.value, pleura.topographical_modifier) == (codes.SIDES["left"].value, None)
    other = codes.finding_site(heart, "left", "lower")
    assert (other.laterality, other.topographical_modifier) == (None, None)
