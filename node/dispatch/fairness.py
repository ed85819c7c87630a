"""Whose study is analysed next: urgent ones first, and within that the senders take turns. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.entities import HIGH


@dataclass(frozen=True, slots=True)
class Waiting:
    """A study that no worker was notified of yet; `rank` is 0 for the most urgent, `queued_at` in seconds."""

    study_instance_uid: str
    generation: int
    sender: str
    rank: int
    queued_at: float


def next_studies(
    waiting: Sequence[Waiting], busy: Mapping[str, int], free: int, free_urgent: int
) -> tuple[Waiting, ...]:
    """The studies to notify the workers of, in this order: `free_urgent` HIGH ones, others for what is left of `free`.

    A sender's first study comes before any other sender's second: one that sends a hundred studies, or a hundred HIGH
    ones, holds another's single one up by no more than its first.

    Parameters
    ----------
    busy
        How many studies of each sender the workers have, or were notified of.
    free, free_urgent
        How many more messages may wait in the queue, and how many more of HIGH, which overtake the others there.
    """
    before = dict(busy)
    ranked: list[tuple[int, int, float, Waiting]] = []
    for study in sorted(waiting, key=lambda one: (one.rank, one.queued_at, one.study_instance_uid)):
        ranked.append((study.rank, before.get(study.sender, 0), study.queued_at, study))
        before[study.sender] = before.get(study.sender, 0) + 1
    order = [study for *_, study in sorted(ranked, key=lambda one: one[:3])]
    urgent = sum(study.rank == HIGH for study in order)
    return tuple(order[: max(min(urgent, free_urgent), free)])
