"""One key is served by one thread at a time, and one that hangs hinders no other."""

from __future__ import annotations

import threading
import time

from node.loops import KeyedExecutor
from tests.waiting import at_most, wait_until

PATIENCE = 10.0


def wait_for(condition: threading.Event) -> None:
    assert condition.wait(PATIENCE)


def test_a_key_that_hangs_hinders_no_other() -> None:
    release, served, begun = threading.Event(), threading.Event(), list[str]()

    def serve(key: str) -> None:
        begun.append(key)
        if key == "hangs":
            release.wait(6 * PATIENCE)
        elif len(begun) == 21:
            served.set()

    executor = KeyedExecutor("test", serve)
    executor.submit("hangs")
    for number in range(20):
        executor.submit(f"peer {number}")
    wait_for(served)
    release.set()
    executor.close(PATIENCE)


def test_a_key_is_served_once_at_a_time_and_once_more_where_that_is_asked() -> None:
    release, begun, calls = threading.Event(), threading.Event(), list[str]()

    def serve(key: str) -> None:
        calls.append(key)
        begun.set()
        release.wait(PATIENCE)

    executor = KeyedExecutor("test", serve)
    executor.submit("pacs")
    wait_for(begun)
    for _ in range(5):
        executor.submit("pacs")
    assert calls == ["pacs"]
    for _ in range(5):
        executor.submit("pacs", again=True)
    release.set()
    wait_until(lambda: len(calls) == 2)
    executor.close(PATIENCE)
    assert calls == ["pacs"] * 2


def test_when_it_is_closed_what_is_under_way_ends_and_nothing_begins() -> None:
    begun, ended = threading.Event(), list[str]()

    def serve(key: str) -> None:
        begun.set()
        time.sleep(0.2)
        ended.append(key)

    executor = KeyedExecutor("test", serve)
    executor.submit("pacs", again=True)
    wait_for(begun)
    executor.submit("pacs", again=True)
    executor.close(PATIENCE)
    executor.submit("other")
    assert ended == ["pacs"]


def test_a_close_waits_no_longer_than_it_may() -> None:
    release = threading.Event()
    executor = KeyedExecutor("test", lambda _key: release.wait(PATIENCE) and None)
    executor.submit("hangs")
    before = time.monotonic()
    executor.close(0.2)
    assert 0.2 <= time.monotonic() - before < at_most(5)
    release.set()
