"""Changes, sent to every open page at once (server-sent events, WHATWG HTML 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy import Connection, func, select
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from node.errors import OutOfResources
from node.ledger.engine import Ledger
from node.ledger.tables import EVENT, WORK_ITEM

Mark = tuple[int | None, float | None]
_TICK, _SILENCE = 0.2, 15.0  # seconds between looks at the ledger; after so long a comment keeps the line open


def mark(connection: Connection) -> Mark:
    """Differs when a study or a work item has changed; two looks into an index."""
    events = connection.execute(select(func.max(EVENT.c.id))).scalar()
    return events, connection.execute(select(func.max(WORK_ITEM.c.updated_at))).scalar()


class Watch:
    """Looks at the ledger for all open pages together, as long as there is one; others write it, mostly workers."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._news = asyncio.Condition()
        self._number, self._listeners = 0, 0
        self._last: Mark | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look while the block runs."""
        task = asyncio.create_task(self._look())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def stream(self) -> AsyncIterator[str]:
        """Events for one page: `changed`, with a number that grows, for each change after the first line."""
        self._listeners += 1
        try:
            if self._last is None:
                self._last = await run_in_threadpool(self._mark)
            seen = self._number
            yield "retry: 1000\n\n"
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SILENCE), self._news:
                        await self._news.wait_for(lambda: self._number != seen)  # noqa: B023
                changed = self._number != seen
                seen = self._number
                yield f"event: changed\ndata: {seen}\n\n" if changed else ": still here\n\n"
        finally:
            self._listeners -= 1

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            if not self._listeners:
                self._last = None
            if self._last is None:
                continue
            with suppress(OutOfResources):  # logged elsewhere; the next look may succeed
                now = await run_in_threadpool(self._mark)
                if now != self._last:
                    self._last = now
                    async with self._news:
                        self._number += 1
                        self._news.notify_all()

    def _mark(self) -> Mark:
        with self._ledger.read() as connection:
            return mark(connection)


def events(request: Request) -> StreamingResponse:
    """`GET /events`."""
    watch: Watch = request.app.state.watch
    return StreamingResponse(watch.stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
