"""Who asks for nothing, or for ever, keeps nobody else from the page."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from ports import free_port
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from node.settings import Web
from node.web import request_timeout, server
from tests.waiting import at_most


async def whole(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def stream(_request: Request) -> StreamingResponse:
    async def numbers() -> AsyncIterator[str]:
        for number in range(8):
            await asyncio.sleep(0.2)
            yield f"{number}\n"

    return StreamingResponse(numbers())


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(request_timeout, "REQUEST_SECONDS", 0.3)
    web = Web(port=free_port())
    app = Starlette(routes=[Route("/", whole, methods=["GET", "POST"]), Route("/stream", stream)])
    with server.serving(web, app):
        yield web.port


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET / HT",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHo",  # one that is answered, and half of the next
    ],
)
def test_a_request_that_does_not_come_whole_is_given_up(port: int, begin: bytes) -> None:
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(begin)
        try:
            while sock.recv(1000):
                pass
        except ConnectionResetError:
            pass
    assert 0.2 < time.monotonic() - start < at_most(3)


def test_silent_connections_do_not_close_the_page(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_timeout, "REQUEST_SECONDS", 60.0)
    silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(2 * server._MOST_AT_ONCE)]
    try:
        with httpx.Client(trust_env=False) as client:
            assert [client.get(f"http://127.0.0.1:{port}/").status_code for _ in range(3)] == [200] * 3
    finally:
        for sock in silent:
            sock.close()


def test_who_reads_a_stream_or_asks_again_and_again_is_left_alone(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_timeout, "REQUEST_SECONDS", 1.0)  # each takes longer than that, and no pause does
    with httpx.Client(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/stream").text.split() == list("01234567")
        for _ in range(8):
            time.sleep(0.15)
            assert client.post("/", content=b"abc").text == "3"
