"""What every page works with: the node as the pages see it, and the client."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request

from node.admin.metrics import Metrics
from node.audit import Recorder
from node.ledger.engine import Ledger
from node.predicting.predictions import Predictions
from node.settings import Settings
from node.web.access.guard import SESSION
from node.web.access.sessions import ENDED_FILE, Session, Sessions
from node.web.access.throttle import LoginThrottle
from node.web.access.tokens import TokenCheck, Tokens


@dataclass(frozen=True, slots=True)
class PageContext:
    """The node as the pages see it.

    Attributes
    ----------
    key
        The node's secret, from which the Transaction UIDs of the page's claims are made.
    waiting
        Number of messages in the queue of a task (`node.dispatch.broker`); raises QueueUnavailable.
    config, queue_url
        Handed to a command that the page starts.
    predictions
        Files that are predicted; None: none are.
    recording
        One thread that records what pages have shown, in order: no request waits for the ledger's write lock.
    """

    settings: Settings
    ledger: Ledger
    key: bytes
    waiting: Callable[[str], int]
    config: Path | None = None
    queue_url: str = ""
    clock: Callable[[], float] = time.time
    predictions: Predictions | None = None
    throttle: LoginThrottle = field(default_factory=LoginThrottle)
    audit: Recorder = field(default=None)  # type: ignore[assignment]  # made of the settings unless given
    metrics: Metrics = field(default=None)  # type: ignore[assignment]  # likewise
    sessions: Sessions = field(init=False)
    tokens: TokenCheck = field(init=False)
    recording: ThreadPoolExecutor = field(init=False, default_factory=lambda: ThreadPoolExecutor(1, "web-audit"))

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for a command that the page starts."""
        return dict(os.environ) | ({"READFIRST_QUEUE__URL": self.queue_url} if self.queue_url else {})

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", self.metrics or Metrics(self.settings, self.ledger, self.waiting))
        object.__setattr__(self, "audit", self.audit or Recorder(self.settings, self.ledger))
        object.__setattr__(
            self, "sessions", Sessions(self.key, Tokens(self.settings.web), self.settings.node.data / ENDED_FILE)
        )
        object.__setattr__(self, "tokens", TokenCheck(self.sessions.tokens, self.throttle))


def context_of(request: Request) -> PageContext:
    """The context that the app was made with."""
    context: PageContext = request.app.state.context
    return context


def address_of(request: Request) -> str:
    """The IP address of the client."""
    return request.client.host if request.client else ""


def session_of(request: Request) -> Session:
    """The client's session, which the guard has put there."""
    session: Session = request.scope[SESSION]
    return session
