from __future__ import annotations

import numpy as np
import pytest

from models.findings.chest_ct import findings
from models.report_labels.labeler import Assertion, Labeler
from models.report_labels.phrases import tokens
from models.report_labels.rules import TABLES, Kind, read_rules
from tests.models.report_labels.made_sentences import DEVELOPMENT, HELD_OUT, NAMES, NOTHING, made, placed

RULES = read_rules(TABLES["chest-ct"]["en"])
LABELER = Labeler(RULES)


def test_the_labels_are_the_83_findings() -> None:
    assert RULES.names == (*(one.name for one in findings()), "No_Finding")
    assert set(NAMES) == set(RULES.names[:-1])


def test_every_phrase_without_a_gap_names_its_label() -> None:
    for rule in RULES.all():
        if rule.kind is Kind.MENTION and "..." not in rule.phrase:
            words = " ".join(word.removesuffix("?").split("|")[0] for word in rule.phrase.split()).replace("*", "")
            assert LABELER.label_texts([words]).assertions[rule.label] is not Assertion.NOT_MENTIONED, rule.phrase


def test_no_template_is_in_both_kinds_of_families() -> None:
    sides = [{text for templates in families.values() for text, _ in templates} for families in (DEVELOPMENT, HELD_OUT)]
    assert not sides[0] & sides[1]
    assert not set(DEVELOPMENT) & set(HELD_OUT)


@pytest.mark.parametrize(("families", "least"), [(DEVELOPMENT, 0.98), (HELD_OUT, 0.94)], ids=["developed", "held out"])
def test_assertions_are_right_as_often_as_the_readme_has_it(families, least: float) -> None:
    right = [LABELER.label(one.text).assertions[one.label] is one.assertion for one in made(families)]
    assert np.mean(right) >= least


def test_places_are_named() -> None:
    right = [one.place in LABELER.label(one.text).because[one.label].locations for one in placed()]
    assert np.mean(right) >= 0.95


@pytest.mark.parametrize("text", NOTHING)
def test_what_is_normal_has_no_finding(text: str) -> None:
    assert LABELER.label(text).assertions["No_Finding"] is Assertion.PRESENT


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        (
            "Small nodule in the right upper lobe and consolidation in the left lower lobe.",
            [("nodule", ("right upper lobe",), ""), ("consolidation", ("left lower lobe",), "")],
        ),
        (
            "Unchanged right pleural effusion with bibasilar atelectasis.",
            [("pleural_effusion", ("right lung",), "unchanged"), ("atelectasis", ("both lower lobes",), "")],
        ),
        (
            "New 8 mm nodule in the lingula; stable 4 mm nodule in the right lower lobe.",
            [("nodule", ("left upper lobe",), "new"), ("nodule", ("right lower lobe",), "unchanged")],
        ),
        (
            "Pleural effusion, no mediastinal abnormality in the left lung.",
            [("pleural_effusion", (), "")],
        ),
        (
            "No nodule in the left lung, pleural effusion.",
            [("nodule", ("left lung",), ""), ("pleural_effusion", (), "")],
        ),
        ("Emphysema and cysts in both upper lobes.", [(n, ("both upper lobes",), "") for n in ("emphysema", "cyst")]),
    ],
)
def test_each_finding_has_its_own_place_and_change(text: str, mentions: list[tuple[object, ...]]) -> None:
    assert [(one.label, one.locations, one.comparison) for one in LABELER.label(text).mentions] == mentions


@pytest.mark.parametrize(("size", "over"), [("9 mm", False), ("10 mm", True), ("1.2 cm", True), ("0.8 cm", False)])
def test_a_nodule_over_a_centimetre_is_also_that(size: str, over: bool) -> None:
    labels = LABELER.label(f"There is a {size} nodule in the lung.")
    assert (labels.assertions["nodulegr1cm"] is Assertion.PRESENT) == over
    assert labels.assertions["nodule"] is Assertion.PRESENT


def test_a_size_is_one_word() -> None:
    assert tokens("1.2 x 0.9 cm") == ["1.2", "x", "0.9", "cm"]
