from __future__ import annotations

import pytest

from models.report_labels.rules import read_rules
from models.report_labels.spelling import one_off

SPELLER = read_rules().speller()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("pnuemothorax", "pneumothora"),
        ("pneumothroax", "pneumothora"),
        ("efusion", "effusion"),
        ("effussions", "effusion"),
        ("atelactasis", "atelecta"),
        ("consoldation", "consolid"),
        ("cardiomegally", "cardiomegaly"),
    ],
)
def test_one_slip_is_put_right(written: str, read: str) -> None:
    assert SPELLER.correct(written).startswith(read)


@pytest.mark.parametrize(
    "word", ["hemithorax", "fusion", "infusion", "diffusion", "module", "effusions", "emphysematous"]
)
def test_another_word_stays(word: str) -> None:
    assert SPELLER.correct(word) == word


def test_one_off_is_one_letter() -> None:
    assert all(one_off(word, "nodule") for word in ("nodul", "nodulee", "nodile", "noudle", "noodule"))
    assert not any(one_off(word, "nodule") for word in ("nodule", "module", "nod", "nudole", "nodullee"))
