"""The sink `webhook` against an HTTP server written here, and its resources against FHIR R4's own models."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest
from fhir.resources.R4B.task import Task
from ports import free_port

from node.errors import NotAccepted, NotTaken, SinkUnreachable
from node.settings import Settings, Webhook, Worklist
from node.worklist.sinks import make_sinks
from node.worklist.sinks.webhook import Hook
from tests.node.authority import Authority
from tests.node.worklist.sinks.phantoms import REASON, STUDY, notice

MODELS: dict[str, Any] = {"Task": Task, "ServiceRequest": ServiceRequest}  # R4B: for these two the same elements as R4


@dataclass
class Server:
    """Keeps the requests; answers with a status and headers."""

    status: int = 201
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    port: int = 0

    @contextmanager
    def running(self, context: ssl.SSLContext | None = None) -> Iterator[Server]:
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                ours.requests.append((self.path, headers, json.loads(body)))
                if ours.raw:
                    self.wfile.write(ours.raw)
                    return
                self.send_response(ours.status)
                for name, value in ours.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                return

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            if context:
                server.socket = context.wrap_socket(server.socket, server_side=True)
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            yield self
            server.shutdown()
            thread.join(10)


def hook(url: str, **options: object) -> Hook:
    table = Webhook.model_validate({"url": url, "timeout": 1.0} | options)
    made = make_sinks(Settings(worklist=Worklist(sinks=("webhook",), webhook=table)))["webhook"]
    assert isinstance(made, Hook)
    return made


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(Server(*arguments, **options).running())


def send(server: Server, **options: object) -> str:
    return hook(f"http://127.0.0.1:{server.port}/fhir/Task?x=1", **options).send(notice())


@pytest.mark.parametrize("kind", MODELS)
def test_the_resource_is_valid_r4_and_says_what_was_decided(kind: str, serve: Callable[..., Server]) -> None:
    server = serve(201, {"Location": "http://127.0.0.1/fhir/Task/17/_history/1"})
    assert send(server, resource=kind) == "HTTP 201, http://127.0.0.1/fhir/Task/17/_history/1"
    path, headers, body = server.requests[0]
    assert path == "/fhir/Task?x=1"
    assert headers["content-type"] == "application/fhir+json; charset=utf-8"
    resource = MODELS[kind].model_validate(body)
    assert json.loads(resource.model_dump_json(exclude_none=True)) | {"authoredOn": ""} == body | {"authoredOn": ""}
    assert (resource.priority, resource.intent) == ("stat", "proposal")
    text = json.dumps(body, ensure_ascii=False)
    assert f"urn:oid:{STUDY}" in text
    assert "ACC|1" in text
    assert "47^11" in text
    assert REASON in text
    assert "Mül" not in text  # the name is not needed to find the study


def test_every_try_has_the_same_key_and_body(serve: Callable[..., Server]) -> None:
    server = serve()
    assert send(server) == send(server) == "HTTP 201"
    first, second = server.requests
    assert first == second
    assert first[1]["idempotency-key"] == '"0123456789abcdef0123"'
    assert first[1]["if-none-exist"] == "identifier=urn:readfirst:notice|0123456789abcdef0123"
    assert first[2]["identifier"] == [{"system": "urn:readfirst:notice", "value": "0123456789abcdef0123"}]


def test_tokens_come_from_the_settings_or_a_file_that_may_be_renewed(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server, file = serve(), tmp_path / "token"
    send(server)
    send(server, token="abc")
    for token in ("one", "two"):
        file.write_text(f"{token}\n")
        send(server, token_file=file)
    said = [headers.get("authorization") for _, headers, _ in server.requests]
    assert said == [None, "Bearer abc", "Bearer one", "Bearer two"]
    assert "abc" not in repr(hook("http://127.0.0.1/", token="abc"))
    file.write_text("one\r\nX-Evil: 1")
    with pytest.raises(NotTaken, match="token_file"):
        send(server, token_file=file)
    file.unlink()
    with pytest.raises(NotTaken, match="token_file"):
        send(server, token_file=file)


@pytest.mark.parametrize("status", [400, 405, 410, 412, 413, 415, 422])
def test_refusals(status: int, serve: Callable[..., Server]) -> None:
    with pytest.raises(NotAccepted, match=str(status)):
        send(serve(status))


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 408, 409, 425, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(status: int, serve: Callable[..., Server]) -> None:
    server = serve(status, {"Location": "/elsewhere"})
    with pytest.raises(NotTaken, match=str(status)):
        send(server)
    assert len(server.requests) == 1  # no redirect is followed


@pytest.mark.parametrize("raw", [b"HTTP/1.1 2", b"what?\r\n\r\n"])
def test_half_answers_are_none(raw: bytes, serve: Callable[..., Server]) -> None:
    with pytest.raises(NotTaken, match="no whole response"):
        send(serve(raw=raw))


def test_nobody_there() -> None:
    with pytest.raises(SinkUnreachable, match="cannot be reached"):
        hook(f"http://127.0.0.1:{free_port()}/").send(notice())


def test_https_wants_a_certificate_of_the_configured_authority(tmp_path: Path) -> None:
    files = Authority(tmp_path / "server").issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with Server().running(context) as server:
        url = f"https://127.0.0.1:{server.port}/"
        assert hook(url, ca=files.ca).send(notice()) == "HTTP 201"
        with pytest.raises(SinkUnreachable):
            hook(url).send(notice())
    assert len(server.requests) == 1
