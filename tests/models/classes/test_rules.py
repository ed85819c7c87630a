from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from models.card import Card
from models.cardfile import card_text, read_card
from tests.models import slice_phantoms
from tests.models.test_card import written


def changed(index: int, **more: Any) -> list[dict[str, Any]]:
    """The labels of the phantom card, one of them changed."""
    labels = [label.model_dump() for label in slice_phantoms.card().labels]
    labels[index] |= more
    return labels


def test_a_card_of_exclusive_classes_is_read_back(tmp_path: Any) -> None:
    card = slice_phantoms.card()
    again = read_card(written(tmp_path, card_text(card)))
    assert again == card
    assert [label.finding for label in again.labels] == [False, True, True]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"activation": "sigmoid"}, "Normal: finding = false is for exclusive classes"),
        ({"quantity": "score"}, 'needs two labels or more, a finding among them, and quantity = "probability"'),
        ({"labels": changed(1)[:1]}, "needs two labels or more"),
        ({"labels": changed(1, calibration=[1.0, 0.0, 0.3])}, "a pivot has no meaning"),
        ({"labels": changed(1, calibration=[-1.0, 0.0])}, "a slope above 0"),
        ({"activation": "hardmax"}, "'softmax' or 'ordinal'"),
    ],
)
def test_what_exclusive_classes_cannot_be_is_said(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Card.model_validate(slice_phantoms.card().model_dump() | wrong)
