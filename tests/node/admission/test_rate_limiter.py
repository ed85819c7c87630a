from __future__ import annotations

from node.admission.rate_limiter import RateLimiter


class Clock:
    """A clock that goes on while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_peer_is_as_fast_as_it_may_be_and_no_faster() -> None:
    clock = Clock()
    limiter = RateLimiter(lambda: clock.now, clock.sleep)
    for _ in range(100):
        limiter.acquire("bytes", "CT", 1 << 20, 10 << 20)
    assert 8.9 < clock.now - 1000.0 < 9.1  # 100 MB at 10 MB/s, a second of it at once


def test_peers_do_not_wait_for_each_other_and_no_limit_waits_never() -> None:
    clock = Clock()
    limiter = RateLimiter(lambda: clock.now, clock.sleep)
    for _ in range(3):
        limiter.acquire("instances", "CT", 1, 1)
    assert clock.now == 1002.0
    limiter.acquire("instances", "MR", 1, 1)
    limiter.acquire("bytes", "CT", 1, 1)
    limiter.acquire("instances", "CT", 1000, 0)
    assert clock.now == 1002.0


def test_who_was_quiet_saves_no_more_than_a_second() -> None:
    clock = Clock()
    limiter = RateLimiter(lambda: clock.now, clock.sleep)
    limiter.acquire("instances", "CT", 1, 2)
    clock.now += 3600
    for _ in range(4):
        limiter.acquire("instances", "CT", 1, 2)
    assert clock.now == 1000.0 + 3600 + 1
