from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from models import packages
from models.errors import DataError
from models.report_labels.labeler import Assertion, Labeler
from models.report_labels.phrases import tokens
from models.report_labels.rules import TABLE, Kind, PhraseRule, Rules, read_rules

RULES = read_rules()
LABELER = Labeler(RULES)
BARE = Labeler(
    RULES.model_copy(update={"labels": tuple(one.model_copy(update={"exceptions": ()}) for one in RULES.labels)})
)
TEXT = TABLE.read_text(encoding="utf-8")


def examples(phrase: str) -> Iterator[str]:
    """The phrase with the first word of each choice, then with each other word in turn; optional words are there."""
    places = [word.removesuffix("?").split("|") for word in phrase.split() if word != "..."]
    first = [place[0] for place in places]
    for at, place in enumerate(places):
        for word in place[1:] if at else place:
            yield " ".join([*first[:at], word, *first[at + 1 :]]).replace("*", "")


CASES = [(rule, example) for rule in RULES.all() for example in examples(rule.phrase)]


def of(*kinds: Kind) -> pytest.MarkDecorator:
    chosen = [(rule, example) for rule, example in CASES if rule.kind in kinds]
    return pytest.mark.parametrize(("rule", "example"), chosen, ids=[example for _, example in chosen])


def test_the_labels_are_those_that_the_shipped_model_is_trained_for() -> None:
    card = packages.load_card(packages.ZOO / "chest-xray")
    assert RULES.names == (*(label.name for label in card.labels), "No_Finding")


def test_no_phrase_stands_twice() -> None:
    seen = [(rule.kind, rule.label, rule.forward, rule.phrase) for rule in RULES.all()]
    assert len(set(seen)) == len(seen)


@of(Kind.MENTION, Kind.HINT, Kind.NORMAL)
def test_every_name_names_its_label(rule: PhraseRule, example: str) -> None:
    wanted = {Kind.MENTION: Assertion.PRESENT, Kind.HINT: Assertion.UNCERTAIN, Kind.NORMAL: Assertion.ABSENT}
    assert LABELER.label(example).assertions[rule.label] is wanted[rule.kind]


@of(Kind.EXCEPTION)
def test_every_exception_takes_out_a_name(rule: PhraseRule, example: str) -> None:
    tried = example, f"prominent {example}", f"{example} of the lower spine", example.replace(" ", " of a lower ")
    named = [sentence for sentence in tried if rule.label in BARE.label(sentence).because]
    assert named
    assert rule.label not in LABELER.label(named[0]).because


@of(Kind.NEGATION, Kind.UNCERTAINTY)
def test_every_cue_holds_on_its_side(rule: PhraseRule, example: str) -> None:
    wanted = Assertion.ABSENT if rule.kind is Kind.NEGATION else Assertion.UNCERTAIN
    sentence = f"{example} effusion" if rule.forward else f"effusion {example}"
    mention = LABELER.label(sentence).because["Effusion"]
    assert (mention.assertion, mention.cue) == (wanted, " ".join(tokens(example)))


@of(Kind.NEGATION, Kind.UNCERTAINTY)
def test_every_cue_ends_after_its_reach(rule: PhraseRule, example: str) -> None:
    filler = " ".join(["grey"] * (rule.reach + 1))
    sentence = f"{example} {filler} effusion" if rule.forward else f"effusion {filler} {example}"
    mention = LABELER.label_texts([sentence]).because["Effusion"]
    assert mention.cue != " ".join(tokens(example))


@of(Kind.NO_CUE)
def test_every_no_cue_takes_out_a_cue(rule: PhraseRule, example: str) -> None:
    words = tokens(example)
    hits = RULES.matcher().find(words)
    assert any(hit.value == rule and hit.end - hit.start == len(words) for hit in hits)
    cues = RULES.matcher().find(["has", *words])
    assert any(hit.value.kind in {Kind.NEGATION, Kind.UNCERTAINTY} for hit in cues)
    for sentence in (f"{example} effusion", f"effusion has {example}"):
        assert LABELER.label(sentence).assertions["Effusion"] is Assertion.PRESENT


@of(Kind.STOP, Kind.NEGATION_STOP)
def test_every_stop_ends_a_negation(rule: PhraseRule, example: str) -> None:
    assertions = LABELER.label(f"no pneumothorax {example} effusion").assertions
    assert (assertions["Pneumothorax"], assertions["Effusion"]) == (Assertion.ABSENT, Assertion.PRESENT)
    possible = LABELER.label(f"possible pneumothorax {example} effusion").assertions["Effusion"]
    assert (possible is Assertion.PRESENT) == (rule.kind is Kind.STOP)


@pytest.mark.parametrize("heading", [*RULES.headings.read, *RULES.headings.skip])
def test_every_heading_is_known(heading: str) -> None:
    counts = heading in RULES.headings.read
    report = f"{heading.title()}: Nodule.\nImpression: Effusion."
    assert ("Nodule" in LABELER.label(report).because) == counts


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            'mentions = ["consolid*"]',
            'mentions = ["(consolid)"]',
            r'labels\.2\.mentions\.0: "\(consolid\)" in the phrase',
        ),
        ('mentions = ["consolid*"]', "mentions = []", r"labels\.2\.mentions"),
        ('name = "Mass"', 'name = "Nodule"', "each name once"),
        ('direction = "forward"', 'direction = "sideways"', r"negation\.0\.direction"),
        ("no_cue = [", "nocue = [", "no_cue|nocue"),
        ("version =", "version", "cannot be read as a table of rules"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEXT
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=words) as caught:
        read_rules(path)
    assert str(path) in str(caught.value)


def test_a_table_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.toml cannot be read"):
        read_rules(tmp_path / "none.toml")


def test_one_may_bring_a_table_of_one_s_own() -> None:
    label = RULES.labels[0].model_copy(update={"name": "Fracture", "mentions": ("fractur*",)})
    own = Rules.model_validate({**RULES.model_dump(), "labels": [label.model_dump()]})
    assert Labeler(own).label("Old rib fractures, effusion.").assertions == {
        "Fracture": Assertion.PRESENT,
        "No_Finding": Assertion.ABSENT,
    }
