from __future__ import annotations

import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from ports import free_port

from node import web
from node.errors import ConfigurationError
from node.settings import Web
from tests.node.web.conftest import Serve, Site


def test_a_port_that_is_taken_is_a_sentence(site: Site) -> None:
    with (
        pytest.raises(ConfigurationError, match="web.port: .* cannot be listened on"),
        web.serving(site.context.settings.web, web.make_app(site.context)),
    ):
        pass


def test_port_0_serves_nothing(site: Site) -> None:
    with web.serving(Web(port=0), web.make_app(site.context)):
        pass


def test_with_a_certificate_it_is_https_and_the_cookie_secure(serve: Serve, tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    site = serve(tls={"certificate": certificate, "key": key})
    trust = ssl.create_default_context(cafile=certificate)
    with httpx.Client(base_url=site.url, verify=trust, trust_env=False) as client:
        cookie = client.get("/").headers["set-cookie"]
    assert cookie.startswith("__Host-readfirst-")
    assert cookie.endswith("; Secure")
    assert site.url.startswith("https:")


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
        assert time.monotonic() - leaving < 5
        stream.close()
