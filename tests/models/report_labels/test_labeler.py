"""Sentences are our own; none is of Open-I."""

from __future__ import annotations

import time

import pytest

from models.report_labels.labeler import Assertion, Labeler
from models.report_labels.rules import read_rules
from tests.waiting import at_most

LABELER = Labeler(read_rules())
OF_MARK = {"+": Assertion.PRESENT, "?": Assertion.UNCERTAIN, "-": Assertion.ABSENT}


def said(report: str) -> dict[str, Assertion]:
    return {name: mention.assertion for name, mention in LABELER.label(report).because.items()}


def meant(words: str) -> dict[str, Assertion]:
    return {word[1:]: OF_MARK[word[0]] for word in words.split()}


@pytest.mark.parametrize(
    ("sentence", "labels"),
    [
        ("A nodule lies in the left upper lobe.", "+Nodule"),
        # Negation and where it ends.
        ("There is no pneumothorax or effusion, but a nodule.", "-Pneumothorax -Effusion +Nodule"),
        ("No consolidation, effusion, or pneumothorax.", "-Consolidation -Effusion -Pneumothorax"),
        ("No effusion is seen, and the heart is enlarged.", "-Effusion +Cardiomegaly"),
        ("No pneumothorax and there is edema.", "-Pneumothorax +Edema"),
        ("No pneumothorax, small effusion.", "-Pneumothorax +Effusion"),
        ("No pneumothorax; effusion on the right.", "-Pneumothorax +Effusion"),
        ("Right effusion without pneumothorax.", "+Effusion -Pneumothorax"),
        ("The lungs are free of infiltrate.", "-Infiltration"),
        ("Neither mass nor nodule.", "-Mass -Nodule"),
        ("Pneumothorax is not seen.", "-Pneumothorax"),
        ("The effusion has completely resolved.", "-Effusion"),
        ("Pneumothorax: none. Effusion: small.", "-Pneumothorax +Effusion"),
        ("Pneumonia is unlikely.", "-Pneumonia"),
        ("History of pneumonia.", "-Pneumonia"),
        ("The heart is not enlarged.", "-Cardiomegaly"),
        ("There is no enlargement of the heart.", "-Cardiomegaly"),
        # Words of negation that negate nothing here.
        ("No change in the effusion.", "+Effusion"),
        ("No significant interval change in the atelectasis.", "+Atelectasis"),
        ("The effusion has not changed.", "+Effusion"),
        ("The effusion has not resolved.", "+Effusion"),
        ("Almost completely resolved pneumothorax.", "+Pneumothorax"),
        ("Not only effusion but also edema.", "+Effusion +Edema"),
        ("No increase in the mass.", "+Mass"),
        # Uncertainty.
        ("Cannot exclude a small pneumothorax.", "?Pneumothorax"),
        ("Pneumonia cannot be entirely excluded.", "?Pneumonia"),
        ("This may represent infiltrate or pneumonia.", "?Infiltration ?Pneumonia"),
        ("Opacity that is concerning for pneumonia.", "?Pneumonia"),
        ("Differential diagnosis includes edema, fibrosis, and pneumonia.", "?Edema ?Fibrosis ?Pneumonia"),
        ("Effusion and possible nodule.", "+Effusion ?Nodule"),
        ("Effusion suspected.", "?Effusion"),
        ("Fibrosis versus edema.", "+Fibrosis ?Edema"),
        ("No definite nodule.", "-Nodule"),
        ("Probable effusion.", "+Effusion"),
        ("Most suggestive of edema.", "+Edema"),
        ("Nodular opacity.", "?Nodule"),
        # What only looks like it.
        ("Pericardial effusion.", ""),
        ("Subcutaneous emphysema.", ""),
        ("Cystic fibrosis.", ""),
        ("Collapse of the vertebra.", ""),
        ("Mass effect.", ""),
        ("A breast mass and a lung mass.", "+Mass"),
        # The heart.
        ("Heart size is normal.", "-Cardiomegaly"),
        ("The heart is at the upper limits of normal.", "-Cardiomegaly"),
        ("Heart size is normal or mildly enlarged.", "+Cardiomegaly"),
        ("The cardiac silhouette is enlarged.", "+Cardiomegaly"),
        ("Borderline heart size.", "+Cardiomegaly"),
        # How it is written.
        ("NO PNEUMOTHORAX. MODERATE CARDIOMEGALY.", "-Pneumothorax +Cardiomegaly"),
        ("Small pnuemothorax, large efusion.", "+Pneumothorax +Effusion"),
        ("Pleural-thickening at both apices.", "+Pleural_Thickening"),
        ("Fluid level in the left hemithorax.", ""),
        ("Hydropneumothorax.", "+Effusion +Pneumothorax"),
    ],
)
def test_a_sentence_gives_its_labels(sentence: str, labels: str) -> None:
    assert said(sentence) == meant(labels)


