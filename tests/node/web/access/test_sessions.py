from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from node.errors import ConfigurationError, OutOfResources
from node.settings import Web
from node.web.access.sessions import ENDED_FILE, LIFETIME, Sessions, read_key
from node.web.access.tokens import EVERYBODY, Tokens

KEY, NOW = b"k" * 32, 1000.0
Start = Callable[..., Sessions]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Sessions as a start of the node makes them."""

    def start(token: str = "secret", key: bytes = KEY) -> Sessions:
        return Sessions(key, Tokens(Web(token=token)), tmp_path / ENDED_FILE)

    return start


@pytest.fixture
def sessions(start: Start) -> Sessions:
    return start()


def test_a_cookie_is_read_back(start: Start, sessions: Sessions) -> None:
    session = sessions.begin(NOW, EVERYBODY)
    assert sessions.read(sessions.cookie(session), NOW) == session
    assert start().read(sessions.cookie(session), NOW) == session  # after a restart


def test_a_changed_cookie_is_worthless(sessions: Sessions) -> None:
    cookie = sessions.cookie(sessions.begin(NOW))
    assert sessions.read(cookie.replace(".-.", ".."), NOW) is None
    assert all(sessions.read(text, NOW) is None for text in ("", ".", "...", "a.b", "ä.9.1.ö", cookie[:-1]))


def test_another_token_or_key_makes_cookies_worthless(start: Start, sessions: Sessions) -> None:
    cookie = sessions.cookie(sessions.begin(NOW, EVERYBODY))
    assert start("other").read(cookie, NOW) is None
    assert start(key=b"j" * 32).read(cookie, NOW) is None


def test_a_session_ends_after_a_shift_and_at_log_out(sessions: Sessions) -> None:
    session = sessions.begin(NOW, EVERYBODY)
    cookie = sessions.cookie(session)
    assert sessions.read(cookie, NOW + LIFETIME - 1) == session
    assert sessions.read(cookie, NOW + LIFETIME) is None
    sessions.end(session, NOW)
    assert sessions.read(cookie, NOW) is None


def test_a_session_that_ended_stays_so_after_a_restart(start: Start, tmp_path: Path) -> None:
    sessions = start()
    others = [sessions.begin(NOW, EVERYBODY) for _ in range(3)]
    for session in others[:2]:
        sessions.end(session, NOW)
    read = [start().read(sessions.cookie(session), NOW) for session in others]
    assert read == [None, None, others[2]]
    sessions.end(late := sessions.begin(NOW + LIFETIME, EVERYBODY), NOW + LIFETIME)  # the others' cookies are too old
    assert (tmp_path / ENDED_FILE).read_text() == f"{late.expires} {late.nonce}\n"


def test_sessions_of_nobody_are_not_written(sessions: Sessions, tmp_path: Path) -> None:
    session = sessions.begin(NOW)
    sessions.end(session, NOW)
    assert sessions.read(sessions.cookie(session), NOW) is None
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_ended_sessions_that_cannot_be_used_is_said(start: Start, tmp_path: Path) -> None:
    (tmp_path / ENDED_FILE).write_bytes(b"\xff nonsense")
    with pytest.raises(ConfigurationError, match="remove it and set another web.token"):
        start()
    sessions = Sessions(KEY, Tokens(Web(token="secret")), tmp_path / "nowhere" / ENDED_FILE)
    session = sessions.begin(NOW, EVERYBODY)
    with pytest.raises(OutOfResources, match="cannot be written"):
        sessions.end(session, NOW)
    assert sessions.read(sessions.cookie(session), NOW) is None  # until the next start


def test_each_session_has_its_own_token_against_forgery(sessions: Sessions) -> None:
    one, other = sessions.begin(NOW, EVERYBODY), sessions.begin(NOW, EVERYBODY)
    assert sessions.is_csrf(one, sessions.csrf(one))
    assert not sessions.is_csrf(one, sessions.csrf(other))
    assert not sessions.is_csrf(one, "")
    assert not sessions.is_csrf(one, "ä")


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
