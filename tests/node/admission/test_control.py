"""Admission control against raw bytes: a rejection has its reason, costs little, and keeps nobody else out."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from structlog.testing import capture_logs

from node.admission.associations import AssociationRegistry
from node.admission.control import LONGEST_REQUEST, AdmissionControl
from node.settings import Limits, Node, Settings
from tests.node.authority import Authority
from tests.node.conftest import PEERS, House
from tests.node.pdus import CT, answer, associate_request, item, pdu, read
from tests.waiting import at_most, wait_until

Listen = Callable[[Settings], House]
ACCEPTED, REJECTED, ABORTED = 2, 3, 7
SECONDS = 1.0


def settings(tmp_path: Path, peers: dict[str, Any] | None = None, node: Any = None, **limits: Any) -> Settings:
    keys = {"port": free_port(), "data": tmp_path, "min_free_mb": 0} | (node or {})
    return Settings(node=Node(**keys), peers=PEERS | (peers or {}), limits=Limits(**limits))


def said(house: House, *parts: bytes) -> tuple[int, bytes]:
    """What the node answers to these bytes."""
    with socket.create_connection(house.address, timeout=20) as sock:
        for part in parts:
            sock.sendall(part)
        return answer(sock)


@pytest.mark.parametrize(
    ("request_", "why", "hint"),
    [
        (associate_request(called="OTHER"), (1, 1, 7), "enter READFIRST there, or change node.ae_title"),
        (associate_request("STRANGER"), (1, 1, 3), "[peers.…]"),
        (associate_request("STRANGER", called="OTHER"), (1, 1, 7), "node.ae_title"),
        (associate_request(version=2), (1, 2, 2), "version 1"),
        (associate_request("FAR"), (1, 1, 3), "it calls from 127.0.0.1: add that to addresses of [peers.far]"),
    ],
)
def test_a_rejection_has_the_standards_reason_and_the_log_says_what_helps(
    listen: Listen, tmp_path: Path, request_: bytes, why: tuple[int, ...], hint: str
) -> None:
    far = PEERS["modality"].model_copy(update={"ae_title": "FAR", "addresses": ("10.0.0.0/8",)})
    house = listen(settings(tmp_path, {"far": type(far).model_validate(far.model_dump())}))
    with capture_logs() as logs:
        assert said(house, request_) == (REJECTED, bytes((0, *why)))
        wait_until(lambda: bool(logs))
    assert [(line["event"], line["address"]) for line in logs] == [("association rejected", "127.0.0.1")]
    assert hint in logs[0]["hint"]


def test_of_a_stranger_nothing_is_read_but_the_names(listen: Listen, tmp_path: Path) -> None:
    names = associate_request("STRANGER")[6:74]
    header = pdu(1, bytes(LONGEST_REQUEST))[:6]
    assert said(listen(settings(tmp_path)), header + names) == (REJECTED, bytes((0, 1, 1, 3)))


@pytest.mark.parametrize(
    "first",
    [
        pdu(1, bytes(67)),
        pdu(1, bytes(LONGEST_REQUEST + 1))[:6],
        bytes((1, 0, 255, 255, 255, 255)),
        pdu(4, bytes(100)),
        pdu(5, bytes(4)),
        pdu(0, b""),
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_what_is_no_request_is_answered_with_an_abort(listen: Listen, tmp_path: Path, first: bytes) -> None:
    house = listen(settings(tmp_path))
    with capture_logs() as logs:
        assert said(house, first) == (ABORTED, bytes(4))
    assert [line["event"] for line in logs] == ["connection refused"]


def test_an_abort_is_not_answered(listen: Listen, tmp_path: Path) -> None:
    assert said(listen(settings(tmp_path)), pdu(7, bytes(4))) == (0, b"")


def test_tls_at_a_port_without_it_is_named(listen: Listen, tmp_path: Path) -> None:
    with capture_logs() as logs:
        said(listen(settings(tmp_path)), bytes((0x16, 3, 1, 0, 200, 1)))
    assert "set node.tls, or turn TLS off there" in logs[0]["hint"]


@pytest.mark.parametrize("begin", [b"", b"\1\0\0\1", associate_request()[:6], associate_request()[:74]])
def test_a_request_that_does_not_come_whole_in_time_is_dropped(listen: Listen, tmp_path: Path, begin: bytes) -> None:
    house = listen(settings(tmp_path, request_seconds=SECONDS))
    with capture_logs() as logs:
        start = time.monotonic()
        trickled(house, begin)
        assert SECONDS * 0.8 < time.monotonic() - start < at_most(SECONDS * 3)
        wait_until(lambda: bool(logs))
    assert "limits.request_seconds = 1" in logs[0]["reason"]


def trickled(house: House, begin: bytes) -> None:
    """Send these bytes, then one now and then, until the node closes."""
    with socket.create_connection(house.address, timeout=20) as sock:
        sock.sendall(begin)
        sock.settimeout(0.1)
        for _ in range(100):
            try:
                if begin:
                    sock.sendall(b"\0")
                if not sock.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return


@pytest.mark.parametrize("begin", [b"", b"\x16\x03\x01\x02\x00"])
def test_a_handshake_that_does_not_end_is_dropped(listen: Listen, tmp_path: Path, begin: bytes) -> None:
    house = listen(settings(tmp_path, node={"tls": Authority(tmp_path / "ca").issue()}, request_seconds=SECONDS))
    start = time.monotonic()
    trickled(house, begin)
    assert time.monotonic() - start < at_most(SECONDS * 3)


def test_silent_connections_keep_nobody_out_and_take_no_more_threads(listen: Listen, tmp_path: Path) -> None:
    house = listen(settings(tmp_path, connections=4))
    before = threading.active_count()
    with capture_logs() as logs:
        silent = [socket.create_connection(house.address, timeout=20) for _ in range(50)]
        assert said(house, associate_request())[0] == ACCEPTED
        wait_until(lambda: threading.active_count() <= before + 4 + 3)
    for sock in silent:
        sock.close()
    assert {line["event"] for line in logs} == {"connection dropped"}
    assert "limits.connections = 4 wait, of this address most" in logs[0]["reason"]


def test_slots_are_limited_for_all_and_for_each_and_released(listen: Listen, tmp_path: Path) -> None:
    limits = {"associations_per_peer": 2}
    house = listen(settings(tmp_path, node={"max_associations": 3}, **limits))
    open_ = [socket.create_connection(house.address, timeout=20) for _ in range(4)]
    try:
        with capture_logs() as logs:
            answers = []
            for sock, calling in zip(open_, ("MODALITY", "MODALITY", "MODALITY", "READER"), strict=True):
                sock.sendall(associate_request(calling))
                answers.append(answer(sock))
            assert said(house, associate_request("READER")) == (REJECTED, bytes((0, 2, 3, 2)))
            wait_until(lambda: len(logs) == 2)
        assert [kind for kind, _ in answers] == [ACCEPTED, ACCEPTED, REJECTED, ACCEPTED]
        assert answers[2][1] == bytes((0, 2, 3, 2))
        assert "limits.associations_per_peer = 2" in logs[0]["hint"]
        assert "node.max_associations = 3" in logs[1]["hint"]
    finally:
        for sock in open_:
            sock.close()
    wait_until(lambda: said(house, associate_request())[0] == ACCEPTED)


def test_a_request_that_cannot_be_decoded_releases_its_slot(listen: Listen, tmp_path: Path) -> None:
    house = listen(settings(tmp_path, node={"max_associations": 1}, request_seconds=SECONDS))
    fixed = associate_request()[6:74]
    for broken in (item(0x10, b"\xff" * 9), b"\x20\0\xff\xff", item(0x99, b"x") * 1000):
        assert said(house, pdu(1, fixed + broken))[0] in (0, ABORTED, REJECTED)
        wait_until(lambda: said(house, associate_request())[0] == ACCEPTED)


def test_many_contexts_of_a_known_peer_are_taken_as_the_standard_has_them(listen: Listen, tmp_path: Path) -> None:
    syntaxes = [f"1.2.840.10008.1.2.4.{number}" for number in range(50, 95)]
    request = associate_request(contexts=[(CT[0], syntaxes)] * 128)
    assert 150_000 < len(request) <= LONGEST_REQUEST
    assert said(listen(settings(tmp_path)), request)[0] == ACCEPTED


def test_half_open_connections_are_found(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as theirs:
        ours, address = listener.accept()
        theirs.sendall(associate_request())
        known = settings(tmp_path)
        admitted = AdmissionControl(known, AssociationRegistry(known)).admit(ours, address[0])
        assert admitted is not None
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        assert admitted.request == associate_request()
        ours.close()


def test_a_rejection_is_reported(tmp_path: Path) -> None:
    rejected = list[tuple[str, str, str]]()
    associations = AssociationRegistry(known := settings(tmp_path))
    associations.subscribe(rejected=lambda *reported: rejected.append(reported))
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as theirs:
        ours, address = listener.accept()
        theirs.sendall(associate_request("STRANGER"))
        theirs.shutdown(socket.SHUT_WR)
        assert AdmissionControl(known, associations).admit(ours, address[0]) is None
        assert answer(theirs)[0] == REJECTED
        assert read(theirs, 1) == b""
    hint = "no peer has this AE title: write a [peers.…] table with it"
    assert rejected == [("STRANGER", "127.0.0.1", f"association rejected: {hint}")]


def test_what_is_no_printable_name_is_shown_as_bytes(listen: Listen, tmp_path: Path) -> None:
    request = associate_request().replace(b"MODALITY", b"MO\n\x1b\xff\0ABC"[:8])
    with capture_logs() as logs:
        assert said(listen(settings(tmp_path)), request) == (REJECTED, bytes((0, 1, 1, 3)))
        wait_until(lambda: bool(logs))
    assert logs[0]["peer"] == r"MO\x0a\x1b\xff"  # a NUL ends it
