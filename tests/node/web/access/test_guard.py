"""The guard, asked over the network as browsers, programs and attackers ask."""

from __future__ import annotations

import hashlib
import re
import socket
import time

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from node.settings import ALL_RIGHTS, WebRight, WebToken
from node.web.context import PageContext
from node.web.pages.rendering import STATIC
from tests.node.phantoms import STUDY
from tests.node.web.conftest import Serve, Site
from tests.waiting import wait_until

TOKEN = "a long token of ours"
RIGHT_BY_CHANCE = "another token that is right"
PAGES = ("/", "/status", "/feedback.csv", f"/study/{STUDY}", "/picture/1", "/status/panel")
CHANGES = (
    "/lines",
    f"/study/{STUDY}/feedback",
    f"/status/retry/{STUDY}",
    "/item/1.2/claim",
    "/status/check",
    "/logout",
)


@pytest.fixture
def locked(serve: Serve) -> Site:
    return serve(token=TOKEN)


def give_token(site: Site, token: str) -> httpx.Response:
    headers = {"Origin": site.url, "X-CSRF-Token": site.csrf("/login")}
    return site.client.post("/login", data={"token": token}, headers=headers)


def test_with_a_token_every_page_sends_to_the_login(locked: Site) -> None:
    for path in PAGES:
        answer = locked.client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login"), path
    assert locked.client.get("/events").status_code == 401
    assert locked.client.get("/", headers={"HX-Request": "true"}).headers["hx-redirect"] == "/login"
    for path in CHANGES:
        assert locked.post(path, token=locked.csrf("/login")).status_code == 401, path


def test_the_token_opens_and_logging_out_closes(locked: Site) -> None:
    before = dict(locked.client.cookies)
    assert give_token(locked, TOKEN).headers["hx-redirect"] == "/"
    inside = dict(locked.client.cookies)
    assert inside != before  # nobody can have prepared it
    assert locked.client.get("/").status_code == 200
    assert locked.client.get("/login").headers["location"] == "/"
    assert locked.post("/logout").headers["hx-redirect"] == "/login"
    locked.client.cookies = httpx.Cookies(inside)  # who has kept it
    assert locked.client.get("/").status_code == 303
    port = locked.context.settings.web.port
    after = PageContext(
        locked.context.settings, locked.context.ledger, locked.context.key, lambda _: 0
    )  # the node was started anew
    assert after.sessions.read(inside[f"readfirst-{port}"], time.time()) is None


def test_the_cookie_is_for_this_site_and_no_script(locked: Site) -> None:
    cookie = locked.client.get("/login").headers["set-cookie"]
    assert re.fullmatch(r"readfirst-\d+=[^;]+; Path=/; HttpOnly; SameSite=Strict", cookie)


def test_behind_a_tls_proxy_the_cookie_is_secure_and_the_public_name_is_ours(serve: Serve) -> None:
    site = serve(token=TOKEN, public_url="https://readfirst.hospital.example")
    host = {"Host": "readfirst.hospital.example"}
    answer = site.client.get("/login", headers=host)
    assert answer.headers["set-cookie"].startswith("__Host-readfirst-")
    assert answer.headers["set-cookie"].endswith("; HttpOnly; SameSite=Strict; Secure")
    assert "max-age" in answer.headers["strict-transport-security"]
    cookie = answer.headers["set-cookie"].split(";")[0]
    token = answer.text.split('"X-CSRF-Token": "')[1].split('"')[0]
    typed = {"Origin": "https://readfirst.hospital.example", "X-CSRF-Token": token, "Cookie": cookie}
    for name in (host, {}):  # whether or not the proxy hands on the name that people typed
        assert site.client.post("/login", data={"token": "wrong"}, headers=name | typed).status_code == 401


def test_who_guesses_is_slowed_down_and_logged_without_the_token(locked: Site) -> None:
    with capture_logs() as logs:
        answers = [give_token(locked, f"guess {number}") for number in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert [line["event"] for line in logs] == ["wrong token"] * 5
    assert "guess" not in str(logs)


def test_who_guesses_is_not_told_when_one_is_right_and_ends_no_session(serve: Serve) -> None:
    locked = serve(token=TOKEN, tokens={"other": WebToken(token=RIGHT_BY_CHANCE, rights=("read",))})
    assert give_token(locked, TOKEN).headers["hx-redirect"] == "/"
    inside = dict(locked.client.cookies)
    locked.client.cookies.clear()
    for number in range(6):  # from the same address, as behind a proxy
        give_token(locked, f"guess {number}")
    assert give_token(locked, RIGHT_BY_CHANCE).status_code == 429
    locked.client.cookies = httpx.Cookies(inside)
    assert locked.client.get("/").status_code == 200
    assert locked.client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    ("right", "path", "method"),
    [
        ("read", "/", "GET"), ("read", "/dicomweb/workitems", "GET"), ("read", "/status", "GET"),
        ("metrics", "/metrics", "GET"), ("change", "/dicomweb/workitems", "POST"),
        ("read", "/dicomweb/workitems/1.2/subscribers/A", "POST"),
    ],
)  # fmt: skip
def test_each_token_has_its_own_rights(serve: Serve, right: WebRight, path: str, method: str) -> None:
    others = tuple(one for one in ALL_RIGHTS if one != right)
    tables = {
        "with": WebToken(token="with the right to do it", rights=(right,)),
        "without": WebToken(token="without the right to it", rights=others),
    }
    route = Route("/{rest:path}", lambda _request: PlainTextResponse("done"), methods=["GET", "POST"])
    site = serve(tokens=tables, api=(route,))
    codes = {}
    for name, table in tables.items():
        answer = site.client.request(method, path, headers={"Authorization": f"Bearer {table.token}"})
        codes[name] = answer.status_code
    assert codes == {"with": 200, "without": 403}
    assert site.client.request(method, path).status_code in (303, 401, 403)


