"""What every page works with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from node.admin.metrics import Metrics
from node.audit import Recorder
from node.errors import OutOfResources
from node.ledger.engine import Ledger
from node.settings import Settings
from node.web.access.guard import SESSION
from node.web.access.sessions import ENDED_FILE, Brake, Session, Sessions
from node.worklist.items.statuses import UpsRefused

Form = Mapping[str, str]
_MOST_BYTES = 16384  # of a form


@dataclass(frozen=True, slots=True)
class Desk:
    """The node as the pages see it.

    Attributes
    ----------
    key
        The node's secret, from which the Transaction UIDs of the page's claims are made.
    waiting
        Number of messages in the queue of a task (`node.dispatch.broker`); raises QueueUnavailable.
    config, queue_url
        What a command that the page starts must be told.
    """

    settings: Settings
    ledger: Ledger
    key: bytes
    waiting: Callable[[str], int]
    config: Path | None = None
    queue_url: str = ""
    clock: Callable[[], float] = time.time
    brake: Brake = field(default_factory=Brake)
    audit: Recorder = field(default=None)  # type: ignore[assignment]  # made of the settings unless given
    metrics: Metrics = field(default=None)  # type: ignore[assignment]  # likewise
    sessions: Sessions = field(init=False)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for a command that the page starts."""
        return dict(os.environ) | ({"READFIRST_QUEUE__URL": self.queue_url} if self.queue_url else {})

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", self.metrics or Metrics(self.settings, self.ledger, self.waiting))
        object.__setattr__(self, "audit", self.audit or Recorder(self.settings, self.ledger))
        object.__setattr__(
            self, "sessions", Sessions(self.key, self.settings.web.token, self.settings.node.data / ENDED_FILE)
        )


def desk_of(request: Request) -> Desk:
    """The desk that the app was made with."""
    desk: Desk = request.app.state.desk
    return desk


def address_of(request: Request) -> str:
    """Where the visitor is."""
    return request.client.host if request.client else ""


def session_of(request: Request) -> Session:
    """The visitor's session, which the guard has put there."""
    session: Session = request.scope[SESSION]
    return session


def posting(work: Callable[[Request, Form], Response]) -> Callable[[Request], object]:
    """An endpoint that reads a form and does its work beside the event loop; refusals become sentences."""

    async def endpoint(request: Request) -> Response:
        form = await _form(request)
        try:
            return await run_in_threadpool(work, request, form)
        except UpsRefused as refusal:
            raise HTTPException(409, f"Not done: {refusal}.") from refusal
        except OutOfResources as error:
            raise HTTPException(503, "Not done: the ledger cannot be written now. Try again.") from error

    return endpoint


async def _form(request: Request) -> Form:
    """The fields of a form (application/x-www-form-urlencoded), the last of each name."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, "That is too much for a form.")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise HTTPException(400, "That is no form.") from error