def test_of_two_mentions_the_stronger_counts() -> None:
    assert said("No effusion on the left. Effusion on the right.") == meant("+Effusion")
    assert said("Effusion on the right. No effusion on the left.") == meant("+Effusion")
    assert said("No nodule on the left. Possible nodule on the right.") == meant("?Nodule")
    assert said("FINDINGS: Possible pneumonia.\nIMPRESSION: Pneumonia.") == meant("+Pneumonia")


def test_why_the_patient_came_is_not_found() -> None:
    report = (
        "HISTORY: Pneumonia, mass.\nCOMPARISON: effusion in May\nFINDINGS: Clear lungs.\nIMPRESSION: Hiatal hernia."
    )
    assert said(report) == meant("+Hernia")


def test_a_list_keeps_its_items_apart() -> None:
    assert said("IMPRESSION:\n1. No pneumothorax\n2. Effusion\n- nodule") == meant("-Pneumothorax +Effusion +Nodule")
    assert said("No pneumothorax\nEffusion on the left") == meant("-Pneumothorax +Effusion")


def test_the_reason_is_kept() -> None:
    labels = LABELER.label("The heart is fine. There is no evidence of an effusion on the left.")
    because = labels.because["Effusion"]
    assert (because.words, because.cue) == ("effusion", "no")
    assert because.sentence == "There is no evidence of an effusion on the left."


@pytest.mark.parametrize(
    ("report", "assertion"),
    [
        ("The lungs are clear.", Assertion.PRESENT),
        ("No effusion.", Assertion.PRESENT),
        ("Rib fracture.", Assertion.PRESENT),  # none of the 14
        ("Effusion.", Assertion.ABSENT),
        ("Possible effusion.", Assertion.UNCERTAIN),
        ("", Assertion.NOT_MENTIONED),
        ("INDICATION: cough", Assertion.NOT_MENTIONED),
    ],
)
def test_no_finding_follows_from_the_others(report: str, assertion: Assertion) -> None:
    labels = LABELER.label(report)
    assert labels.assertions["No_Finding"] is assertion
    assert labels.readable == (assertion is not Assertion.NOT_MENTIONED)


@pytest.mark.parametrize(("uncertain", "value"), [(Assertion.PRESENT, True), (Assertion.ABSENT, False)])
def test_uncertain_counts_as_one_chooses(uncertain: Assertion, value: bool) -> None:
    labels = LABELER.label("Possible nodule. Effusion. No mass.")
    assert labels.value("Nodule", uncertain) is value
    assert labels.value("Effusion", uncertain)
    assert not labels.value("Mass", uncertain)
    assert not labels.value("No_Finding", Assertion.ABSENT)


def test_it_labels_hundreds_of_reports_in_a_second() -> None:
    report = "FINDINGS: " + "The heart is not enlarged and there is no effusion. " * 6 + "IMPRESSION: No pneumonia."
    start = time.perf_counter()
    for _ in range(300):
        LABELER.label(report)
    assert time.perf_counter() - start < at_most(1.5)  # about 0.05 s on one core of 2024
