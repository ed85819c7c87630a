"""The web server of the node: uvicorn in a thread of its own."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from node.errors import ConfigurationError
from node.settings import Web
from node.tls.renewal import RenewedContext
from node.web.request_timeout import RequestTimeoutProtocol

_log = structlog.get_logger(__name__)
_MOST_AT_ONCE = 256  # requests and open event streams; more get 503
_START_SECONDS, _END_SECONDS = 15.0, 2


@contextmanager
def serving(web: Web, app: ASGIApp) -> Iterator[None]:
    """Serve the app while the block runs; with `web.port = 0` nothing is served.

    Raises
    ------
    ConfigurationError
        The address or the certificate cannot be used.
    """
    if not web.port:
        yield
        return
    with _listening(web) as listener:
        server = _server(web, app)
        thread = threading.Thread(target=server.run, args=([listener],), name="web", daemon=True)
        thread.start()
        _wait_until_started(server, thread)
        _log.info("page for people", address=address(web))
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


def address(web: Web) -> str:
    """The URL of the page for people."""
    host = f"[{web.host}]" if ":" in web.host else web.host
    return web.public_url or f"{'https' if web.tls else 'http'}://{host}:{web.port}"


def _server(web: Web, app: ASGIApp) -> uvicorn.Server:
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # it would print values in exceptions; the app logs itself
    config = uvicorn.Config(
        app,
        http=RequestTimeoutProtocol,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MOST_AT_ONCE,
        timeout_graceful_shutdown=_END_SECONDS,
    )
    config.load()
    if web.tls:
        config.ssl = RenewedContext(web.tls, section="web.tls").context_of_each_connection()
    return uvicorn.Server(config)


@contextmanager
def _listening(web: Web) -> Iterator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in web.host else socket.AF_INET
        listener = socket.create_server((web.host, web.port), family=family, backlog=128)
    except OSError as error:
        raise ConfigurationError(
            f"web.port: {web.host}:{web.port} cannot be listened on ({error.strerror}): another program has it, or "
            "the address is not this machine's; name another, or 0 for no page"
        ) from error
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
