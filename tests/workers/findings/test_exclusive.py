"""Exclusive classes in findings, sentences and every kind of result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from models.card import Card
from tests.workers import results_phantoms as phantoms
from workers.dicom.content_tree import content_items
from workers.findings import statement, wording
from workers.findings.analysed import AnalysedStudy
from workers.findings.equipment import region_parameters
from workers.findings.findings import Finding, findings_of
from workers.results.registry import kinds

NORMAL = 2


def card(kind: str = "image") -> Card:
    """Pneumothorax, Nodule, and a class that is no finding."""
    table = phantoms.card(kind).model_dump() | {"quantity": "probability", "activation": "softmax"}
    table["labels"] = [label | {"operating_point": 0.0, "triage": None} for label in table["labels"]]
    table["labels"][NORMAL] |= {"name": "Normal", "code": ["17621005", "SCT", "Normal"], "finding": False}
    return Card.model_validate(table)


def study(probabilities: tuple[float, ...], kind: str = "image") -> AnalysedStudy:
    """Glowing maps everywhere: what has no region has none by its class alone."""
    made = phantoms.made(kind)
    (one,) = made.sources
    context = replace(one.context, card=card(kind))
    shape = phantoms.saliency_shape(one.source)
    saliency = np.stack([phantoms.blob(shape, tuple(0.4 * length for length in shape), 3.0)] * 3)
    prediction = phantoms.prediction(saliency, probabilities)
    prediction = replace(prediction, labels=tuple(label.name for label in context.card.labels))
    found = findings_of(prediction, context.card, one.source, context)
    return AnalysedStudy((replace(one, findings=found, context=context),), context)


def findings(probabilities: tuple[float, ...]) -> tuple[Finding, ...]:
    return study(probabilities).sources[0].findings


def test_the_decided_class_alone_is_present_and_has_regions() -> None:
    first, second, third = findings((0.45, 0.35, 0.2))
    assert [one.present for one in (first, second, third)] == [True, False, False]
    assert first.regions and not second.regions and not third.regions
    assert (first.threshold, second.threshold) == (pytest.approx(0.35), pytest.approx(0.45))
    assert "is the highest of 3 exclusive classes; the next has 35 %" in statement.finding_sentences(first, (), card())
    assert "below that of another of 3 exclusive classes" in statement.finding_sentences(second, (), card())


def test_a_class_that_is_no_finding_is_text_and_never_a_region() -> None:
    found = findings((0.1, 0.2, 0.7))
    assert not any(one.present or one.regions for one in found)
    assert found[NORMAL].decided
    lines = statement.summary(found, "probability")
    assert lines == (
        "PRESENT: none.",
        "Not present: Pneumothorax 10 %, Nodule 20 %.",
        "No finding: Normal is the most probable class, probability 70 %.",
    )
    assert statement.summary(findings((0.8, 0.1, 0.1)), "probability")[0] == "PRESENT: Pneumothorax 80 %."
    report = wording.report([(one, ()) for one in found], replace(phantoms.context(), card=card()), "zh")
    assert any("无所见:概率最高的类别为正常" in line for line in report)


def test_no_class_is_said_to_be_excluded() -> None:
    measured = {"label": "Nodule", "data": "validation", "positives": 90, "images": 200, "auc": 0.99,
                "interval": (0.98, 1.0), "sensitivity": 1.0, "specificity": 0.9}  # fmt: skip
    for activation, expected in (("sigmoid", True), ("softmax", False)):
        table = card().model_dump() | {"activation": activation}
        table["labels"] = [
            label | {"finding": label["finding"] or activation == "sigmoid"} for label in table["labels"]
        ]
        table["training"]["measured"] = [measured]
        one = Card.model_validate(table)
        assert wording.can_exclude(one, one.labels[1]) == expected


def test_a_region_names_the_rule_that_decided() -> None:
    context = replace(phantoms.context(), card=card())
    assert region_parameters(context, context.card.labels[0])[1] == "highest probability of 3 exclusive classes"


@pytest.mark.parametrize("kind", ["image", "volume"])
@pytest.mark.parametrize("probabilities", [(0.6, 0.3, 0.1), (0.1, 0.2, 0.7)])
def test_every_result_is_made_and_passes_the_gate(kind: str, probabilities: tuple[float, ...], tmp_path: Path) -> None:
    made = dict(phantoms.objects(study(probabilities, kind), set(kinds())))
    for name, dataset in made.items():
        phantoms.passed(dataset, tmp_path / f"{name}.dcm")
    normal = probabilities[NORMAL] > 0.5
    assert ("segmentation" in made) == (not normal)
    words = texts(made["statement"])
    assert any("No finding: Normal is the most probable class" in one for one in words) == normal
    assert not any(one.startswith("Normal:") for one in words)


def texts(dataset: Dataset) -> list[str]:
    """Every text of a document."""
    return [str(item.TextValue) for item in content_items(dataset) if "TextValue" in item]
