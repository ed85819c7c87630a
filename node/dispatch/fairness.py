"""Whose study is analysed next: urgent ones first, and within that the senders take turns. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_WAITING = (
    4  # messages in the queue before studies of their precedence wait in the ledger, where senders take turns
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A study that no worker was notified of yet; `rank` is 0 for the most urgent, `queued_at` in seconds."""

    study_instance_uid: str
    generation: int
    sender: str
    rank: int
    queued_at: float


@dataclass(frozen=True, slots=True)
class Next:
    """A study to notify the workers of; in the queue it overtakes those of a higher `precedence`."""

    study: Waiting
    precedence: int


def precedence(rank: int, turn: int = 0) -> int:
    """The order of messages in the queue: by rank, and within it those first whose sender has nothing else there."""
    return 2 * rank + min(turn, 1)


def rank_of(place: int) -> int:
    """The rank of a precedence."""
    return place // 2


def next_studies(
    waiting: Sequence[Waiting], busy: Mapping[str, int], notified: Mapping[int, int], messages: int
) -> tuple[Next, ...]:
    """The studies to notify the workers of, in this order, while fewer than `MOST_WAITING` messages are before them.

    A sender's first study comes before any other sender's second: one that sends a hundred studies, or a hundred HIGH
    ones, holds another's single one up by no more than its first. This holds also where its second and third are in
    the queue already, for the other's first overtakes them there.

    Parameters
    ----------
    busy
        How many studies of each sender the workers have, or were notified of.
    notified
        How many studies the workers were notified of, and none has taken, by precedence.
    messages
        How many messages are in the queue: where it was emptied, less than were notified of.
    """
    before = dict(busy)
    ranked: list[tuple[int, int, float, Waiting]] = []
    for study in sorted(waiting, key=lambda one: (one.rank, one.queued_at, one.study_instance_uid)):
        ranked.append((study.rank, before.get(study.sender, 0), study.queued_at, study))
        before[study.sender] = before.get(study.sender, 0) + 1
    chosen: list[Next] = []
    for rank, turn, _, study in sorted(ranked, key=lambda one: one[:3]):
        place = precedence(rank, turn)
        ahead = sum(count for other, count in notified.items() if other <= place)
        if min(ahead, messages) + len(chosen) >= MOST_WAITING:
            break
        chosen.append(Next(study, place))
    return tuple(chosen)
