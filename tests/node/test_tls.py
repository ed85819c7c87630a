"""Associations over TLS with certificates of an authority that the test makes with openssl."""

from __future__ import annotations

import gc
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node.errors import ConfigurationError, PeerError
from node.outgoing import BURST
from node.scu import Outcome, Requestor, echo, store
from node.settings import Settings, Tls
from tests.conftest import need
from tests.node.conftest import House
from tests.node.phantoms import INSTANCE, image, save

pytestmark = pytest.mark.filterwarnings(  # pynetdicom leaves the socket of a refused connection to the collector
    "ignore:Exception ignored in. <(ssl.SSLS|s)ocket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()  # here, and not in a test that the mark is not for


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def certified(folder: Path) -> Tls:
    """Key and certificate of 127.0.0.1, signed by an authority of their own, all in `folder`."""
    need("openssl", "openssl")
    folder.mkdir()
    new = ("req", "-newkey", "rsa:2048", "-nodes")
    openssl(folder, *new, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Authority")
    openssl(folder, *new, "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=node")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-out", "node.pem")
    openssl(folder, "x509", "-req", "-in", "node.csr", *signed)
    return Tls(certificate=folder / "node.pem", key=folder / "node.key", ca=folder / "ca.pem")


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return certified(tmp_path / "ours")


@pytest.fixture
def secure(listen: Callable[[Settings], House], settings: Settings, tls: Tls) -> House:
    return listen(settings.model_copy(update={"node": settings.node.model_copy(update={"tls": tls})}))


def test_both_sides_of_the_same_authority_talk(secure: House, tls: Tls) -> None:
    echo(Requestor("MODALITY", tls), secure.peer.model_copy(update={"tls": True}))


def test_a_peer_without_tls_is_not_let_in_and_the_log_says_so(secure: House) -> None:
    with capture_logs() as logged, pytest.raises(PeerError):
        echo(Requestor("MODALITY"), secure.peer)
    assert [(line["event"], line["address"]) for line in logged] == [("TLS failed", "127.0.0.1")]


def test_a_caller_that_says_nothing_does_not_stop_the_others(secure: House, tls: Tls) -> None:
    with socket.create_connection(secure.address) as silent:
        echo(Requestor("MODALITY", tls), secure.peer.model_copy(update={"tls": True}))
        silent.shutdown(socket.SHUT_WR)
        while silent.recv(1024):  # until the node has closed it, too
            pass


def test_a_certificate_of_another_authority_is_not_let_in(secure: House, tls: Tls, tmp_path: Path) -> None:
    stranger = certified(tmp_path / "theirs").model_copy(update={"ca": tls.ca})  # trusts us, is not known to us
    with pytest.raises(PeerError):
        echo(Requestor("MODALITY", stranger), secure.peer.model_copy(update={"tls": True}))


def test_a_node_of_another_authority_is_not_trusted(secure: House, tls: Tls, tmp_path: Path) -> None:
    wary = tls.model_copy(update={"ca": certified(tmp_path / "theirs").ca})
    with pytest.raises(PeerError):
        echo(Requestor("MODALITY", wary), secure.peer.model_copy(update={"tls": True}))


def test_a_peer_is_who_its_certificate_names(secure: House, tls: Tls) -> None:
    elsewhere = secure.peer.model_copy(update={"tls": True, "host": "localhost"})  # the certificate says 127.0.0.1
    with pytest.raises(PeerError):
        echo(Requestor("MODALITY", tls), elsewhere)


def test_dcmtk_talks_tls_with_us(secure: House, tls: Tls) -> None:
    echoscu = need("echoscu", "dcmtk")
    host, port = secure.address
    keys = ["+tls", str(tls.key), str(tls.certificate), "+cf", str(tls.ca)]
    done = subprocess.run(
        [echoscu, *keys, "-aet", "MODALITY", "-aec", "READFIRST", host, str(port)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_certificate_is_named(listen: Callable[[Settings], House], settings: Settings, tls: Tls) -> None:
    gone = settings.node.model_copy(update={"tls": tls.model_copy(update={"key": tls.key.with_name("gone.key")})})
    with pytest.raises(ConfigurationError, match=r"node\.tls\.key: there is no file"):
        listen(settings.model_copy(update={"node": gone}))


def test_files_go_out_over_tls(secure: House, tls: Tls, tmp_path: Path) -> None:
    large = image(f"{INSTANCE}.2")
    large.PixelData = bytes(3 * BURST)
    paths = [save(tmp_path / "1", image()), save(tmp_path / "2", large)]
    outcomes = store(Requestor("MODALITY", tls), secure.peer.model_copy(update={"tls": True}), paths)
    assert outcomes == tuple(Outcome(path, "") for path in paths)
    assert sorted(file.read_bytes()[-200:] for file in secure.files) == sorted(p.read_bytes()[-200:] for p in paths)
