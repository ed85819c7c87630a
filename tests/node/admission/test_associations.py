from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from node.admission.associations import (
    ABORTED,
    RELEASED,
    UNKNOWN,
    AssociationEnd,
    AssociationRegistry,
    OpenAssociation,
    StoreCounts,
    StoreResult,
    StudyCounts,
)
from node.admission.policy import Caller
from node.settings import Limits, Node, Settings

CALLER = Caller("READFIRST", "MODALITY", "10.0.0.1")
Studies = Mapping[str, StudyCounts]


@pytest.fixture
def registry(tmp_path: Path) -> AssociationRegistry:
    settings = Settings(node=Node(data=tmp_path, max_associations=3), limits=Limits(associations_per_peer=2))
    return AssociationRegistry(settings, lambda: 7.0)


@pytest.fixture
def ended(registry: AssociationRegistry) -> list[tuple[Caller, Studies]]:
    """What the registry reports of associations that ended."""
    found: list[tuple[Caller, Studies]] = []
    registry.subscribe(ended=lambda caller, studies: found.append((caller, studies)))
    return found


def opened(registry: AssociationRegistry, peer: str = "A") -> OpenAssociation:
    association = registry.open(CALLER, peer)
    assert isinstance(association, OpenAssociation)
    return association


def test_slots_are_counted_for_all_and_for_each(registry: AssociationRegistry) -> None:
    first = opened(registry)
    assert first.since == 7.0
    opened(registry)
    assert registry.open(CALLER, "A") == "limits.associations_per_peer = 2"
    opened(registry, "B")
    assert registry.open(CALLER, "C") == "node.max_associations = 3"
    registry.end(first, RELEASED)
    assert registry.open(CALLER, "C") == "node.max_associations = 3"  # its connection is not closed yet
    for _ in range(2):
        registry.end(first, ABORTED, closed=True)
    opened(registry, "C")
    assert registry.open(CALLER, "A") == "node.max_associations = 3"


def test_an_association_counts_while_it_is_established(registry: AssociationRegistry) -> None:
    first, second = opened(registry), opened(registry)
    assert registry.count == 0
    registry.established(first), registry.established(second)
    assert registry.count == 2
    registry.end(first, RELEASED)
    assert registry.count == 1
    registry.end(second, ABORTED, closed=True)
    assert registry.count == 0


def test_a_study_is_being_sent_until_its_last_association_ends(
    registry: AssociationRegistry, ended: list[tuple[Caller, Studies]]
) -> None:
    one, two = opened(registry), opened(registry)
    registry.receiving(one, "1.1")
    registry.receiving(one, "1.2")
    registry.receiving(two, "1.1")
    registry.end(one, RELEASED)
    assert (registry.is_sending("1.1"), registry.is_sending("1.2")) == (True, False)
    registry.end(two, ABORTED)
    assert not registry.is_sending("1.1")
    assert [studies.keys() for _, studies in ended] == [{"1.1", "1.2"}, {"1.1"}]


def test_an_end_that_is_reported_twice_or_of_nothing_counts_once(
    registry: AssociationRegistry, ended: list[tuple[Caller, Studies]]
) -> None:
    one, echo_only = opened(registry), opened(registry)
    registry.receiving(one, "1.1")
    for association in (one, one, echo_only):
        registry.end(association, ABORTED)
        registry.end(association, ABORTED, closed=True)
    assert [studies.keys() for _, studies in ended] == [{"1.1"}]


def test_the_end_is_remembered_until_forgotten(registry: AssociationRegistry) -> None:
    one = opened(registry)
    assert registry.last_end("1.1") == AssociationEnd(0.0, UNKNOWN)
    registry.receiving(one, "1.1")
    registry.end(one, RELEASED)
    registry.end(one, ABORTED)  # the connection closes after the release
    registry.end(one, ABORTED, closed=True)
    registry.keep_only({"1.1"})
    assert registry.last_end("1.1") == AssociationEnd(7.0, RELEASED)
    registry.limit_ends(5.0)
    assert registry.last_end("1.1") == AssociationEnd(5.0, RELEASED)
    registry.keep_only(set())
    assert registry.last_end("1.1") == AssociationEnd(0.0, UNKNOWN)


def test_an_association_without_an_end_was_lost(registry: AssociationRegistry) -> None:
    one, two = opened(registry), opened(registry)
    registry.receiving(one, "1.1")
    registry.receiving(two, "1.2")
    registry.end(one, ABORTED, closed=True)
    registry.end(two, RELEASED, closed=True)
    assert [registry.last_end(uid).how for uid in ("1.1", "1.2")] == [ABORTED, RELEASED]


def test_the_end_reports_what_each_study_got_once(
    registry: AssociationRegistry, ended: list[tuple[Caller, Studies]]
) -> None:
    results: list[StoreResult] = []
    registry.subscribe(stored=lambda _caller, result: results.append(result))
    one, two = opened(registry), opened(registry)
    for association in (one, two):
        registry.stored(association, StoreResult("CT", 0, "1.1", 10))
    registry.stored(one, StoreResult("CT", 0, "1.1", 10, duplicate=True, patient_id="A"))
    registry.stored(one, StoreResult("MR", 0xA700, "1.2"))
    registry.stored(one, StoreResult("MR", 0xC000))  # of a study that nobody knows
    for _ in range(2):
        registry.end(one, RELEASED)
    ((caller, studies),) = ended
    assert (caller, len(results)) == (CALLER, 5)
    assert studies == {
        "1.1": {
            "": StoreCounts(new={"CT": 1}),  # type: ignore[arg-type]
            "A": StoreCounts(duplicate={"CT": 1}),  # type: ignore[arg-type]
        },
        "1.2": {"": StoreCounts(refused={"MR": 1}, statuses={0xA700: 1})},  # type: ignore[arg-type]
    }


def test_what_is_stored_behind_the_end_is_reported_when_the_connection_closes(
    registry: AssociationRegistry, ended: list[tuple[Caller, Studies]]
) -> None:
    one = opened(registry)
    registry.receiving(one, "1.1")
    registry.end(one, ABORTED)  # while the instance is written
    registry.stored(one, StoreResult("CT", 0, "1.1", 10))
    registry.end(one, ABORTED, closed=True)
    assert [bool(studies["1.1"]) for _, studies in ended] == [False, True]


def test_an_association_that_stored_nothing_is_not_reported(
    registry: AssociationRegistry, ended: list[tuple[Caller, Studies]]
) -> None:
    one = opened(registry)
    registry.stored(one, StoreResult("CT", 0x0124))
    registry.end(one, RELEASED)
    registry.end(opened(registry), RELEASED)
    assert ended == []
