from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from ports import free_port
from structlog.testing import capture_logs

from node import web
from node.errors import ConfigurationError
from node.settings import Tls, Web
from tests.node.authority import Authority
from tests.node.web.conftest import Serve, Site
from tests.waiting import at_most


def test_a_port_that_is_taken_is_a_sentence(site: Site) -> None:
    with (
        pytest.raises(ConfigurationError, match="web.port: .* cannot be listened on"),
        web.serving(site.context.settings.web, web.make_app(site.context)),
    ):
        pass


def test_port_0_serves_nothing(site: Site) -> None:
    with web.serving(Web(port=0), web.make_app(site.context)):
        pass


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


def of_the_page(issued: Tls) -> dict[str, Path]:
    return {"certificate": issued.certificate, "key": issued.key}


def test_with_a_certificate_it_is_https_and_the_cookie_secure(serve: Serve, authority: Authority) -> None:
    site = serve(tls=of_the_page(authority.issue()))
    trust = ssl.create_default_context(cafile=authority.ca)
    with httpx.Client(base_url=site.url, verify=trust, trust_env=False) as client:
        cookie = client.get("/").headers["set-cookie"]
    assert cookie.startswith("__Host-readfirst-")
    assert cookie.endswith("; Secure")
    assert site.url.startswith("https:")


def shown(site: Site, authority: Authority) -> str:
    """Whom the page's certificate names to a new HTTPS client that verifies it."""
    trust = ssl.create_default_context(cafile=authority.ca)
    with httpx.Client(base_url=site.url, verify=trust, trust_env=False) as client, client.stream("GET", "/") as answer:
        assert answer.is_success
        sock = answer.extensions["network_stream"].get_extra_info("ssl_object")
        ((_, name),) = sock.getpeercert()["subject"][0]
    return str(name)


def test_a_new_certificate_is_shown_without_a_restart(serve: Serve, authority: Authority) -> None:
    site = serve(tls=of_the_page(authority.issue()))
    trust = ssl.create_default_context(cafile=authority.ca)
    with httpx.Client(base_url=site.url, verify=trust, trust_env=False) as open_before:
        assert open_before.get("/").is_success
        assert shown(site, authority) == "node"
        authority.issue("renewed", file="node")
        with capture_logs() as logs:
            assert [shown(site, authority), shown(site, authority)] == ["renewed"] * 2
        assert [line["event"] for line in logs] == ["TLS certificates read again"]
        assert open_before.get("/").is_success  # a connection that was open before goes on


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda tls, other, late: tls.key.write_text(other.key.read_text()), "KEY_VALUES_MISMATCH"),
        (lambda tls, other, late: tls.certificate.write_text("none"), "web.tls: a file of certificate, key"),
        (lambda tls, other, late: tls.certificate.unlink(), "web.tls.certificate: there is no file"),
        (
            lambda tls, other, late: [
                tls.certificate.write_text(late.certificate.read_text()), tls.key.write_text(late.key.read_text())
            ],
            "web.tls.certificate: the certificate in",
        ),
    ],
    ids=["another key", "no PEM", "no file", "ended"],
)  # fmt: skip
def test_files_that_cannot_be_used_leave_the_certificate_as_it_is(
    serve: Serve, authority: Authority, damage: Callable[[Tls, Tls, Tls], object], reason: str
) -> None:
    issued, other, late = authority.issue(), authority.issue("other"), authority.issue("late", days=-1)
    site = serve(tls=of_the_page(issued))
    assert shown(site, authority) == "node"
    damage(issued, other, late)
    with capture_logs() as logs:
        assert [shown(site, authority), shown(site, authority)] == ["node"] * 2
    assert [line["log_level"] for line in logs] == ["error"]  # said once for the same files
    assert "TLS certificates not renewed" in logs[0]["event"]
    assert reason in logs[0]["reason"]
    authority.issue("mended", file="node")
    assert shown(site, authority) == "mended"


def test_a_client_that_names_no_host_gets_the_new_certificate_too(serve: Serve, authority: Authority) -> None:
    site = serve(tls=of_the_page(authority.issue()))
    authority.issue("renewed", file="node")
    trust = ssl.create_default_context(cafile=authority.ca)
    trust.check_hostname = False
    address = ("127.0.0.1", site.context.settings.web.port)
    with socket.create_connection(address, timeout=10) as plain, trust.wrap_socket(plain) as sock:
        assert (sock.getpeercert() or {})["subject"] == ((("commonName", "renewed"),),)


def test_a_certificate_that_is_none_is_a_sentence(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("none")
    with pytest.raises(ConfigurationError, match="web.tls"):
        serve(tls={"certificate": tmp_path / "c.pem", "key": tmp_path / "c.pem"})
    with pytest.raises(ConfigurationError, match="web.tls"):
        serve(port=free_port(), tls={"certificate": tmp_path / "no.pem", "key": tmp_path / "no.pem"})


def test_it_ends_while_a_page_still_listens(site: Site) -> None:
    keys = Web(port=free_port())
    with httpx.Client(base_url=f"http://127.0.0.1:{keys.port}", trust_env=False) as client:
        with web.serving(keys, web.make_app(site.context)):
            stream = client.send(client.build_request("GET", "/events"), stream=True)
            assert next(stream.iter_lines()) == "retry: 1000"
            leaving = time.monotonic()
        assert time.monotonic() - leaving < at_most(5)
        stream.close()
