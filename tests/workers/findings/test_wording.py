from __future__ import annotations

import re
from dataclasses import replace

import pytest

from models import packages
from models.card import Card, Measurement
from models.cardfile import read_card
from tests.workers import results_phantoms as phantoms
from workers.findings import wording
from workers.findings.location import Location
from workers.findings.statement import finding_sentences
from workers.findings.wording import FINDINGS_ZH, LEAST_SENSITIVITY, ORGANS, PHRASES, can_exclude, place, report


def measured(*rows: tuple[str, int, float | None]) -> Card:
    """The card with measurements of Pneumothorax: (data, positive images, sensitivity)."""
    card = phantoms.card()
    found = tuple(
        Measurement(label="Pneumothorax", data=data, positives=positives, images=500, auc=0.9, interval=(0.8, 1.0),
                    sensitivity=sensitivity, specificity=0.9)
        for data, positives, sensitivity in rows
    )  # fmt: skip
    return card.model_copy(update={"training": card.training.model_copy(update={"measured": found})})


@pytest.mark.parametrize(
    ("rows", "excludes"),
    [
        ((), False),
        ((("validation", 34, 1.0),), False),  # 34 of 34: Wilson's lower end is 0.898
        ((("validation", 35, 1.0),), True),  # 0.901
        ((("validation", 100, 0.95),), False),  # 0.888
        ((("validation", 300, 0.95),), True),  # 0.919
        ((("training, out of fold, A", 1000, 1.0),), False),  # what it was fitted on shows nothing
        ((("train A", 1000, 1.0),), False),  # nor where it is measured once more on those
        ((("train", 1000, 1.0), ("validation", 10, 1.0)), False),
        ((("validation", 1000, None),), False),
        ((("validation A", 20, 1.0), ("validation B", 20, 1.0)), True),  # put together
        ((("validation A", 400, 1.0), ("validation B", 400, 0.5)), False),
    ],
)
def test_a_finding_is_excluded_only_where_hardly_any_can_be_missed(
    rows: tuple[tuple[str, int, float | None], ...], excludes: bool
) -> None:
    card = measured(*rows)
    assert can_exclude(card, card.labels[0]) == excludes
    assert not can_exclude(card, card.labels[1])  # another label's figures say nothing of it


def test_what_was_trained_on_simulated_lesions_excludes_nothing() -> None:
    card = measured(("validation", 1000, 1.0))
    assert can_exclude(card, card.labels[0])
    training = card.training.model_copy(update={"simulated": True})
    assert not can_exclude(card.model_copy(update={"training": training}), card.labels[0])


def shipped() -> list[Card]:
    return [read_card(packages.find(name, ()) / "card.toml") for name in ("chest-xray", "chest-ct")]


def test_the_shipped_packages_exclude_nothing() -> None:
    for card in shipped():
        assert [label.name for label in card.labels if can_exclude(card, label)] == []


def lines(language: str, card: Card | None = None, *, present: bool = True) -> list[str]:
    source = phantoms.image_source(phantoms.radiograph())
    found = phantoms.two_findings(source) if present else phantoms.no_findings(source)
    context = phantoms.context(language=language)
    if card:
        object.__setattr__(context, "card", card)
    return list(report([(finding, finding.regions) for finding in found], context))


def test_findings_are_told_by_organ_with_their_places() -> None:
    heading, pleura, lungs, rule = lines("en")
    assert heading == "Findings by organ, worded by rule from the model's numbers."
    assert pleura == (
        "Pleura: Pneumothorax, probability 87 %: right middle zone. "
        "Below threshold, and not excluded: pleural thickening."
    )
    assert lungs == "Lungs: Nodule, probability 50 %: central middle zone."
    assert "at least 90 % at the lower end" in rule
    assert f"{LEAST_SENSITIVITY:.0%}" == "90%"


def test_a_finding_that_does_not_change_the_order_says_so_in_both_languages() -> None:
    """The nodule at 50 % reaches its operating point for triage; the pneumothorax has none here."""
    found = phantoms.two_findings(phantoms.image_source(phantoms.radiograph()))
    shown = [replace(finding, raises_priority=finding.label.name == "Nodule") for finding in found]
    for language, sentence in (("en", "By its card it does not change the reading order."), ("zh", "不改变阅片顺序")):
        context = phantoms.context(language=language)
        _, pleura, lungs, _ = report([(finding, finding.regions) for finding in shown], context)
        assert (pleura.count(sentence), lungs.count(sentence)) == (1, 0)
    sentences = [finding_sentences(finding, [], phantoms.card()) for finding in shown]
    assert ["By its card" in one for one in sentences] == [True, False, False]


