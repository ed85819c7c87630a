from __future__ import annotations

import pytest

from node.plurals import counted


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "peer", "0 peers"),
        (1, "peer", "1 peer"),
        (2, "peer", "2 peers"),
        (1, "study", "1 study"),
        (9, "day", "9 days"),
        (3, "study", "3 studies"),
    ],
)
def test_a_noun_has_the_form_of_its_number(number: int, noun: str, words: str) -> None:
    assert counted(number, noun) == words
