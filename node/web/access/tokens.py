"""Tokens and what each permits; guesses are slowed down also where one of them is right."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from node.settings import ALL_RIGHTS, Web, WebRight
from node.web.access.throttle import LoginThrottle

GRANT = "readfirst.grant"  # key in the ASGI scope


@dataclass(frozen=True, slots=True)
class Grant:
    """Who a token names, and what it may do."""

    name: str
    rights: frozenset[WebRight]
    ae_title: str = ""

    def acts_for(self, ae_title: str) -> bool:
        """Whether it may change the subscriptions of this AE title, and receive its events."""
        return "subscriptions" in self.rights or (bool(ae_title) and ae_title == self.ae_title)


EVERYBODY = Grant("", frozenset(ALL_RIGHTS))
"""Where there is no token, whoever reaches the page may do everything."""


def acts_for(request: HTTPConnection, ae_title: str) -> bool:
    """Whether who asks may act for a subscriber; the guard has put the grant there."""
    grant: Grant = request.scope[GRANT]
    return grant.acts_for(ae_title)


def may(request: HTTPConnection, right: WebRight) -> bool:
    """Whether who asks has this right."""
    grant: Grant = request.scope[GRANT]
    return right in grant.rights


class Tokens:
    """The tokens of `[web]`."""

    def __init__(self, web: Web) -> None:
        self._grants: Sequence[tuple[bytes, Grant]] = [
            *([(_digest(web.token), EVERYBODY)] if web.token else []),
            *(
                (_digest(one.token), Grant(name, frozenset(one.rights), one.ae_title or ""))
                for name, one in web.tokens.items()
            ),
        ]

    @property
    def required(self) -> bool:
        """Whether people have to log in."""
        return bool(self._grants)

    @property
    def secret(self) -> bytes:
        """Differs where any token does."""
        return b"".join(digest for digest, _ in self._grants)

    def find(self, given: str) -> Grant | None:
        """What a token permits, None where it is none; takes the same time for every wrong one."""
        theirs, found = _digest(given), None
        for ours, grant in self._grants:
            if hmac.compare_digest(ours, theirs):
                found = grant
        return found

    def named(self, name: str) -> Grant | None:
        """The grant of a session's token; None where the settings have it no more."""
        return next((grant for _, grant in self._grants if grant.name == name), None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of a check: a grant, or `wait` seconds, or neither where the token is wrong."""

    grant: Grant | None = None
    wait: float = 0.0


class TokenCheck:
    """Checks tokens, so many wrong ones a minute; the next ones get no answer, right or wrong.

    An address from which a token was right before goes on with that one: who guesses locks no program out that works.
    """

    def __init__(self, tokens: Tokens, throttle: LoginThrottle) -> None:
        self._tokens, self._throttle = tokens, throttle
        self._proven: set[tuple[str, bytes]] = set()

    def check(self, address: str, given: str, now: float) -> Attempt:
        """Check one token from an address; a wrong one counts."""
        proven = (address, _digest(given))
        if proven not in self._proven and (wait := self._throttle.wait(address, now)):
            return Attempt(wait=wait)
        grant = self._tokens.find(given)
        if grant is None:
            self._throttle.failed(address, now)
        else:
            self._proven.add(proven)
        return Attempt(grant)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
