from __future__ import annotations

import json

import pytest
from pydicom.sr import _concepts_dict
from typer.testing import CliRunner

from models import packages
from models.card import Code
from models.commands.cli import app
from models.findings.chest_ct import findings, packages_of
from tests.models.shared_data import SHARED
from tests.models.test_card import verhoeff_is_right

FINDINGS = findings()
CARDS = [packages.load_card(path) for path in packages.available()]
ON_CARDS = {label.code for card in CARDS for label in card.labels}
FRACTURE = Code("125605004", "SCT", "Fracture")  # among the codes that the project was given, check digit tried
MEANINGS: dict[tuple[str, str], set[str]] = {}
for scheme, names in _concepts_dict.concepts.items():
    for codes in names.values():
        for value, (meaning, _) in codes.items():
            MEANINGS.setdefault((scheme, value), set()).add(meaning)


def test_all_83_are_there_once() -> None:
    assert len(FINDINGS) == len({one.name for one in FINDINGS}) == len({one.title for one in FINDINGS}) == 83


@pytest.mark.skipif(not (SHARED / "chest_ct").is_dir(), reason="needs ../shared/data/chest_ct")
def test_the_names_are_those_of_the_published_list() -> None:
    published = (SHARED / "chest_ct" / "radchestct_83_labels.txt").read_text().split()
    assert [one.name for one in FINDINGS] == published


@pytest.mark.parametrize("one", [one for one in FINDINGS if one.code], ids=lambda one: one.name)
def test_every_code_is_in_a_dictionary_under_its_meaning(one) -> None:
    in_dictionary = one.code.meaning in MEANINGS.get((one.code.scheme, one.code.value), set())
    assert in_dictionary or one.code in ON_CARDS | {FRACTURE}
    assert one.code.scheme != "SCT" or verhoeff_is_right(one.code.value)


@pytest.mark.parametrize("site", sorted({one.site for one in FINDINGS if one.site}), ids=str)
def test_every_site_is_in_a_dictionary(site: Code) -> None:
    meanings = {meaning.lower() for meaning in MEANINGS[(site.scheme, site.value)]}
    assert any(site.meaning.lower() in meaning for meaning in meanings)


def test_no_code_is_that_of_two_findings() -> None:
    codes = [one.code for one in FINDINGS if one.code]
    assert len(set(codes)) == len(codes) == 39


def test_high_is_what_may_kill_within_minutes() -> None:
    assert [one.name for one in FINDINGS if one.urgency == "HIGH"] == ["hemothorax", "pneumothorax"]
    assert all((one.urgency == "HIGH") == (one.acr == 1) for one in FINDINGS)
    assert all(one.why for one in FINDINGS if one.acr)


def test_what_a_package_finds_follows_from_its_card() -> None:
    (effusion,) = [one for one in FINDINGS if one.name == "pleural_effusion"]
    xray = packages.load_card(packages.ZOO / "chest-xray")
    as_ct = xray.model_copy(update={"input": xray.input.model_copy(update={"modalities": ("CT",)})})
    assert packages_of(effusion, [xray]) == ()  # a radiograph's package finds nothing on CT
    assert packages_of(effusion, [as_ct]) == (as_ct,)
    assert packages_of(FINDINGS[0], [as_ct]) == ()


def test_the_command_lists_them_with_the_packages_that_find_them() -> None:
    done = CliRunner().invoke(app, ["findings", "--json"])
    assert done.exit_code == 0
    listed = {one["name"]: one for one in json.loads(done.stdout)}
    assert len(listed) == 83
    assert "chest-ct" in listed["nodule"]["packages"]
    assert listed["pneumothorax"]["code"] == ["36118008", "SCT", "Pneumothorax"]
    shown = CliRunner().invoke(app, ["findings"])
    assert shown.exit_code == 0
    assert "Ground-glass opacity" in shown.stdout
    assert "83 findings" in shown.stderr
