"""The tables of rules (rules.toml and others): read, checked, and their phrases built into one matcher.

A table with `extends` adds its cues, stops and headings to those of another, and has labels of its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import DataError
from models.report_labels.phrases import Matcher, parse
from models.report_labels.spelling import Speller

TABLE = Path(__file__).with_name("rules.toml")
Findings = Literal["chest-xray", "chest-ct"]
Language = Literal["en", "zh"]
TABLES: dict[Findings, dict[Language, Path]] = {
    "chest-xray": {"en": TABLE, "zh": TABLE.with_name("chest_xray_zh.toml")},
    "chest-ct": {"en": TABLE.with_name("chest_ct.toml")},
}
NO_FINDING = "No_Finding"


def _parsed(phrase: str) -> str:
    parse(phrase)
    return phrase


Phrase = Annotated[str, AfterValidator(_parsed)]
Phrases = tuple[Phrase, ...]
Some = Annotated[Phrases, Field(min_length=1)]
Reach = Annotated[int, Field(ge=0)]


class Kind(StrEnum):
    """What a phrase of the table does in a sentence."""

    MENTION = "mention"
    EXCEPTION = "exception"
    NORMAL = "normal"
    HINT = "hint"
    NEGATION = "negation"
    UNCERTAINTY = "uncertainty"
    NO_CUE = "no cue"
    STOP = "stop"
    NEGATION_STOP = "negation stop"
    LOCATION = "location"
    COMPARISON = "comparison"


@dataclass(frozen=True, slots=True)
class PhraseRule:
    """One phrase and its place in the table."""

    kind: Kind
    phrase: str
    label: str = ""
    """Of a mention, hint, normal or exception; the name of a place or comparison."""
    forward: bool = True
    """Of a cue: it holds for what follows it, not for what is before it."""
    reach: int = 0
    """Of a cue: words that may lie between it and the mention."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelRules(_Table):
    """One label: what names it, and what only looks like it."""

    name: Annotated[str, Field(min_length=1)]
    mentions: Some
    hints: Phrases = ()
    """Phrases that describe it and do not name it: uncertain at most."""
    normal: Phrases = ()
    """Phrases that name the label as absent."""
    exceptions: Phrases = ()
    """Longer phrases that hold one of the above and mean something else."""


class Cue(_Table):
    """Phrases that turn mentions near them into absent or uncertain ones."""

    direction: Literal["forward", "backward"]
    """forward: what follows the phrase; backward: what stands before it."""
    reach: Reach
    """Words that may lie between the phrase and the mention."""
    phrases: Some


class Location(_Table):
    """Where a finding lies."""

    name: Annotated[str, Field(min_length=1)]
    side: Literal["", "left", "right", "both"] = ""
    phrases: Some


class Comparison(_Table):
    """How a finding compares with an earlier examination."""

    name: Literal["new", "larger", "smaller", "unchanged", "resolved"]
    phrases: Some


class Headings(_Table):
    """Headings of a report, in lower case."""

    read: Annotated[tuple[str, ...], Field(min_length=1)]
    skip: tuple[str, ...]


class Rules(_Table):
    """The whole table."""

    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
    language: Language = "en"
    """Text in another one is refused."""
    headings: Headings
    negation: Annotated[tuple[Cue, ...], Field(min_length=1)]
    uncertainty: tuple[Cue, ...]
    no_cue: Phrases
    """Phrases that hold a cue's words and are none."""
    stops: Phrases
    """Phrases at which the reach of every cue ends."""
    negation_stops: Phrases
    """Phrases at which the reach of a negation ends, too."""
    no_slips: tuple[str, ...]
    """Words that are right although they are one letter off a word of a mention."""
    locations: tuple[Location, ...] = ()
    prepositions: tuple[str, ...] = ()
    """Words after which a place belongs to what stands before them."""
    comparisons: tuple[Comparison, ...] = ()
    labels: Annotated[tuple[LabelRules, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_differ(self) -> Rules:
        names = [label.name for label in self.labels]
        if len(set(names)) != len(names) or NO_FINDING in names:
            raise ValueError(f"labels: each name once, and {NO_FINDING} is not one of them: it follows from the others")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The labels in the order of the table, No_Finding last."""
        return (*(label.name for label in self.labels), NO_FINDING)

    def all(self) -> Iterator[PhraseRule]:
        """Every phrase of the table but the headings."""
        for label in self.labels:
            for kind, phrases in _of_label(label):
                yield from (PhraseRule(kind, phrase, label.name) for phrase in phrases)
        for kind, cues in ((Kind.NEGATION, self.negation), (Kind.UNCERTAINTY, self.uncertainty)):
            for cue in cues:
                forward = cue.direction == "forward"
                yield from (PhraseRule(kind, phrase, forward=forward, reach=cue.reach) for phrase in cue.phrases)
        yield from (PhraseRule(Kind.NO_CUE, phrase) for phrase in self.no_cue)
        yield from (PhraseRule(Kind.STOP, phrase) for phrase in self.stops)
        yield from (PhraseRule(Kind.NEGATION_STOP, phrase) for phrase in self.negation_stops)
        for kind, named in ((Kind.LOCATION, self.locations), (Kind.COMPARISON, self.comparisons)):
            yield from (PhraseRule(kind, phrase, one.name) for one in named for phrase in one.phrases)

    def matcher(self) -> Matcher[PhraseRule]:
        """One matcher of every phrase."""
        return Matcher((rule.phrase, rule) for rule in self.all())

    def speller(self) -> Speller:
        """Corrects slips towards the words that name labels; those of cues are short."""
        named = (rule.phrase for rule in self.all() if rule.kind in {Kind.MENTION, Kind.HINT})
        return Speller((element for phrase in named for element in parse(phrase) if not element.gap), self.no_slips)


def _of_label(label: LabelRules) -> tuple[tuple[Kind, Phrases], ...]:
    return (
        (Kind.MENTION, label.mentions),
        (Kind.HINT, label.hints),
        (Kind.NORMAL, label.normal),
        (Kind.EXCEPTION, label.exceptions),
    )


def read_rules(path: Path = TABLE) -> Rules:
    """Read a table of rules.

    Raises
    ------
    DataError
        It is missing, is no TOML, or a key or phrase in it is wrong; the sentence names key and file.
    """
    table = _table(path)
    try:
        return Rules.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the table"
        raise DataError(f"{path}: {key}: {first['msg'].removeprefix('Value error, ')}.") from error


def _table(path: Path) -> dict[str, Any]:
    """The keys of a table and of the one that it extends, which lies beside it."""
    try:
        own = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path} cannot be read as a table of rules (TOML): {error}.") from error
    extended = own.pop("extends", None)
    return own if extended is None else _joined(_table(path.with_name(str(extended))), own)


def _joined(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Lists of cues, stops and headings go on; everything else is the table's own."""
    joined = {**base, **own}
    for key in ("no_cue", "stops", "negation_stops", "no_slips", "negation", "uncertainty"):
        joined[key] = [*base.get(key, []), *own.get(key, [])]
    heads = own.get("headings", {})
    joined["headings"] = {key: [*names, *heads.get(key, [])] for key, names in base["headings"].items()}
    return joined
