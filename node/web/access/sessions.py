"""Sessions of the page: signed cookies, and tokens against forged requests."""

from __future__ import annotations

import hmac
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from node.durable import replace_file
from node.errors import ConfigurationError, OutOfResources
from node.web.access.tokens import Grant, Tokens

LIFETIME = 12 * 3600  # seconds that a login lasts: a shift
KEY_FILE = "web.key"  # below the data folder, for this user alone
ENDED_FILE = "web.ended"  # beside it: who logged out
_KEY_BYTES = 32


def read_key(data: Path) -> bytes:
    """The node's own secret, made at the first start.

    Raises
    ------
    ConfigurationError
        It cannot be read or made.
    """
    path = data / KEY_FILE
    try:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
        key = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the page's key {path} cannot be used: {error.strerror}") from error
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(f"the page's key {path} is not whole: remove it, a new one is made")
    return key


@dataclass(frozen=True, slots=True)
class Session:
    """A client's session: with a `grant` after a login; `expires` in seconds since 1970 UTC."""

    nonce: str
    expires: int
    grant: Grant | None

    @property
    def known(self) -> bool:
        """Whether somebody has logged in."""
        return self.grant is not None


class EndedSessions:
    """The sessions of those who logged out, kept in a small file until their cookies would be too old anyway.

    A line a session: when it expires, its nonce. Who reads it can make no cookie of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._expires = _read_ended(path)

    def __contains__(self, nonce: str) -> bool:
        return nonce in self._expires

    def add(self, session: Session, now: float) -> None:
        """Invalid from here on, and after the next start if it can be written."""
        with self._lock:
            kept = {nonce: expires for nonce, expires in self._expires.items() if expires > now}
            self._expires = kept | {session.nonce: session.expires}
            if session.known:  # one that nobody has logged in with gives no access
                content = "".join(f"{expires} {nonce}\n" for nonce, expires in self._expires.items())
                try:
                    replace_file(self._path, content.encode("ascii"))
                except OSError as error:
                    raise OutOfResources(f"{self._path} cannot be written: {error.strerror}") from error


def _read_ended(path: Path) -> dict[str, int]:
    try:
        lines = [line.split() for line in path.read_text("ascii").splitlines()]
        return {nonce: int(expires) for expires, nonce in lines}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: remove it and set another web.token, else sessions that ended may be used again"
        ) from error


class Sessions:
    """Makes and reads session cookies. Other tokens make all of them invalid, a restart of the node none.

    Parameters
    ----------
    key
        The node's secret.
    tokens
        What people log in with; none where everybody who reaches the page may do everything.
    ended
        The file of those who logged out.
    """

    def __init__(self, key: bytes, tokens: Tokens, ended: Path) -> None:
        self._key = hmac.digest(key, b"session\0" + tokens.secret, "sha256")
        self.tokens = tokens
        self._ended = EndedSessions(ended)

    def begin(self, now: float, grant: Grant | None = None) -> Session:
        """A new session; always a new one at a login (`grant`), so that nobody can prepare it."""
        return Session(secrets.token_urlsafe(18), int(now) + LIFETIME, grant)

    def end(self, session: Session, now: float) -> None:
        """Make a session invalid, also where its cookie was kept.

        Raises
        ------
        OutOfResources
            It is invalid until the next start only.
        """
        self._ended.add(session, now)

    def cookie(self, session: Session) -> str:
        """The cookie's value."""
        text = f"{session.nonce}.{session.expires}.{session.grant.name if session.grant else '-'}"
        return f"{text}.{self._sign('cookie', text)}"

    def read(self, cookie: str, now: float) -> Session | None:
        """The session of a cookie; None where it is forged, too old or ended."""
        text, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("cookie", text).encode()):
            return None
        nonce, expires, name = text.split(".")
        if int(expires) <= now or nonce in self._ended:
            return None
        return Session(nonce, int(expires), self.tokens.named(name))

    def csrf(self, session: Session) -> str:
        """The X-CSRF-Token that each request of this session must have if it changes something."""
        return self._sign("csrf", session.nonce)

    def is_csrf(self, session: Session, given: str) -> bool:
        """Whether it is this session's."""
        return hmac.compare_digest(given.encode(), self.csrf(session).encode())

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}\0{text}".encode(errors="replace"), "sha256").hexdigest()
