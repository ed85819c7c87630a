"""Associations over TLS with certificates of an authority that the test makes with openssl."""

from __future__ import annotations

import gc
import socket
import ssl
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ports import free_port
from structlog.testing import capture_logs

from node.errors import ConfigurationError, PeerError
from node.sending.c_store import BURST
from node.sending.scu import Requestor, SendResult, echo, store
from node.settings import Peer, Settings, Tls
from node.tls.contexts import HINTS, certificate_names, server_context
from node.tls.renewal import RenewedContext
from tests.conftest import need
from tests.node.authority import Authority
from tests.node.conftest import House
from tests.node.phantoms import INSTANCE, encoded, image, save
from tests.waiting import wait_until

pytestmark = pytest.mark.filterwarnings(  # pynetdicom leaves the socket of a refused connection to the collector
    "ignore:Exception ignored in. <(ssl.SSLS|s)ocket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()  # here, and not in a test that the mark is not for


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def tls(authority: Authority) -> Tls:
    return authority.issue(rsa=True)


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
    stranger = Authority(tmp_path / "theirs").issue().model_copy(update={"ca": tls.ca})  # trusts us, is not known to us
    with pytest.raises(PeerError):
        echo(Requestor("MODALITY", stranger), secure.peer.model_copy(update={"tls": True}))


def test_a_node_of_another_authority_is_not_trusted(secure: House, tls: Tls, tmp_path: Path) -> None:
    wary = tls.model_copy(update={"ca": Authority(tmp_path / "theirs").issue().ca})
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


def test_dcmtk_stores_over_tls(
    listen: Callable[[Settings], House], settings: Settings, tls: Tls, tmp_path: Path
) -> None:
    house = listen(bound(settings, tls, "node"))
    path = save(tmp_path / "sent", dataset := encoded(image()))
    keys = ["+tls", str(tls.key), str(tls.certificate), "+cf", str(tls.ca), "-aet", "MODALITY", "-aec", "READFIRST"]
    command = [need("storescu", "dcmtk"), *keys, *map(str, house.address), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert house.files[0].read_bytes().endswith(dataset)


def test_we_store_at_dcmtk_over_tls(authority: Authority, tls: Tls, tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "received"
    folder.mkdir()
    keys = ["+tls", str(tls.key), str(tls.certificate), "+cf", str(tls.ca), "--fork"]
    command = [need("storescp", "dcmtk"), *keys, "-od", str(folder), str(port)]
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=port, tls=True)
    path = save(tmp_path / "sent", image())
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as storescp:
        try:
            wait_until(lambda: listens(port))
            (outcome,) = store(Requestor("READFIRST", authority.issue("us")), peer, [path])
        finally:
            storescp.terminate()
    assert outcome.error == ""
    assert len(list(folder.iterdir())) == 1


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_missing_certificate_is_named(listen: Callable[[Settings], House], settings: Settings, tls: Tls) -> None:
    gone = settings.node.model_copy(update={"tls": tls.model_copy(update={"key": tls.key.with_name("gone.key")})})
    with pytest.raises(ConfigurationError, match=r"node\.tls\.key: there is no file"):
        listen(settings.model_copy(update={"node": gone}))


def trying(house: House, ours: Tls | None, version: ssl.TLSVersion | None = None, ciphers: str = "") -> tuple[str, str]:
    """Protocol and cipher suite of a handshake that the node finished, too; ("", "") where it did not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(house.receiver.settings.node.tls.ca if house.receiver.settings.node.tls else None)
    if ours:
        context.load_cert_chain(ours.certificate, ours.key)
    if version:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of versions that are tried because they are old
            context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    try:
        with (
            socket.create_connection(house.address, timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
        ):
            sock.sendall(bytes((9, 0, 0, 0, 0, 0)))  # no PDU: who is let in is answered with an A-ABORT
            answered = sock.recv(1) == bytes((7,))
            return (str(sock.version()), str((sock.cipher() or [""])[0])) if answered else ("", "")
    except (ssl.SSLError, ConnectionError):
        return "", ""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_versions_of_bcp_195_are_spoken(secure: House, tls: Tls, version: ssl.TLSVersion) -> None:
    assert trying(secure, tls, version)[0] == version.name.replace("_", ".")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_are_not_spoken(secure: House, tls: Tls, version: ssl.TLSVersion) -> None:
    with capture_logs() as logs:
        assert trying(secure, tls, version, "ALL:@SECLEVEL=0") == ("", "")
    assert [(line["event"], line["hint"]) for line in logs] == [("TLS failed", HINTS["UNSUPPORTED_PROTOCOL"])]


@pytest.mark.parametrize(
    "suite",
    [  # PS3.15 B.12 by RFC 9325 4.2, with the RSA key that the node has; of ECDSA see the next test
        "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
    ],
)  # fmt: skip
def test_the_cipher_suites_of_bcp_195_are_spoken(secure: House, tls: Tls, suite: str) -> None:
    assert trying(secure, tls, ssl.TLSVersion.TLSv1_2, suite) == ("TLSv1.2", suite)


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
def test_those_of_ecdsa_too(
    listen: Callable[[Settings], House], settings: Settings, tmp_path: Path, suite: str
) -> None:
    ours = Authority(tmp_path / "ec").issue()
    house = listen(settings.model_copy(update={"node": settings.node.model_copy(update={"tls": ours})}))
    assert trying(house, ours, ssl.TLSVersion.TLSv1_2, suite) == ("TLSv1.2", suite)


@pytest.mark.parametrize(
    "suite", ["AES256-GCM-SHA384", "DHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-SHA384", "AES128-SHA", "NULL-SHA256"]
)
def test_no_others_are(secure: House, tls: Tls, suite: str) -> None:
    assert trying(secure, tls, ssl.TLSVersion.TLSv1_2, f"{suite}:@SECLEVEL=0") == ("", "")


def test_the_context_renegotiates_nothing_and_compresses_nothing(tls: Tls) -> None:
    options = server_context(tls).options
    for option in (ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION, ssl.OP_NO_TICKET):
        assert options & option


@pytest.mark.parametrize(
    ("made", "reason"),
    [("none", "PEER_DID_NOT_RETURN_A_CERTIFICATE"), ("expired", "certificate has expired"), ("other", "unable to get")],
)
def test_the_log_says_why_a_certificate_is_not_let_in(
    secure: House, authority: Authority, tmp_path: Path, made: str, reason: str
) -> None:
    shown = {
        "none": lambda: None,
        "expired": lambda: authority.issue("late", days=-1),
        "other": lambda: Authority(tmp_path / "theirs").issue(),
    }[made]()
    with capture_logs() as logs:
        assert trying(secure, shown) == ("", "")
        wait_until(lambda: bool(logs))
    assert [(line["event"], line["address"]) for line in logs] == [("TLS failed", "127.0.0.1")]
    assert reason in logs[0]["reason"]


def test_a_revoked_certificate_is_not_let_in_from_the_next_association_on(
    secure: House, authority: Authority, tls: Tls
) -> None:
    lost = authority.issue("lost")
    assert trying(secure, lost)[0]
    authority.revoke(lost)
    with capture_logs() as logs:
        assert trying(secure, lost) == ("", "")
        wait_until(lambda: len(logs) == 2)
    assert "revoked" in logs[1]["reason"]
    assert trying(secure, tls)[0]


def shown(house: House, ours: Tls) -> str:
    """Whom the node's certificate names now."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ours.ca)
    context.load_cert_chain(ours.certificate, ours.key)
    with (
        socket.create_connection(house.address, timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
    ):
        return max(certificate_names(sock) - {"127.0.0.1"})


def test_new_certificates_are_used_without_a_restart_and_broken_ones_are_not(
    secure: House, authority: Authority, tls: Tls
) -> None:
    mine = authority.issue("modality")
    assert shown(secure, mine) == "node"
    authority.issue("renewed", file="node")
    with capture_logs() as logs:
        assert [shown(secure, mine), shown(secure, mine)] == ["renewed"] * 2
    assert [line["event"] for line in logs] == ["TLS certificates read again"]
    tls.key.write_text(mine.key.read_text())  # the key of another certificate
    with capture_logs() as logs:
        assert [shown(secure, mine), shown(secure, mine)] == ["renewed"] * 2
    assert [line["log_level"] for line in logs] == ["error"]
    assert "mend the files" in logs[0]["event"]
    assert "KEY_VALUES_MISMATCH" in logs[0]["reason"].upper().replace(" ", "_")
    tls.certificate.unlink()
    with capture_logs() as logs:
        assert shown(secure, mine) == "renewed"
    assert "there is no file" in logs[0]["reason"]
    authority.issue("mended", file="node")
    assert shown(secure, mine) == "mended"


def test_the_log_says_each_day_that_a_certificate_ends(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    with capture_logs() as logs:
        certificates = RenewedContext(authority.issue(days=40))
        for days in (0, 1.1, 9, 11, 11.5, 12.1, 41):
            monkeypatch.setattr(time, "time", lambda days=days: now + days * 86400)
            certificates.context()
    assert ["in 29 days" in line["event"] for line in logs] == [True, False, False]
    assert "in 28 days" in logs[1]["event"] and "ended on" in logs[2]["event"]


def test_a_new_authority_is_used_without_a_restart(secure: House, tls: Tls, tmp_path: Path) -> None:
    other = Authority(tmp_path / "theirs").issue("stranger")
    assert trying(secure, other) == ("", "")
    tls.ca.write_text(tls.ca.read_text() + other.ca.read_text())
    assert trying(secure, other)[0]


def test_who_opens_associations_reads_its_certificates_again_too(
    secure: House, authority: Authority, tmp_path: Path
) -> None:
    mine = authority.issue("modality")
    peer = secure.peer.model_copy(update={"tls": True})
    echo(Requestor("MODALITY", mine), peer)
    good = mine.certificate.read_text(), mine.key.read_text()
    expired = authority.issue("late", days=-1)
    mine.certificate.write_text(expired.certificate.read_text())
    with capture_logs() as logs:  # half of the new pair is there: the old one goes on
        echo(Requestor("MODALITY", mine), peer)
    assert "TLS certificates not renewed" in logs[0]["event"]
    mine.key.write_text(expired.key.read_text())
    with capture_logs() as logs:  # it is over: the old one goes on
        echo(Requestor("MODALITY", mine), peer)
    assert "ended on" in logs[0]["reason"]
    stranger = Authority(tmp_path / "theirs").issue("stranger")
    mine.certificate.write_text(stranger.certificate.read_text())
    mine.key.write_text(stranger.key.read_text())
    with pytest.raises(PeerError):
        echo(Requestor("MODALITY", mine), peer)
    for path, text in zip((mine.certificate, mine.key), good, strict=True):
        path.write_text(text)
    echo(Requestor("MODALITY", mine), peer)


def bound(settings: Settings, tls: Tls, name: str) -> Settings:
    peers = {"modality": settings.peers["modality"].model_copy(update={"certificate": name})}
    return settings.model_copy(update={"node": settings.node.model_copy(update={"tls": tls}), "peers": peers})


def test_a_peer_that_is_bound_to_a_name_must_show_it(
    listen: Callable[[Settings], House], settings: Settings, authority: Authority, tls: Tls
) -> None:
    house = listen(bound(settings, tls, "CT.hospital"))
    peer = house.peer.model_copy(update={"tls": True})
    echo(Requestor("MODALITY", authority.issue("ct.hospital")), peer)
    echo(Requestor("MODALITY", authority.issue("x", names="DNS:ct.hospital")), peer)
    with capture_logs() as logs, pytest.raises(PeerError, match=r"[Cc]alling AE title not recogni[sz]ed"):
        echo(Requestor("MODALITY", authority.issue("mr.hospital")), peer)
    assert "its certificate names 127.0.0.1, mr.hospital: give it one that names CT.hospital" in logs[0]["hint"]


def test_files_go_out_over_tls(secure: House, tls: Tls, tmp_path: Path) -> None:
    large = image(f"{INSTANCE}.2")
    large.PixelData = bytes(3 * BURST)
    paths = [save(tmp_path / "1", image()), save(tmp_path / "2", large)]
    outcomes = store(Requestor("MODALITY", tls), secure.peer.model_copy(update={"tls": True}), paths)
    assert outcomes == tuple(SendResult(path, "") for path in paths)
    assert sorted(file.read_bytes()[-200:] for file in secure.files) == sorted(p.read_bytes()[-200:] for p in paths)
