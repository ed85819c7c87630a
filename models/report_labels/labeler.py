"""A report to its labels: mention, then negation, then uncertainty, then the report's own assertion.

The way is that of NegEx (Chapman et al., J Biomed Inform 2001) and of the CheXpert labeler (Irvin et al., AAAI 2019):
phrases that name a finding, cues that reach forward or backward over a few words, and "present" before "uncertain"
before "absent" when a report has several. Rules and code are our own; see rules.toml.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from models.report_labels.languages import language_of, refusal
from models.report_labels.locations import of_each
from models.report_labels.phrases import Found, tokens
from models.report_labels.rules import NO_FINDING, Kind, PhraseRule, Rules
from models.report_labels.sections import Section, SectionSplitter
from models.report_labels.sentences import sentences

Hit = Found[PhraseRule]
CUES = frozenset({Kind.NEGATION, Kind.UNCERTAINTY})
STOPS = {
    Kind.NEGATION: frozenset({Kind.STOP, Kind.NEGATION_STOP}),
    Kind.UNCERTAINTY: frozenset({Kind.STOP}),
}
NAMES = frozenset({Kind.MENTION, Kind.HINT, Kind.NORMAL})


class Assertion(StrEnum):
    """Assertion status of a label in a report (NegEx, i2b2 2010); each outweighs those after it."""

    PRESENT = "present"
    UNCERTAIN = "uncertain"
    ABSENT = "absent"
    NOT_MENTIONED = "not mentioned"


STRENGTH = {assertion: rank for rank, assertion in enumerate(reversed(Assertion))}


@dataclass(frozen=True, slots=True)
class Mention:
    """One place where a label is named, and what was made of it."""

    label: str
    assertion: Assertion
    words: str
    """As the table read them: in lower case, slips put right."""
    cue: str
    """The words that made it absent or uncertain, or ""."""
    sentence: str
    locations: tuple[str, ...] = ()
    """Names of the table's locations that it is said to lie in."""
    comparison: str = ""
    """new, larger, smaller, unchanged or resolved, beside an earlier examination."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The assertions of one report, with the mention that decided each."""

    assertions: dict[str, Assertion]
    because: dict[str, Mention]
    mentions: tuple[Mention, ...] = ()
    refused: str = ""
    """Why nothing was read: the text is in a language that the rules do not know."""

    @property
    def readable(self) -> bool:
        """There was text to read."""
        return self.assertions[NO_FINDING] is not Assertion.NOT_MENTIONED

    def value(self, label: str, uncertain: Assertion) -> bool:
        """Whether the label counts as present where an uncertain finding counts as `uncertain`.

        An uncertain No_Finding never does: a doubtful image is no example of a normal one.
        """
        assertion = self.assertions[label]
        if assertion is Assertion.UNCERTAIN and label != NO_FINDING:
            return uncertain is Assertion.PRESENT
        return assertion is Assertion.PRESENT


class Labeler:
    """Labels reports by a table of rules; build it once."""

    def __init__(self, rules: Rules) -> None:
        self.names, self.language = rules.names, rules.language
        self.sides = {place.name: place.side for place in rules.locations}
        self._prepositions = frozenset(rules.prepositions)
        self._matcher = rules.matcher()
        self._speller = rules.speller()
        self._splitter = SectionSplitter(rules.headings)

    def sections(self, report: str) -> tuple[Section, ...]:
        """The sections of plain text that count."""
        return self._splitter.read(self._splitter.split(report))

    def label(self, report: str) -> Labels:
        """The labels of plain text; headings, where there are any, choose what is read.

        Text in another language than that of the rules is refused: nothing is mentioned in it, not even No_Finding.
        """
        texts = [section.text for section in self.sections(report)]
        refused = refusal(" ".join(texts), self.language, self._known)
        return replace(self.label_texts([]), refused=refused) if refused else self.label_texts(texts)

    def _known(self, word: str) -> bool:
        """Whether the word is one of a phrase of the table."""
        return self._matcher.knows(word)

    def label_texts(self, texts: Sequence[str]) -> Labels:
        """The labels of texts that all count; where there is no text, nothing is mentioned, not even No_Finding."""
        because: dict[str, Mention] = {}
        mentions = tuple(mention for text in texts for mention in self.mentions(text))
        for mention in mentions:
            held = because.get(mention.label)
            if held is None or STRENGTH[mention.assertion] > STRENGTH[held.assertion]:
                because[mention.label] = mention
        assertions = {
            name: because[name].assertion if name in because else Assertion.NOT_MENTIONED for name in self.names
        }
        if any(texts):
            assertions[NO_FINDING] = _no_finding(assertions)
        return Labels(assertions, because, mentions)

    def mentions(self, text: str) -> Iterator[Mention]:
        """Every mention in a text, in its order."""
        for sentence in sentences(text):
            yield from self._in_sentence(sentence)

    def _in_sentence(self, sentence: str) -> Iterator[Mention]:
        words = [self._speller.correct(word) for word in tokens(sentence)]
        hits = self._matcher.find(words)
        named = _mentions(hits)
        if not named:
            return
        cues, stops = _cues(hits), [hit for hit in hits if hit.value.kind in STOPS[Kind.NEGATION]]
        asserted = [_assertion(hit, cues, stops) for hit in named]
        denied_by = [cue if cue and cue.value.kind is Kind.NEGATION else None for _, cue in asserted]
        beside = of_each(hits, named, words, self._prepositions, denied_by)
        for hit, (assertion, cue), (locations, comparison) in zip(named, asserted, beside, strict=True):
            named_as, why = " ".join(words[hit.start : hit.end]), " ".join(words[cue.start : cue.end]) if cue else ""
            yield Mention(hit.value.label, assertion, named_as, why, sentence, locations, comparison)


