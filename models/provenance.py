"""The provenance on a card: written from the run that made the model, and never another model's.

`own` gives a card after the pattern of another; `inherited` names what a card still says of a shipped package.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from models.card import Card, Training

NOT_GIVEN = "not given"
VERSION = "1.0.0"
RESEARCH = (
    "Research software, not a medical device: no result may be used without a radiologist's reading of the images."
)
MOST_NAMED = 3
UNPROVEN = "Not shown to be"  # begins sentences that two models can share
NUMBERS = frozenset("0123456789")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose model it is: the title and the manufacturer (the site's) that results name; "" is not given."""

    title: str = ""
    manufacturer: str = ""


UNNAMED = Owner()


@dataclass(frozen=True, slots=True)
class Facts:
    """Of a run.

    Attributes
    ----------
    what
        "images", "volumes" …
    train, test
        (how many, patients) of what was fitted on and of what was measured; (0, 0): nothing was.
    split
        The name of what was measured.
    labels_sha256
        Of the table that named them.
    choices
        How everything else was chosen, a clause: "by 5 folds by patient of the split train".
    method
        How it was fitted.
    simulated
        Whether the images were made by `readfirst models simulate`.
    """

    what: str
    train: tuple[int, int]
    test: tuple[int, int]
    split: str
    labels_sha256: str
    choices: str
    method: str
    date: str
    simulated: bool = False


def counted(patients: Sequence[object]) -> tuple[int, int]:
    """How many rows, and of how many patients."""
    return len(patients), len(set(patients))


def today() -> str:
    """YYYY-MM-DD."""
    return datetime.date.today().isoformat()


def own(like: Card, owner: Owner, facts: Facts, localizer: str, limits: tuple[str, ...] = ()) -> Card:
    """The card `like` whose texts, version and training are those of this run alone, without figures."""
    title = owner.title or _listed(like)
    data = f"{_counted(facts.train, facts.what)} of the site ({_known(owner.manufacturer)}); labels.csv or pairs.csv"
    data += f" has the SHA-256 {facts.labels_sha256[:16]}."
    split = f"By patient: the split train was fitted on, {facts.choices}; "
    split += (
        f"the split {facts.split} ({_counted(facts.test, facts.what)}) was measured at the end."
        if facts.test[0]
        else "no other split was measured."
    )
    backbone = f" on {like.network.backbone}" if like.network else ""
    training = Training(
        data=data, split=split, method=f"{facts.method} Trained on {facts.date}.", date=facts.date,
        simulated=facts.simulated,
    )  # fmt: skip
    update: dict[str, Any] = {
        "title": title,
        "version": VERSION,
        "manufacturer": owner.manufacturer or NOT_GIVEN,
        "licence": NOT_GIVEN,
        "summary": f"{title}: {localizer}{backbone}, trained on {facts.date} on {_counted(facts.train, facts.what)}.",
        "limits": (RESEARCH, _where(facts), *limits),
        "training": training,
    }
    return like.model_copy(update=update)


def _where(facts: Facts) -> str:
    made = "simulated ones" if facts.simulated else "one site's"
    counted = _counted(facts.train, facts.what)
    return f"Trained on {counted}, {made}: how good it is on others is not known beyond the figures on this card."


def _listed(card: Card) -> str:
    """The labels as a title."""
    titles = [label.title for label in card.labels]
    more = f" and {len(titles) - MOST_NAMED} more" if len(titles) > MOST_NAMED else ""
    return f"{', '.join(titles[:MOST_NAMED])}{more} ({card.name})"


def _counted(count: tuple[int, int], what: str) -> str:
    return f"{count[0]:,} {what} of {count[1]:,} patients"


def _known(text: str) -> str:
    return text or NOT_GIVEN


def inherited(card: Card, shipped: tuple[Card, ...]) -> tuple[str, ...]:
    """A sentence for each text or figure of the card that is a shipped package's whose weights are others."""
    if card in shipped or (card.weights and card.weights.sha256 in {_sha256(one) for one in shipped}):
        return ()
    found: dict[str, str] = {}
    for one in shipped:
        mine, theirs = dict(_texts(card)), dict(_texts(one))
        for name in mine.keys() & theirs.keys():
            if mine[name] == theirs[name]:
                found.setdefault(name, one.name)
    return tuple(
        f"{name} is that of the shipped package {of}, whose weights are others: write what is true of these"
        for name, of in sorted(found.items())
    )


def _sha256(card: Card) -> str:
    return card.weights.sha256 if card.weights else ""


def _texts(card: Card) -> Iterator[tuple[str, object]]:
    """The provenance of a card by its key; what is empty is left out."""
    training = card.training
    yield from (("title", card.title), ("manufacturer", card.manufacturer), ("summary", card.summary))
    for name in ("data", "split", "method", "citation", "measured", "overlaps"):
        value = getattr(training, name)
        if value:
            yield f"training.{name}", value
    for limit in card.limits:
        if NUMBERS & set(limit) and not limit.startswith(UNPROVEN):
            yield f"limits ({limit[:40]}…)", limit
