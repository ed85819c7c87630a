from __future__ import annotations

import pytest

from models.report_labels.phrases import Found, Matcher, parse, tokens


def spans(phrase: str, sentence: str) -> list[str]:
    words = tokens(sentence)
    return [" ".join(words[hit.start : hit.end]) for hit in Matcher([(phrase, None)]).find(words)]


def test_tokens_are_lower_case_words_and_punctuation() -> None:
    assert tokens("Air-space opacity (1.5 cm), can't 2.There") == [
        *("air", "space", "opacity", "(", "1.5", "cm", ")", ",", "can't", "2", "there"),
    ]


@pytest.mark.parametrize(
    ("phrase", "sentence", "found"),
    [
        ("effus*", "Effusions and an effusion", ["effusions", "effusion"]),
        ("effus*", "no fusion", []),
        ("left|right lung", "Right lung, left arm", ["right lung"]),
        ("heart size? normal", "heart normal; heart size normal", ["heart normal", "heart size normal"]),
        ("air-space", "AIR SPACE", ["air space"]),
        ("heart ... enlarged", "the heart is quite clearly now enlarged", ["heart is quite clearly now enlarged"]),
        ("heart ... enlarged", "heart is a b c d enlarged", []),  # five words
        ("heart ... enlarged", "heart normal, aorta enlarged", []),  # never over a comma
        ("heart ... large", "heart large or large", ["heart large or large"]),  # as long as it can be
        (": none", "effusion: none", [": none"]),
    ],
)
def test_a_phrase_is_found(phrase: str, sentence: str, found: list[str]) -> None:
    assert spans(phrase, sentence) == found


@pytest.mark.parametrize("phrase", ["", "heart? size", "... heart", "heart ...", "he(art", "a||b", "*", "size/shape"])
def test_a_phrase_in_another_form_is_refused(phrase: str) -> None:
    with pytest.raises(ValueError, match="phrase"):
        parse(phrase)


def test_each_phrase_brings_its_own_value() -> None:
    matcher = Matcher([("no", 1), ("no evidence of", 2)])
    assert matcher.find(tokens("no evidence of mass")) == [Found(0, 1, 1), Found(0, 3, 2)]