class Labelers:
    """Labels each report by the rules of its own language; those of all have the same labels."""

    def __init__(self, rules: Sequence[Rules]) -> None:
        self._of_language: dict[str, Labeler] = {one.language: Labeler(one) for one in rules}
        self._first = next(iter(self._of_language.values()))
        self.names = self._first.names
        self.sides = {name: side for one in self._of_language.values() for name, side in one.sides.items()}

    def label(self, report: str) -> Labels:
        """The labels of plain text; those of no language refuse it."""
        other = self._of_language.get(language_of(report))
        return (other or self._first).label(report)


def _no_finding(assertions: dict[str, Assertion]) -> Assertion:
    """Present where no finding is present or uncertain; as uncertain as the strongest finding otherwise."""
    strongest = max(
        (assertion for name, assertion in assertions.items() if name != NO_FINDING), key=STRENGTH.__getitem__
    )
    opposite = {Assertion.PRESENT: Assertion.ABSENT, Assertion.UNCERTAIN: Assertion.UNCERTAIN}
    return opposite.get(strongest, Assertion.PRESENT)


def _mentions(hits: Sequence[Hit]) -> list[Hit]:
    """What names a label and no exception of that label overlaps; of those that overlap each other, the longest."""
    exceptions = [hit for hit in hits if hit.value.kind is Kind.EXCEPTION]
    kept: list[Hit] = []
    for hit in sorted((hit for hit in hits if hit.value.kind in NAMES), key=_longest_first):
        if not any(hit.overlaps(other) and other.value.label == hit.value.label for other in (*exceptions, *kept)):
            kept.append(hit)
    return sorted(kept, key=lambda hit: hit.start)


def _cues(hits: Sequence[Hit]) -> list[Hit]:
    """Negation and uncertainty cues that no `no_cue` overlaps; of those that overlap each other the longest."""
    no_cues = [hit for hit in hits if hit.value.kind is Kind.NO_CUE]
    kept: list[Hit] = []
    for hit in sorted((hit for hit in hits if hit.value.kind in CUES), key=_longest_first):
        longer = (other for other in kept if not _same_words(hit, other))
        if not any(hit.overlaps(other) for other in (*no_cues, *longer)):
            kept.append(hit)
    return kept


def _assertion(hit: Hit, cues: Sequence[Hit], stops: Sequence[Hit]) -> tuple[Assertion, Hit | None]:
    """Negation outweighs uncertainty: "no definite nodule" and "no nodule is suspected" are both absent."""
    if hit.value.kind is Kind.NORMAL:
        return Assertion.ABSENT, None
    holding = [cue for cue in cues if _holds(cue, hit, stops)]
    for kind, assertion in ((Kind.NEGATION, Assertion.ABSENT), (Kind.UNCERTAINTY, Assertion.UNCERTAIN)):
        for cue in holding:
            if cue.value.kind is kind:
                return assertion, cue
    return (Assertion.UNCERTAIN if hit.value.kind is Kind.HINT else Assertion.PRESENT), None


def _holds(cue: Hit, hit: Hit, stops: Sequence[Hit]) -> bool:
    """The cue reaches the mention with no stop between them, or stands inside it ("heart is not enlarged")."""
    if hit.start <= cue.start and cue.end <= hit.end:
        return True
    start, end = (cue.end, hit.start) if cue.value.forward else (hit.end, cue.start)
    if not 0 <= end - start <= cue.value.reach:
        return False
    kinds = STOPS[cue.value.kind]
    return not any(start <= stop.start and stop.end <= end and stop.value.kind in kinds for stop in stops)


def _same_words(hit: Hit, other: Hit) -> bool:
    return (hit.start, hit.end) == (other.start, other.end)


def _longest_first(hit: Hit) -> tuple[int, int]:
    return hit.start - hit.end, hit.start
