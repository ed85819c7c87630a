"""The sinks, each with a real file or a real receiver; the senders that feed them."""

from __future__ import annotations

import os
import re
import socket
import ssl
import stat
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from structlog.testing import capture_logs

from node.audit import recording, repository
from node.audit import waiting as count_waiting
from node.audit.sender import AuditSender, Sink, make_sinks
from node.audit.trail import Trail
from node.entities import JobKind
from node.errors import NotTaken
from node.ledger import jobs
from node.ledger.engine import Ledger
from node.ledger.jobs import NewJob
from node.settings import Settings, Tls
from node.settings.audit import Audit, Repository
from tests.node.audit.schema import faults
from tests.node.authority import Authority
from tests.waiting import at_most

XML = '<AuditMessage note="Größe">%d</AuditMessage>'


def fill(ledger: Ledger, sink: str, numbers: range) -> None:
    with ledger.write() as connection:
        messages = [{"at": 1000.0 + one, "message": XML % one, "warning": one == 0} for one in numbers]
        jobs.put_all(connection, [NewJob(JobKind.AUDIT_MESSAGE, sink, payload=one) for one in messages], 1000.0)


def waiting(ledger: Ledger) -> dict[str, int]:
    with ledger.read() as connection:
        return count_waiting(connection)


def rows(ledger: Ledger, sink: str) -> list[Mapping[str, Any]]:
    with ledger.read() as connection:
        return [row["payload"] for row in jobs.find(connection, jobs.of(JobKind.AUDIT_MESSAGE, sink))]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_has_a_line_a_message_for_us_alone(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, "file", range(3))
    before = os.umask(0)
    try:
        AuditSender("file", Trail(tmp_path / "audit", 1 << 20), ledger).step()
    finally:
        os.umask(before)
    file = tmp_path / "audit" / "audit.log"
    assert file.read_text().splitlines() == [XML % one for one in range(3)]
    assert (mode(file), mode(file.parent), waiting(ledger)) == (0o600, 0o700, {})