def test_a_login_has_the_rights_of_its_token(serve: Serve) -> None:
    token = "a token that only reads"
    site = serve(tokens={"screen": WebToken(token=token, rights=("read",))})
    assert give_token(site, token).headers["hx-redirect"] == "/"
    assert site.client.get("/").status_code == 200
    assert site.post("/lines").status_code == 200
    answer = site.post(f"/status/retry/{STUDY}")
    assert (answer.status_code, answer.text) == (403, "Your token has no right to change anything.\n")
    assert site.client.get("/metrics").status_code == 403
    assert site.post("/logout").headers["hx-redirect"] == "/login"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "localhost.evil"]
)
def test_another_hosts_name_is_refused(site: Site, host: str) -> None:
    for path in ("/", "/static/readfirst.js", "/events"):
        assert site.client.get(path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8080", "[::1]:8080", "10.0.0.5", "LOCALHOST"])
def test_addresses_and_our_own_names_are_taken(site: Site, host: str) -> None:
    assert site.client.get("/", headers={"Host": host}).status_code == 200


def test_our_machines_name_is_taken(site: Site) -> None:
    assert site.client.get("/", headers={"Host": f"{socket.gethostname()}:8080"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_change_that_another_site_asks_for_is_refused(site: Site, headers: dict[str, str]) -> None:
    token = {"X-CSRF-Token": site.csrf()}
    for path in CHANGES:
        assert site.client.post(path, headers=headers | token).status_code == 403, path


def test_a_change_without_the_sessions_token_is_refused(site: Site) -> None:
    site.csrf()
    for path in CHANGES:
        assert site.post(path, token="").status_code == 403, path
        assert site.post(path, token="0" * 64).status_code == 403, path
    token = site.csrf()
    site.client.cookies.clear()
    assert site.client.post("/lines", headers={"Origin": site.url, "X-CSRF-Token": token}).status_code == 403


def test_a_change_from_the_page_is_done(site: Site) -> None:
    assert site.post("/lines").status_code == 200


def test_every_answer_carries_the_headers_that_browsers_obey(locked: Site) -> None:
    paths = ("/login", "/", "/nowhere", "/static/readfirst.css", "/static/nothing")
    for path in paths:
        headers = locked.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")
        assert "server" not in headers


def test_no_page_holds_a_script_or_style_of_its_own_or_asks_outside(site: Site) -> None:
    for path in ("/", "/status", "/login"):
        text = site.client.get(path, follow_redirects=True).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?! src=\"/static/)|https?://", text), path


def test_htmx_is_the_published_file() -> None:
    content = (STATIC / "htmx-2.0.11.min.js").read_bytes()  # of the npm package htmx.org 2.0.11, dist/htmx.min.js
    assert hashlib.sha256(content).hexdigest() == "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
    assert "Zero-Clause BSD" in (STATIC / "htmx-LICENSE.txt").read_text()


def test_static_files_are_files_of_ours(site: Site) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/"):
        assert site.client.get(path).status_code == 404, path


def test_a_failing_page_is_logged_without_values(serve: Serve) -> None:
    def fail(_request: Request) -> Response:
        raise ValueError("Secret^Name")

    site = serve(api=(Route("/fail", fail),))
    with capture_logs() as logs:
        assert site.client.get("/dicomweb/fail").text == "Internal Server Error"
        wait_until(lambda: logs)  # the answer goes out before it is logged
    assert [(line["event"], line["path"]) for line in logs] == [("a page failed", "/dicomweb/fail")]


def echo(_request: Request) -> Response:
    return PlainTextResponse("done")


def test_programs_bring_the_token_as_bearer(serve: Serve) -> None:
    site = serve(api=(Route("/items", echo, methods=["GET", "POST"]),), token=TOKEN)
    url, bearer = "/dicomweb/items", {"Authorization": f"Bearer {TOKEN}"}
    assert site.client.post(url, headers=bearer).text == "done"
    assert site.client.post(url, headers=bearer | {"Origin": "https://evil.example"}).status_code == 403
    assert site.client.post(url).status_code == 401
    assert site.client.get(url).headers["www-authenticate"] == "Bearer"
    wrong = {"Authorization": "Bearer guess"}
    assert [site.client.get(url, headers=wrong).status_code for _ in range(6)] == [401] * 5 + [429]
    assert site.client.get(url, headers=bearer).text == "done"  # the throttle is for wrong ones alone


def test_without_a_token_programs_of_this_machine_come_in_and_other_sites_do_not(serve: Serve) -> None:
    site = serve(api=(Route("/items", echo, methods=["POST"]),))
    assert site.client.post("/dicomweb/items").text == "done"
    assert site.client.post("/dicomweb/items", headers={"Origin": "https://evil.example"}).status_code == 403
    assert site.client.post("/dicomweb/items", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
