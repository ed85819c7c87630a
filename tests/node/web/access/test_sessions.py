from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from node.errors import ConfigurationError, OutOfResources
from node.web.access.sessions import ENDED_FILE, LIFETIME, LoginThrottle, Sessions, read_key

KEY, NOW = b"k" * 32, 1000.0
Start = Callable[..., Sessions]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Sessions as a start of the node makes them."""

    def start(token: str = "secret", key: bytes = KEY) -> Sessions:
        return Sessions(key, token, tmp_path / ENDED_FILE)

    return start


@pytest.fixture
def sessions(start: Start) -> Sessions:
    return start()


def test_a_cookie_is_read_back(start: Start, sessions: Sessions) -> None:
    session = sessions.begin(NOW, known=True)
    assert sessions.read(sessions.cookie(session), NOW) == session
    assert start().read(sessions.cookie(session), NOW) == session  # after a restart


def test_a_changed_cookie_is_worthless(sessions: Sessions) -> None:
    cookie = sessions.cookie(sessions.begin(NOW, known=False))
    assert sessions.read(cookie.replace(".0.", ".1."), NOW) is None
    assert all(sessions.read(text, NOW) is None for text in ("", ".", "...", "a.b", "ä.9.1.ö", cookie[:-1]))


def test_another_token_or_key_makes_cookies_worthless(start: Start, sessions: Sessions) -> None:
    cookie = sessions.cookie(sessions.begin(NOW, known=True))
    assert start("other").read(cookie, NOW) is None
    assert start(key=b"j" * 32).read(cookie, NOW) is None


def test_a_session_ends_after_a_shift_and_at_log_out(sessions: Sessions) -> None:
    session = sessions.begin(NOW, known=True)
    cookie = sessions.cookie(session)
    assert sessions.read(cookie, NOW + LIFETIME - 1) == session
    assert sessions.read(cookie, NOW + LIFETIME) is None
    sessions.end(session, NOW)
    assert sessions.read(cookie, NOW) is None


def test_a_session_that_ended_stays_so_after_a_restart(start: Start, tmp_path: Path) -> None:
    sessions = start()
    others = [sessions.begin(NOW, known=True) for _ in range(3)]
    for session in others[:2]:
        sessions.end(session, NOW)
    read = [start().read(sessions.cookie(session), NOW) for session in others]
    assert read == [None, None, others[2]]
    sessions.end(late := sessions.begin(NOW + LIFETIME, known=True), NOW + LIFETIME)  # the others' cookies are too old
    assert (tmp_path / ENDED_FILE).read_text() == f"{late.expires} {late.nonce}\n"


def test_sessions_of_nobody_are_not_written(sessions: Sessions, tmp_path: Path) -> None:
    session = sessions.begin(NOW, known=False)
    sessions.end(session, NOW)
    assert sessions.read(sessions.cookie(session), NOW) is None
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_ended_sessions_that_cannot_be_used_is_said(start: Start, tmp_path: Path) -> None:
    (tmp_path / ENDED_FILE).write_bytes(b"\xff nonsense")
    with pytest.raises(ConfigurationError, match="remove it and set another web.token"):
        start()
    sessions = Sessions(KEY, "secret", tmp_path / "nowhere" / ENDED_FILE)
    session = sessions.begin(NOW, known=True)
    with pytest.raises(OutOfResources, match="cannot be written"):
        sessions.end(session, NOW)
    assert sessions.read(sessions.cookie(session), NOW) is None  # until the next start


def test_each_session_has_its_own_token_against_forgery(sessions: Sessions) -> None:
    one, other = sessions.begin(NOW, known=True), sessions.begin(NOW, known=True)
    assert sessions.is_csrf(one, sessions.csrf(one))
    assert not sessions.is_csrf(one, sessions.csrf(other))
    assert not sessions.is_csrf(one, "")
    assert not sessions.is_csrf(one, "ä")


def test_the_token_is_right_or_wrong(start: Start, sessions: Sessions) -> None:
    assert sessions.is_token("secret")
    assert not any(map(sessions.is_token, ("", "secre", "secret ", "SECRET", "\udce4")))
    assert not start("").is_token("")  # none is required, none is right


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


def test_the_key_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    key = read_key(tmp_path)
    assert (len(key), read_key(tmp_path)) == (32, key)
    assert (tmp_path / "web.key").stat().st_mode & 0o777 == 0o600


def test_a_torn_key_is_said(tmp_path: Path) -> None:
    (tmp_path / "web.key").write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="not whole"):
        read_key(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        read_key(tmp_path / "nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["web.key"]
