from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from node.ledger.engine import Ledger
from node.worklist.items.json_model import Json, put
from node.worklist.items.priority import RequestedPriority
from node.worklist.reading import work_items
from node.worklist.ups import operations
from tests.node.phantoms import STUDY
from tests.node.web.conftest import Site, analyse, arrive
from tests.waiting import at_most


@pytest.fixture
def lines(site: Site, ledger: Ledger) -> Iterator[Iterator[str]]:
    """The lines of an open event stream, from its first event on; a study is there already."""
    arrive(ledger)
    with httpx.stream("GET", f"{site.url}/events", timeout=60, trust_env=False) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = (line for line in answer.iter_lines() if line)
        assert next(found) == "retry: 1000"
        yield found


def lower(ledger: Ledger, _data: Path) -> None:
    given: Json = {}
    put(given, "ScheduledProcedureStepPriority", "LOW")
    with ledger.write() as connection:
        operations.modify(connection, work_items.reading_uid(STUDY), given, time.time())


def relabel(ledger: Ledger, _data: Path) -> None:
    given: Json = {}  # of which the study's story says nothing
    put(given, "ProcedureStepLabel", "Second reading")
    with ledger.write() as connection:
        operations.modify(connection, work_items.reading_uid(STUDY), given, time.time())


def say(ledger: Ledger, _data: Path) -> None:
    with ledger.write() as connection:
        work_items.raise_priority(connection, STUDY, RequestedPriority(None, "not analysed, because"), time.time())


@pytest.mark.parametrize("change", [analyse, lower, relabel, say])
def test_each_change_is_told_within_a_second(
    lines: Iterator[str], ledger: Ledger, tmp_path: Path, change: Callable[[Ledger, Path], None]
) -> None:
    change(ledger, tmp_path)
    started = time.monotonic()
    assert [next(lines), next(lines)] == ["event: changed", "data: 1"]
    assert time.monotonic() - started < at_most(1.0)
