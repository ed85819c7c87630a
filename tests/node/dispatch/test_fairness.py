from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.dispatch.fairness import Waiting, next_studies
from node.entities import HIGH, LOW, MEDIUM

RANKS = HIGH, MEDIUM, LOW
STUDIES = st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(RANKS), st.integers(0, 50)), max_size=30).map(
    lambda rows: [Waiting(f"1.{number}", 1, *row) for number, row in enumerate(rows)]
)
BUSY = st.dictionaries(st.sampled_from("ABC"), st.integers(0, 5))


def test_senders_take_turns_and_urgent_ones_come_first() -> None:
    many = [Waiting(f"1.{number}", 1, "MANY", MEDIUM, number) for number in range(5)]
    few = [Waiting("2.0", 1, "FEW", MEDIUM, 90.0), Waiting("2.1", 1, "FEW", LOW, 0.0)]
    urgent = Waiting("3.0", 1, "MANY", HIGH, 99.0)
    order = [study.study_instance_uid for study in next_studies([*many, *few, urgent], {}, 100, 100)]
    assert order == ["3.0", "2.0", "1.0", "1.1", "1.2", "1.3", "1.4", "2.1"]


def test_what_the_workers_have_counts_as_a_turn() -> None:
    waiting = [Waiting("1.0", 1, "A", MEDIUM, 1.0), Waiting("2.0", 1, "B", MEDIUM, 2.0)]
    assert [study.sender for study in next_studies(waiting, {"A": 2}, 1, 1)] == ["B"]


@given(STUDIES, BUSY, st.integers(0, 6), st.integers(0, 6))
def test_urgent_studies_and_others_as_far_as_there_are_places(
    waiting: list[Waiting], busy: dict[str, int], places: int, more: int
) -> None:
    chosen = next_studies(waiting, busy, places, places + more)
    high = [study for study in waiting if study.rank == HIGH]
    urgent = min(len(high), places + more)
    assert len(chosen) == min(len(waiting), max(places, urgent))
    assert [study.rank for study in chosen] == sorted(study.rank for study in chosen)
    assert chosen[:urgent] == next_studies(high, busy, 0, places + more)
    if len(chosen) > urgent:  # every HIGH one before any other
        assert urgent == len(high)


def test_one_who_sends_all_as_urgent_does_not_take_all_places() -> None:
    many = [Waiting(f"1.{number}", 1, "MANY", HIGH, number) for number in range(200)]
    stat = Waiting("2.0", 1, "FEW", HIGH, 999.0)
    assert [study.study_instance_uid for study in next_studies([*many, stat], {}, 0, 4)] == ["1.0", "2.0", "1.1", "1.2"]


@given(STUDIES, BUSY, st.sampled_from(RANKS))
def test_nobody_is_a_turn_ahead_of_one_who_waits(waiting: list[Waiting], busy: dict[str, int], rank: int) -> None:
    alike = [study for study in waiting if study.rank == rank]
    order = next_studies(alike, busy, len(alike), len(alike))
    for place in range(len(order)):
        had = {sender: busy.get(sender, 0) + sum(one.sender == sender for one in order[:place]) for sender in "ABC"}
        left = {one.sender for one in order[place:]}
        assert had[order[place].sender] == min(had[sender] for sender in left)
    for sender in "ABC":
        mine = [(study.queued_at, study.study_instance_uid) for study in order if study.sender == sender]
        assert mine == sorted(mine)
