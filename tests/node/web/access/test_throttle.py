from __future__ import annotations

from node.web.access.throttle import LoginThrottle

NOW = 1000.0


def test_who_guesses_waits() -> None:
    throttle = LoginThrottle(each=3, together=5, seconds=60.0)
    for second in range(3):
        assert throttle.wait("a", NOW + second) == 0
        throttle.failed("a", NOW + second)
    assert throttle.wait("a", NOW + 3) == 57.0
    assert throttle.wait("b", NOW + 3) == 0
    assert throttle.wait("a", NOW + 60.5) == 0


def test_who_guesses_from_many_addresses_waits_too() -> None:
    throttle = LoginThrottle(each=3, together=5, seconds=60.0)
    for number in range(5):
        throttle.failed(f"a{number}", NOW + number)
    assert throttle.wait("new", NOW + 10) == 50.0


def test_more_failures_than_that_count_from_the_last_ones() -> None:
    throttle = LoginThrottle(each=3, together=9, seconds=60.0)
    for second in range(5):  # at the page and as Bearer at once
        throttle.failed("a", NOW + second)
    assert throttle.wait("a", NOW + 5) == 57.0
