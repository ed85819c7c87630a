"""HTTP requests must be received whole within a time: uvicorn waits without limit, and its connections are limited."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 10.0  # twice as long at most
_ENOUGH = 1 << 20  # bytes in that time that let a long body go on; how long a body may be its endpoint decides
_INCOMPLETE = (h11.IDLE, h11.SEND_BODY)


class RequestTimeoutProtocol(H11Protocol):
    """Closes a connection that has not finished the same request for a while; open event streams are finished ones.

    Where all connections are taken the oldest that has not finished a request makes room, of the address that has most
    of them: silent clients keep nobody out.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch it."""
        super().connection_made(transport)
        self._began = self.loop.time()
        self._received = 0
        self._make_room()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Count the bytes that are received."""
        self._received += len(data)
        super().data_received(data)

    def _make_room(self) -> None:
        live = [one for one in self.connections if not one.transport.is_closing()]
        if self.limit_concurrency is None or len(live) < self.limit_concurrency:
            return
        waiting = [one for one in live if isinstance(one, RequestTimeoutProtocol) and one._unfinished()]
        held = Counter(one._address for one in waiting)
        most = max(held.values())
        min((one for one in waiting if held[one._address] == most), key=lambda one: one._began).transport.abort()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _watch(self) -> None:
        self._seen: Any = self._unfinished()
        self.loop.call_later(REQUEST_SECONDS, self._look)

    def _look(self) -> None:
        if self.transport.is_closing() or self not in self.connections:  # it became a WebSocket
            return
        if self._seen is not None and self._seen == self._unfinished():
            self.transport.abort()
            return
        self._watch()

    def _unfinished(self) -> tuple[object, ...] | None:
        """The request that was not received whole yet."""
        state = self.conn.their_state
        return (self.cycle, state, self._received // _ENOUGH) if state in _INCOMPLETE else None
