from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import ConfigurationError
from node.web.sessions import LIFETIME, Brake, Sessions, read_key

KEY, NOW = b"k" * 32, 1000.0


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(KEY, "secret")


def test_a_cookie_is_read_back(sessions: Sessions) -> None:
    session = sessions.begin(NOW, known=True)
    assert sessions.read(sessions.cookie(session), NOW) == session
    assert Sessions(KEY, "secret").read(sessions.cookie(session), NOW) == session  # after a restart


def test_a_changed_cookie_is_worthless(sessions: Sessions) -> None:
    cookie = sessions.cookie(sessions.begin(NOW, known=False))
    assert sessions.read(cookie.replace(".0.", ".1."), NOW) is None
    assert all(sessions.read(text, NOW) is None for text in ("", ".", "...", "a.b", "ä.9.1.ö", cookie[:-1]))


def test_another_token_or_key_makes_cookies_worthless(sessions: Sessions) -> None:
    cookie = sessions.cookie(sessions.begin(NOW, known=True))
    assert Sessions(KEY, "other").read(cookie, NOW) is None
    assert Sessions(b"j" * 32, "secret").read(cookie, NOW) is None


def test_a_session_ends_after_a_shift_and_at_log_out(sessions: Sessions) -> None:
    session = sessions.begin(NOW, known=True)
    cookie = sessions.cookie(session)
    assert sessions.read(cookie, NOW + LIFETIME - 1) == session
    assert sessions.read(cookie, NOW + LIFETIME) is None
    sessions.end(session)
    assert sessions.read(cookie, NOW) is None


def test_each_session_has_its_own_token_against_forgery(sessions: Sessions) -> None:
    one, other = sessions.begin(NOW, known=True), sessions.begin(NOW, known=True)
    assert sessions.is_csrf(one, sessions.csrf(one))
    assert not sessions.is_csrf(one, sessions.csrf(other))
    assert not sessions.is_csrf(one, "")
    assert not sessions.is_csrf(one, "ä")


def test_the_token_is_right_or_wrong(sessions: Sessions) -> None:
    assert sessions.is_token("secret")
    assert not any(map(sessions.is_token, ("", "secre", "secret ", "SECRET", "\udce4")))
    assert not Sessions(KEY, "").is_token("")  # none is required, none is right


def test_who_guesses_waits() -> None:
    brake = Brake(each=3, together=5, seconds=60.0)
    for second in range(3):
        assert brake.wait("a", NOW + second) == 0
        brake.failed("a", NOW + second)
    assert brake.wait("a", NOW + 3) == 57.0
    assert brake.wait("b", NOW + 3) == 0
    assert brake.wait("a", NOW + 60.5) == 0


def test_who_guesses_from_many_addresses_waits_too() -> None:
    brake = Brake(each=3, together=5, seconds=60.0)
    for number in range(5):
        brake.failed(f"a{number}", NOW + number)
    assert brake.wait("new", NOW + 10) == 50.0


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
