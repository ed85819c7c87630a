from __future__ import annotations

from models.report_labels.sentences import sentences


def test_full_stops_end_sentences_but_not_decimals_and_abbreviations() -> None:
    text = "A 1.5 cm nodule vs. a vessel. No mass.The heart is large? Yes (really.) Told Dr. Grey."
    assert sentences(text) == [
        *("A 1.5 cm nodule vs. a vessel.", "No mass.", "The heart is large?", "Yes (really.", "Told Dr. Grey."),
    ]


def test_numbers_and_bullets_of_lists_are_taken_away() -> None:
    assert sentences("1. Big heart. 2. No mass.") == ["Big heart.", "No mass."]
    assert sentences("1. Big heart\n2) No mass\n- Effusion\n• Edema") == ["Big heart", "No mass", "Effusion", "Edema"]


def test_a_bullet_ends_even_a_full_line() -> None:
    wide = "x" * 60
    assert sentences(f"- {wide}\n- {wide}\n* {wide}\n12) {wide}") == [wide] * 4


def test_a_short_line_ends_a_sentence_and_a_full_one_does_not() -> None:
    assert sentences("No effusion\nNodule on the left") == ["No effusion", "Nodule on the left"]
    wrapped = "There is, as far as this portable film can show it, no\nevidence of a pneumothorax on the left side."
    assert len(sentences(wrapped)) == 1
    assert len(sentences(wrapped.upper())) == 1


def test_an_empty_line_ends_a_sentence() -> None:
    wide = "x" * 60
    assert sentences(f"{wide}\n\n{wide}") == [wide, wide]
    assert sentences(" \n ") == []