def test_seen_to_be_absent_is_said_only_of_what_the_model_can_exclude() -> None:
    assert not [line for line in lines("en", present=False) if re.search(r"\bNo \w+ seen", line)]
    _, pleura, _, _ = lines("en", measured(("validation", 40, 1.0)), present=False)
    assert pleura == "Pleura: No pneumothorax seen. Below threshold, and not excluded: pleural thickening."
    _, pleura, _, _ = lines("zh", measured(("validation", 40, 1.0)), present=False)
    assert pleura == "胸膜:未见气胸。低于阈值,但不能排除:胸膜增厚。"


def test_the_same_in_chinese() -> None:
    _, pleura, lungs, _ = lines("zh")
    assert pleura == "胸膜:气胸,概率 87 %:右侧中野。低于阈值,但不能排除:胸膜增厚。"
    assert lungs == "肺:肺结节,概率 50 %:中央中野。"


def test_every_line_of_the_table_has_both_languages_with_the_same_values() -> None:
    for english, chinese in PHRASES.values():
        assert sorted(set(re.findall(r"{(\w+)", english))) == sorted(set(re.findall(r"{(\w+)", chinese)))
        assert not re.search(r"[一-鿿]", english)
        assert not re.search(r"[A-Za-z]{4,}", re.sub(r"{[^}]*}|ReadFirst", "", chinese))
    assert all(len(pair) == 2 for pair in ORGANS.values())


def test_the_shipped_labels_and_organs_have_chinese_names() -> None:
    for label in (label for card in shipped() for label in card.labels):
        assert label.code.value in FINDINGS_ZH, label.name
        assert label.site.value in ORGANS, label.name


@pytest.mark.parametrize(
    ("location", "english", "chinese"),
    [
        (Location("right", "lower"), "right lower zone", "右侧下野"),
        (Location("central", "upper"), "central upper zone", "中央上野"),
        (
            Location("left part", "upper", of_patient=False),
            "upper third, left part of the picture",
            "图像上三分之一处左部",
        ),
        (
            Location("left", z=-85.0, image=6),
            "left, slice at z = -85.0 mm (image 6)",
            "左侧,层面 z = -85.0 mm(图像 6)",
        ),
        (Location("midline", z=1.0, image=2), "midline, slice at z = 1.0 mm (image 2)", "中线,层面 z = 1.0 mm(图像 2)"),
    ],
)
def test_places(location: Location, english: str, chinese: str) -> None:
    assert (place(location, "en"), place(location, "zh")) == (english, chinese)
    assert (location.side is None) == (location.across not in ("right", "left"))


def test_a_side_is_said_of_the_patient_alone() -> None:
    unknown = phantoms.image_source(phantoms.radiograph(PatientOrientation=None))
    for finding in phantoms.two_findings(unknown):
        for region in finding.regions:
            assert region.location.side is None
            assert wording.place(region.location).endswith("of the picture")
            assert wording.place(region.location, "zh").startswith("图像")


def test_a_score_is_no_percentage() -> None:
    source = phantoms.ct_source()
    finding, *_ = phantoms.two_findings(source)
    words = wording.present_sentence(finding, finding.regions, phantoms.context("volume"), "en")
    assert words == "Pneumothorax, score 0.87: midline, slice at z = -87.5 mm (image 7)."


@pytest.mark.parametrize(
    ("values", "quantity", "expected"),
    [
        ((0.87, 0.3), "probability", ("87 %", "30 %")),
        ((0.114, 0.1142), "probability", ("11.40 %", "11.42 %")),
        ((0.4996, 0.5), "score", ("0.4996", "0.5000")),
        ((0.5, 0.5), "score", ("0.50", "0.50")),
    ],
)
def test_a_number_and_its_threshold_never_read_alike_where_they_differ(
    values: tuple[float, float], quantity: str, expected: tuple[str, str]
) -> None:
    finding, *_ = phantoms.two_findings(phantoms.ct_source())
    probability, threshold = values
    assert wording.compared(replace(finding, probability=probability, threshold=threshold), quantity) == expected
