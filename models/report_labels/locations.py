"""Where a finding lies by a report, and how it compares with an earlier examination."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from models.report_labels.phrases import Found
from models.report_labels.rules import Kind, PhraseRule

Hit = Found[PhraseRule]
LINKS = frozenset({"and", "or", ",", "with", "、", "及", "和", "伴", "并", "&", "/"})


def of_each(
    hits: Sequence[Hit],
    named: Sequence[Hit],
    words: Sequence[str],
    prepositions: Collection[str],
    denied_by: Sequence[Hit | None],
) -> list[tuple[tuple[str, ...], str]]:
    """(locations, comparison) of each of `named`, the mentions of a sentence in their order.

    What stands between two mentions belongs to the first after a preposition ("nodule in the left lung"), else to the
    second ("left effusion"); after the last one to the last. A mention without a place has that of its neighbour where
    nothing but "and", "or", a comma or "with" lies between them, and both are denied or neither is. A place of what is
    denied ("effusion, no mediastinal shift") is none of a mention that is not: `denied_by` has each one's negation.
    """
    locations: list[list[str]] = [[] for _ in named]
    for hit in _longest(hits, Kind.LOCATION):
        at = _owner(hit, named, words, prepositions)
        if not _denied_between(hit, named[at], denied_by[at], hits):
            locations[at].append(hit.value.label)
    _share(locations, named, words, [one is not None for one in denied_by])
    return [
        (tuple(dict.fromkeys(found)), comparison)
        for found, comparison in zip(locations, _comparisons(hits, named, words), strict=True)
    ]


def _longest(hits: Sequence[Hit], kind: Kind) -> list[Hit]:
    kept: list[Hit] = []
    for hit in sorted((hit for hit in hits if hit.value.kind is kind), key=lambda hit: hit.start - hit.end):
        if not any(hit.overlaps(other) for other in kept):
            kept.append(hit)
    return sorted(kept, key=lambda hit: hit.start)


def _owner(hit: Hit, named: Sequence[Hit], words: Sequence[str], prepositions: Collection[str]) -> int:
    """The mention that a place belongs to; of one inside a mention that mention."""
    before = [at for at, one in enumerate(named) if one.start <= hit.start]
    after = [at for at, one in enumerate(named) if one.start > hit.start]
    if not before or not after:
        return before[-1] if before else after[0]
    nearest = named[before[-1]]
    inside = hit.start < nearest.end
    between = words[nearest.end : hit.start + 1]  # "throughout the lungs" begins with its own
    return before[-1] if inside or any(word in prepositions for word in between) else after[0]


def _denied_between(place: Hit, mention: Hit, own: Hit | None, hits: Sequence[Hit]) -> bool:
    """Whether a negation other than the mention's own stands between it and a place."""
    start, end = min(place.end, mention.end), max(place.start, mention.start)
    negations = (one for one in hits if one.value.kind is Kind.NEGATION and start <= one.start < end)
    return any(own is None or not one.overlaps(own) for one in negations)


def _share(locations: list[list[str]], named: Sequence[Hit], words: Sequence[str], denied: Sequence[bool]) -> None:
    linked = [
        denied[at] == denied[at + 1] and all(word in LINKS for word in words[one.end : other.start])
        for at, (one, other) in enumerate(pairwise(named))
    ]
    for order in (range(len(linked)), reversed(range(len(linked)))):
        for at in order:
            if linked[at] and not (locations[at] and locations[at + 1]):
                locations[at] = locations[at + 1] = locations[at] or locations[at + 1]


def _comparisons(hits: Sequence[Hit], named: Sequence[Hit], words: Sequence[str]) -> Iterator[str]:
    """The nearest comparison to each mention, with no other mention and no `;` between them."""
    found = _longest(hits, Kind.COMPARISON)
    for hit in named:
        near = [(_distance(hit, one), one.value.label) for one in found if _clear(hit, one, named, words)]
        yield min(near, default=(0, ""))[1]


def _clear(hit: Hit, one: Hit, named: Sequence[Hit], words: Sequence[str]) -> bool:
    start, end = min(hit.end, one.end), max(hit.start, one.start)
    others = [other for other in named if not other.overlaps(hit) and start <= other.start < end]
    linked = all(word in LINKS for other in others for word in words[hit.end : other.start]) and one.start > hit.start
    return ";" not in words[start:end] and (not others or linked)


def _distance(hit: Hit, one: Hit) -> int:
    return max(hit.start - one.end, one.start - hit.end, 0)
