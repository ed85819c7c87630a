"""`/predict` where no worker answers: who may, what is refused at once, and what is left afterwards."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import jsonschema
import numpy as np
import pytest
from PIL import Image
from structlog.testing import capture_logs

from node.dispatch.broker import Broker, make_app
from node.predicting import openapi
from node.predicting.predictions import Notify, Predictions
from node.settings import Limits, Settings, WebToken
from node.web import request_timeout
from tests.node.web.conftest import Serve, Site
from tests.waiting import wait_until

TOKEN, PREDICTS, READS = "a long token of ours", "a token that predicts", "a token that only reads"
TOKENS = {
    "tool": WebToken(token=PREDICTS, rights=("predict",)),
    "wall": WebToken(token=READS, rights=("read",)),
}


def png(rows: int = 8) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.zeros((rows, rows), np.uint8)).save(content, "PNG")
    return content.getvalue()


PNG = png()


def predictions(settings: Settings, notify: Notify = lambda *_: None, **limits: float) -> Predictions:
    own = settings.model_copy(update={"limits": Limits.model_validate({"prediction_seconds": 0.3} | limits)})
    made = Predictions(own, notify)
    made.spool.prepare()
    return made


@pytest.fixture
def site(serve: Serve, settings: Settings) -> Iterator[Site]:
    """Without a token, on loopback; nothing may be left in the spool when the test ends."""
    made = predictions(settings, prediction_mb=1, predictions=2)
    yield serve(predictions=made)
    wait_until(lambda: not list(made.spool.folder.iterdir()))


def described(answer: httpx.Response) -> httpx.Response:
    """The answer, which is as the OpenAPI description says."""
    document = openapi.document()
    response = document["paths"]["/predict"]["post"]["responses"][str(answer.status_code)]
    media = answer.headers["content-type"].partition(";")[0]
    schema = response["content"][media]["schema"]
    if media == "application/json":
        jsonschema.validate(answer.json(), schema | {"components": document["components"]})
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))
    return answer


def post(site: Site, content: bytes = PNG, query: str = "", **headers: str) -> httpx.Response:
    return described(site.client.post(f"/predict{query}", content=content, headers=headers))


def test_where_no_worker_is_free_it_may_be_tried_again(site: Site) -> None:
    answer = post(site)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json() == {"error": "No worker was free within 0.3 s."}


def test_what_is_too_long_is_refused_before_and_while_it_comes(site: Site) -> None:
    long = PNG + bytes(1 << 20)
    assert post(site, long).status_code == 413

    def chunks() -> Iterator[bytes]:
        yield PNG
        for _ in range(40):
            yield bytes(1 << 15)

    answer = described(site.client.post("/predict", content=chunks()))
    assert answer.status_code == 413
    assert answer.json() == {"error": "The file is longer than limits.prediction_mb = 1 MiB."}


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"--x\r\nContent-Disposition: form-data\r\n\r\n", bytes(5000)])
def test_what_is_of_no_kind_that_is_read_is_refused_whatever_it_calls_itself(site: Site, content: bytes) -> None:
    answer = post(site, content, **{"Content-Type": "application/dicom"})
    assert answer.status_code == 415
    assert answer.json()["error"].startswith("The body is no DICOM, PNG, JPEG or NIfTI file")


@pytest.mark.parametrize("query", ["?package=none", "?package=../x", "?maps=gif", "?pictures=1", "?store=true"])
def test_a_wrong_parameter_is_named(site: Site, query: str) -> None:
    assert post(site, query=query).status_code == 400


def test_of_many_at_once_the_first_go_on_and_the_others_are_refused(site: Site) -> None:
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(post(site))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sentences = sorted(answer.json()["error"] for answer in answers)
    assert {answer.status_code for answer in answers} == {503}
    assert "2 files are being predicted, no more are taken at once." in sentences
    assert "No worker was free within 0.3 s." in sentences
    assert site.client.get("/status").status_code == 200


def test_who_sends_slowly_is_given_up(serve: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_timeout, "REQUEST_SECONDS", 30.0)
    made = predictions(settings)
    site = serve(predictions=made)
    with socket.create_connection(("127.0.0.1", site.context.settings.web.port), timeout=10) as sock:
        sock.sendall(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n" + PNG)
        assert sock.recv(1000).startswith(b"HTTP/1.1 408")
    wait_until(lambda: not list(made.spool.folder.iterdir()))


def test_a_long_file_that_keeps_coming_is_not_cut_off(
    serve: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_timeout, "REQUEST_SECONDS", 0.2)
    site = serve(predictions=predictions(settings, prediction_seconds=20.0, prediction_mb=16, predictions=1))

    def slowly() -> Iterator[bytes]:
        yield PNG
        for _ in range(12):
            time.sleep(0.1)
            yield bytes(1 << 20)
        yield bytes(4 << 20)

    assert described(site.client.post("/predict", content=slowly(), timeout=30)).status_code == 413


def test_who_leaves_is_forgotten_at_once(serve: Serve, settings: Settings) -> None:
    made = predictions(settings, prediction_seconds=60.0)
    site = serve(predictions=made)
    with capture_logs() as logs:
        with socket.create_connection(("127.0.0.1", site.context.settings.web.port)) as sock:
            head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(PNG)}\r\n\r\n"
            sock.sendall(head.encode() + PNG)
            wait_until(lambda: bool(list(made.spool.folder.iterdir())))
        wait_until(lambda: not list(made.spool.folder.iterdir()))
        with socket.create_connection(("127.0.0.1", site.context.settings.web.port)) as sock:
            sock.sendall(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n" + PNG)
        wait_until(lambda: sum(one["event"] == "prediction" for one in logs) + made._open == 1)
    assert not [one for one in logs if one["log_level"] == "error"]


def test_without_a_queue_it_may_be_tried_again(serve: Serve, settings: Settings) -> None:
    nowhere = Broker(make_app("redis+socket:///nowhere", 600.0))
    answer = post(serve(predictions=predictions(settings, nowhere.predict)))
    assert answer.status_code == 503
    assert answer.json() == {"error": "The queue to the workers cannot be reached now."}


def test_a_full_disk_takes_nothing(serve: Serve, settings: Settings) -> None:
    node = settings.node.model_copy(update={"min_free_mb": 1 << 40})
    answer = post(serve(predictions=predictions(settings.model_copy(update={"node": node}))))
    assert (answer.status_code, answer.json()["error"]) == (503, "The disk has no room for the file now.")


def test_it_can_be_switched_off(serve: Serve, settings: Settings) -> None:
    site = serve(predictions=predictions(settings, predictions=0))
    assert post(site).json() == {"error": "limits.predictions is 0: this node predicts no files."}
    assert "/predict" not in site.client.get("/").text


def test_each_token_may_do_what_its_rights_say(serve: Serve, settings: Settings) -> None:
    site = serve(predictions=predictions(settings), token=TOKEN, tokens=TOKENS)

    def asked(token: str) -> int:
        return post(site, Authorization=f"Bearer {token}").status_code

    assert (asked(PREDICTS), asked(TOKEN), asked(READS), asked("a guess")) == (503, 503, 403, 401)
    assert post(site).status_code == 401  # none
    for path, status in {"/predict": 200, "/predict/openapi.json": 200, "/": 403, "/metrics": 403}.items():
        assert site.client.get(path, headers={"Authorization": f"Bearer {PREDICTS}"}).status_code == status, path
    page = site.client.get("/", headers={"Authorization": f"Bearer {READS}"})
    assert 'href="/predict"' not in page.text


def test_another_sites_page_cannot_have_anything_predicted(site: Site) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert post(site, **headers).status_code == 403
    assert post(site, Host="evil.example").status_code == 421
    assert post(site, Origin=site.url).status_code == 403  # our own page, without its session's token
    csrf = site.csrf("/predict")
    assert post(site, **{"Origin": site.url, "X-CSRF-Token": csrf}).status_code == 503


def test_the_description_is_served(site: Site) -> None:
    assert site.client.get("/predict/openapi.json").json() == openapi.document()
