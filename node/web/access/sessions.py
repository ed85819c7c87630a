"""Sessions of the page: signed cookies, tokens against forged requests, and a throttle for those who guess."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from node.durable import replace_file
from node.errors import ConfigurationError, OutOfResources

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
    """A client's session: `known` after a login; `expires` in seconds since 1970 UTC."""

    nonce: str
    expires: int
    known: bool


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
    """Makes and reads session cookies. Another `token` makes all of them invalid, a restart of the node none.

    Parameters
    ----------
    key
        The node's secret.
    token
        What people log in with; empty where everybody who reaches the page may see it.
    ended
        The file of those who logged out.
    """

    def __init__(self, key: bytes, token: str, ended: Path) -> None:
        self._key = hmac.digest(key, b"session\0" + token.encode(), "sha256")
        self._token = token
        self._ended = EndedSessions(ended)

    @property
    def required(self) -> bool:
        """Whether people have to log in."""
        return bool(self._token)

    def is_token(self, given: str) -> bool:
        """Whether it is the token; takes the same time for every wrong one."""
        ours, theirs = (hashlib.sha256(text.encode(errors="replace")).digest() for text in (self._token, given))
        return hmac.compare_digest(ours, theirs) and self.required

    def begin(self, now: float, *, known: bool) -> Session:
        """A new session; always a new one at a login, so that nobody can prepare it."""
        return Session(secrets.token_urlsafe(18), int(now) + LIFETIME, known)

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
        text = f"{session.nonce}.{session.expires}.{int(session.known)}"
        return f"{text}.{self._sign('cookie', text)}"

    def read(self, cookie: str, now: float) -> Session | None:
        """The session of a cookie; None where it is forged, too old or ended."""
        text, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("cookie", text).encode()):
            return None
        nonce, expires, known = text.split(".")
        if int(expires) <= now or nonce in self._ended:
            return None
        return Session(nonce, int(expires), known == "1")

    def csrf(self, session: Session) -> str:
        """The X-CSRF-Token that each request of this session must have if it changes something."""
        return self._sign("csrf", session.nonce)

    def is_csrf(self, session: Session, given: str) -> bool:
        """Whether it is this session's."""
        return hmac.compare_digest(given.encode(), self.csrf(session).encode())

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}\0{text}".encode(errors="replace"), "sha256").hexdigest()


class LoginThrottle:
    """Slows down those who guess the token: so many failures a minute from one address, and from all together."""

    def __init__(self, each: int = 5, together: int = 50, seconds: float = 60.0) -> None:
        self._each, self._together, self._seconds = each, together, seconds
        self._failures: deque[tuple[float, str]] = deque(maxlen=together)
        self._lock = threading.Lock()

    def wait(self, address: str, now: float) -> float:
        """Seconds until this address may try again; 0 now."""
        with self._lock:
            recent = [(at, who) for at, who in self._failures if at > now - self._seconds]
            own = [at for at, who in recent if who == address]
            if len(own) >= self._each:
                return own[-self._each] + self._seconds - now
            if len(recent) >= self._together:
                return recent[0][0] + self._seconds - now
        return 0.0

    def failed(self, address: str, now: float) -> None:
        """Count a wrong token of this address."""
        with self._lock:
            self._failures.append((now, address))
