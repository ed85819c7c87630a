from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.dispatch.fairness import MOST_WAITING, Waiting, next_studies, precedence, rank_of
from node.entities import HIGH, LOW, MEDIUM

RANKS = HIGH, MEDIUM, LOW
STUDIES = st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(RANKS), st.integers(0, 50)), max_size=30).map(
    lambda rows: [Waiting(f"1.{number}", 1, *row) for number, row in enumerate(rows)]
)
BUSY = st.dictionaries(st.sampled_from("ABC"), st.integers(0, 5))
NOTIFIED = st.dictionaries(st.integers(0, 5), st.integers(0, 5))


def order(waiting: list[Waiting], busy: dict[str, int]) -> list[Waiting]:
    """Of all of them, by notifying of the next ones again and again, while each message is taken at once."""
    found, left, busy = [], list(waiting), dict(busy)
    while chosen := next_studies(left, busy, {}, 0):
        for one in chosen:
            found.append(one.study)
            left.remove(one.study)
            busy[one.study.sender] = busy.get(one.study.sender, 0) + 1
    return found


def test_senders_take_turns_and_urgent_ones_come_first() -> None:
    many = [Waiting(f"1.{number}", 1, "MANY", MEDIUM, number) for number in range(5)]
    few = [Waiting("2.0", 1, "FEW", MEDIUM, 90.0), Waiting("2.1", 1, "FEW", LOW, 0.0)]
    urgent = Waiting("3.0", 1, "MANY", HIGH, 99.0)
    found = [study.study_instance_uid for study in order([*many, *few, urgent], {})]
    assert found == ["3.0", "2.0", "1.0", "1.1", "1.2", "1.3", "1.4", "2.1"]


def test_what_the_workers_have_counts_as_a_turn() -> None:
    waiting = [Waiting("1.0", 1, "A", MEDIUM, 1.0), Waiting("2.0", 1, "B", MEDIUM, 2.0)]
    assert [one.study.sender for one in next_studies(waiting, {"A": 2}, {}, 0)] == ["B", "A"]
    assert [one.precedence for one in next_studies(waiting, {"A": 2}, {}, 0)] == [
        precedence(MEDIUM), precedence(MEDIUM, 2),
    ]  # fmt: skip


def test_a_full_queue_is_none_for_one_who_overtakes_what_is_in_it() -> None:
    waiting = [Waiting("1.9", 1, "MANY", MEDIUM, 1.0), Waiting("2.0", 1, "FEW", MEDIUM, 2.0)]
    full = {precedence(MEDIUM, 1): MOST_WAITING}
    assert [one.study.sender for one in next_studies(waiting, {"MANY": 5}, full, MOST_WAITING)] == ["FEW"]
    assert len(next_studies(waiting, {"MANY": 5}, full, 0)) == 2  # the queue was emptied


@given(STUDIES, BUSY, NOTIFIED)
def test_as_many_as_have_room_before_what_is_in_the_queue(
    waiting: list[Waiting], busy: dict[str, int], notified: dict[int, int]
) -> None:
    chosen = next_studies(waiting, busy, notified, sum(notified.values()))
    assert len(chosen) <= MOST_WAITING
    assert [rank_of(one.precedence) for one in chosen] == [one.study.rank for one in chosen]
    assert [one.precedence for one in chosen] == sorted(one.precedence for one in chosen)
    for place, one in enumerate(chosen):
        assert sum(count for other, count in notified.items() if other <= one.precedence) + place < MOST_WAITING
    if not notified:
        assert len(chosen) == min(len(waiting), MOST_WAITING)


def test_one_who_sends_all_as_urgent_does_not_take_all_places() -> None:
    many = [Waiting(f"1.{number}", 1, "MANY", HIGH, number) for number in range(200)]
    stat = Waiting("2.0", 1, "FEW", HIGH, 999.0)
    chosen = next_studies([*many, stat], {}, {precedence(LOW): 9}, 9)
    assert [one.study.study_instance_uid for one in chosen] == ["1.0", "2.0", "1.1", "1.2"]


@given(STUDIES, BUSY, st.sampled_from(RANKS))
def test_nobody_is_a_turn_ahead_of_one_who_waits(waiting: list[Waiting], busy: dict[str, int], rank: int) -> None:
    alike = [study for study in waiting if study.rank == rank]
    found = order(alike, busy)
    assert len(found) == len(alike)
    for place in range(len(found)):
        had = {sender: busy.get(sender, 0) + sum(one.sender == sender for one in found[:place]) for sender in "ABC"}
        left = {one.sender for one in found[place:]}
        assert had[found[place].sender] == min(had[sender] for sender in left)
    for sender in "ABC":
        mine = [(study.queued_at, study.study_instance_uid) for study in found if study.sender == sender]
        assert mine == sorted(mine)