def test_a_file_that_others_could_read_is_closed_to_them(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    file.write_text("")
    file.chmod(0o644)
    fill(ledger, "file", range(1))
    Trail(tmp_path, 1 << 20).send(rows(ledger, "file"))
    assert mode(file) == 0o600


def test_a_torn_line_is_ended_and_the_next_one_is_whole(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_text("<AuditMess")
    fill(ledger, "file", range(1))
    Trail(tmp_path, 1 << 20).send(rows(ledger, "file"))
    assert (tmp_path / "audit.log").read_text().splitlines() == ["<AuditMess", XML % 0]


def test_a_full_file_is_put_aside_and_none_is_lost(ledger: Ledger, tmp_path: Path) -> None:
    for number in range(5):
        fill(ledger, "file", range(number, number + 1))
        AuditSender("file", Trail(tmp_path, 60), ledger).step()
    files = sorted(tmp_path.glob("audit*.log"))
    assert len(files) > 2
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert sorted(lines) == [XML % one for one in range(5)]
    assert {mode(file) for file in files} == {0o600}


def test_a_disk_that_takes_nothing_keeps_the_messages_waiting(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file where the folder should be")
    fill(ledger, "file", range(2))
    sender = AuditSender("file", Trail(tmp_path / "audit", 1 << 20), ledger)
    with capture_logs() as logged:
        pauses = [sender.step() for _ in range(4)]
    assert pauses == sorted(pauses)
    assert pauses[-1] <= 60
    assert [(line["event"], line["waiting"]) for line in logged] == [("audit messages wait, none is lost", 2)]
    (tmp_path / "audit").unlink()
    with capture_logs() as logged:
        sender.step()
    assert [line["event"] for line in logged] == ["audit messages are taken again"]
    assert waiting(ledger) == {}


class Receiver:
    """A syslog receiver over TLS that reads what RFC 5425 frames; `rude` ones reset after a number of bytes."""

    def __init__(self, tls: Tls) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tls.ca))
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_cert_chain(tls.certificate, tls.key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.got: list[bytes] = []
        self.manners = "polite"

    @contextmanager
    def once(self, manners: str) -> Iterator[None]:
        self.manners = manners
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        yield
        thread.join(20)
        assert not thread.is_alive()

    def _serve(self) -> None:
        plain, _ = self.listener.accept()
        try:
            with self._context.wrap_socket(plain, server_side=True) as sock:
                if self.manners == "resets":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                data = bytearray()
                while chunk := sock.recv(1000):
                    data += chunk
                self.got.append(bytes(data))
                if self.manners == "polite":
                    sock.unwrap()
                elif self.manners == "goes on":
                    answered = sock.unwrap()
                    while not time.sleep(0.1):
                        answered.sendall(b"x")
        except OSError:
            return


def frames(data: bytes) -> list[str]:
    """The messages by octet counting, RFC 5425 4.3: MSG-LEN SP SYSLOG-MSG."""
    found = []
    while data:
        length, _, rest = data.partition(b" ")
        found.append(rest[: int(length)].decode())
        data = rest[int(length) :]
    return found


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Authority(tmp_path / "certificates").issue()


@pytest.fixture
def receiver(tls: Tls) -> Iterator[Receiver]:
    running = Receiver(tls)
    yield running
    running.listener.close()


def sink_to(receiver: Receiver, tls: Tls, settings: Settings) -> Sink:
    table = Repository(host="127.0.0.1", port=receiver.port, tls=tls, timeout=5.0)
    return make_sinks(settings.model_copy(update={"audit": Audit(sinks=("syslog",), syslog=table)}))["syslog"]


@pytest.mark.parametrize("manners", ["polite", "only closes"])
def test_syslog_over_tls_frames_each_message_by_its_octets(
    receiver: Receiver, tls: Tls, ledger: Ledger, settings: Settings, manners: str
) -> None:
    fill(ledger, "syslog", range(3))
    with receiver.once(manners):
        AuditSender("syslog", sink_to(receiver, tls, settings), ledger).step()
    assert waiting(ledger) == {}
    lines = frames(receiver.got[0])
    header = r"<(84|85)>1 1970-01-01T00:16:4\d\.000Z \S+ readfirst \d+ DICOM\+RFC3881 - \ufeff(.*)"
    found = [re.fullmatch(header, line) for line in lines]
    assert [match and match.groups() for match in found] == [
        ("84" if one == 0 else "85", XML % one) for one in range(3)
    ]


def test_a_receiver_that_goes_on_sending_is_left(
    receiver: Receiver, tls: Tls, ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "_CLOSE_SECONDS", 0.5)
    fill(ledger, "syslog", range(1))
    with receiver.once("goes on"):
        before = time.monotonic()
        sink_to(receiver, tls, settings).send(rows(ledger, "syslog"))
        assert time.monotonic() - before < at_most(5)
    assert len(frames(receiver.got[0])) == 1


def test_a_receiver_that_resets_gets_all_of_them_again(
    receiver: Receiver, tls: Tls, ledger: Ledger, settings: Settings
) -> None:
    with ledger.write() as connection:  # more than lies in the sockets' buffers
        large = NewJob(JobKind.AUDIT_MESSAGE, "syslog", payload={"at": 1.0, "message": "x" * 100_000, "warning": False})
        jobs.put_all(connection, [large] * 100, 1.0)
    sender = AuditSender("syslog", sink_to(receiver, tls, settings), ledger)
    with receiver.once("resets"):
        sender.step()
    assert (waiting(ledger), receiver.got) == ({"syslog": 100}, [])
    with receiver.once("polite"):
        sender.step()
    assert (waiting(ledger), len(frames(receiver.got[0]))) == ({}, 100)


def test_a_receiver_of_another_authority_gets_nothing(
    receiver: Receiver, tls: Tls, ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    fill(ledger, "syslog", range(1))
    stranger = Authority(tmp_path / "stranger").issue()
    with receiver.once("polite"), pytest.raises(NotTaken, match="certificate verify failed"):
        sink_to(receiver, stranger, settings).send(rows(ledger, "syslog"))
    ours = stranger.model_copy(update={"ca": tls.ca})  # we trust it, and it does not trust us
    with receiver.once("polite"), pytest.raises(NotTaken):
        sink_to(receiver, ours, settings).send(rows(ledger, "syslog"))
    assert receiver.got == []


def test_syslog_over_udp_is_a_datagram_a_message(ledger: Ledger, settings: Settings) -> None:
    fill(ledger, "syslog", range(2))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        table = Repository(host="127.0.0.1", port=listener.getsockname()[1], transport="udp")
        audit = Audit(sinks=("syslog",), syslog=table)
        sink = make_sinks(settings.model_copy(update={"audit": audit}))["syslog"]
        AuditSender("syslog", sink, ledger).step()
        got = [listener.recv(65536).decode() for _ in range(2)]
    assert [one.endswith(f"\ufeff{XML % number}") for number, one in enumerate(got)] == [True, True]


def test_a_sink_that_is_down_does_not_hold_the_other_back(ledger: Ledger, settings: Settings, tmp_path: Path) -> None:
    table = Repository(host="127.0.0.1", port=free_port(), tls=Authority(tmp_path / "ours").issue())
    both = settings.model_copy(update={"audit": Audit(sinks=("file", "syslog"), syslog=table)})
    with recording(both, ledger, make_sinks(both)) as recorder:
        recorder.rejected("STRANGER", "10.0.0.66", "not known")
    lines = (tmp_path / "audit" / "audit.log").read_text().splitlines()
    assert [faults(line) for line in lines] == [[]] * 3
    assert [re.search(r'csd-code="(\d+)"', line)[1] for line in lines] == ["110100", "110113", "110100"]  # type: ignore[index]
    assert waiting(ledger) == {"syslog": 3}
