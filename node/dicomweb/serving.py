"""Serves UPS-RS below `/dicomweb`: uvicorn in a thread of its own, the token before everything."""

from __future__ import annotations

import hmac
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from node.dicomweb.routes import routes
from node.dicomweb.workitems import Desk
from node.errors import ConfigurationError
from node.settings import Web

_LOG = structlog.get_logger(__name__)
_START_SECONDS, _END_SECONDS = 15.0, 2
BASE = "/dicomweb"


class Bearer:
    """Lets in who sends the token as `Authorization: Bearer …`, everybody where there is none.

    Requests that a browser makes for another site are refused: whoever needs no token would obey any page.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if scope["type"] == "lifespan" or self._may(Headers(scope=scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _may(self, headers: Headers) -> bool:
        if "origin" in headers:
            return False
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
        return not self._token or hmac.compare_digest(given.encode(), self._token.encode())


@contextmanager
def serving(web: Web, desk: Desk) -> Iterator[None]:
    """Serve while the block runs, on its address; with `web.port = 0` nothing is served.

    Raises
    ------
    ConfigurationError
        The address cannot be listened on.
    """
    if not web.port:
        yield
        return
    with _listening(web) as listener:
        app = Bearer(Starlette(routes=[Mount(BASE, routes=routes(desk))]), web.token)
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # it would print values in exceptions
        server = uvicorn.Server(
            uvicorn.Config(
                app, access_log=False, log_config=None, proxy_headers=False, server_header=False, lifespan="off",
                timeout_graceful_shutdown=_END_SECONDS,
            )
        )  # fmt: skip
        thread = threading.Thread(target=server.run, args=([listener],), name="web", daemon=True)
        thread.start()
        _wait_until_started(server, thread)
        _LOG.info("serving UPS-RS", address=f"http://{web.host}:{web.port}{BASE}")
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def _listening(web: Web) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in web.host else socket.AF_INET
    try:
        listener = socket.create_server((web.host, web.port), family=family)
    except OSError as error:
        message = f"web.host and web.port: {web.host}:{web.port} cannot be listened on: {error.strerror}"
        raise ConfigurationError(message) from error
    with listener:
        yield listener


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    waited = threading.Event()
    for _ in range(int(_START_SECONDS / 0.01)):
        if server.started:
            return
        if not thread.is_alive():
            break
        waited.wait(0.01)
    raise ConfigurationError("the web server did not start; see the log")
