"""The sink `hl7` against a receiver that shares no code with it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import hl7 as reference
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import ValidationError
from hl7apy.parser import parse_message
from ports import free_port

from node.errors import NotAccepted, NotTaken, SinkUnreachable
from node.settings import Hl7Sink, Node, Settings, Tls, Worklist
from node.tls.contexts import server_context
from node.worklist.sinks.hl7 import Hl7, make
from node.worklist.sinks.template import MESSAGES, Template
from tests.node.authority import Authority
from tests.node.slow_peers import crawls_behind_the_handshake, crawls_in_the_handshake, hanging
from tests.node.worklist.sinks.phantoms import (
    Answers,
    Hl7Receiver,
    acknowledgement,
    answering,
    control_id,
    header,
    notice,
)
from tests.waiting import at_most

KINDS = list(MESSAGES)


def sink(port: int = 1, message: object = "ORM^O01", **options: object) -> Hl7:
    table = Hl7Sink.model_validate({"host": "127.0.0.1", "port": port, "message": message, "timeout": 1.0} | options)
    return Hl7(table, None, Template(table.message, table.template))


def send(answers: Answers, **options: object) -> tuple[str, list[str]]:
    with Hl7Receiver(answers).running() as receiver:
        return sink(receiver.port, **options).send(notice()), receiver.messages


@pytest.mark.parametrize("kind", KINDS)
def test_an_independent_parser_reads_what_was_meant(kind: str) -> None:
    said, messages = send(answering("AA"), message=kind, receiving_application="RIS", sending_facility="RAD")
    assert said == "MSA AA for 0123456789abcdef0123"
    message = reference.parse(messages[0])
    assert str(message["MSH.F9.R1.C1"] + "^" + message["MSH.F9.R1.C2"]) == kind
    assert message["MSH.F10"] == "0123456789abcdef0123"
    assert (message["MSH.F3"], message["MSH.F4"], message["MSH.F5"]) == ("READFIRST", "RAD", "RIS")
    assert message["PID.F3.R1.C1"] == "47^11"
    assert message["PID.F3.R1.C4"] == "HOSP"
    name = [message[f"PID.F5.R1.C{component}"] for component in range(1, 6)]
    assert name == ["O'Mül|ler", "Ä&nne~x", "M", "Jr", "Dr"]  # XPN has suffix before prefix, PN after it
    assert (message["PID.F7"], message["PID.F8"]) == ("19600229", "F")
    assert message["OBR.F18"] == "ACC|1"
    priority = {"ORM^O01": "OBR.F27.R1.C6"}.get(kind, "TQ1.F9.R1.C1")
    assert message[priority] == "S"


def test_each_kind_names_the_study() -> None:
    places = {"ORM^O01": "ZDS.F1.R1.C1", "OMI^O23": "IPC.F3.R1.C1", "ORU^R01": "OBX.F5"}
    for kind, place in places.items():
        message = reference.parse(sink(message=kind).preview(notice()).replace("\n", "\r"))
        found = message["OBX"][1][5] if kind == "ORU^R01" else message[place]
        assert str(found) == notice().study_instance_uid


@pytest.mark.parametrize("kind", KINDS)
def test_hl7apy_finds_the_message_valid(kind: str, tmp_path: Path) -> None:
    text = sink(message=kind).preview(notice()).replace("\n", "\r")
    message = parse_message(text, find_groups=True, validation_level=VALIDATION_LEVEL.TOLERANT)
    report = tmp_path / "report.txt"
    with suppress(ValidationError):  # the report says all of it
        message.validate(report_file=str(report))
    errors = [line for line in report.read_text().splitlines() if line.startswith("Error")]
    # hl7apy takes the choice "OBR or RQD or RQ1 or RXO or ODS or ODT" of ORM_O01 for "each of them"
    choice = "Missing required child ORM_O01_OBRRQDRQ1RXOODSODT_SUPPGRP."
    assert [error for error in errors if choice not in error] == []


def test_findings_are_observations() -> None:
    message = reference.parse(sink(message="ORU^R01").preview(notice()).replace("\n", "\r"))
    observation = message["OBX"][2]
    assert (str(observation[2]), str(observation[5]), str(observation[8])) == ("NM", "0.91", "A")
    assert str(message["OBX"][0][5]) == notice().reason


@pytest.mark.parametrize(
    ("code", "error"),
    [("AA", None), ("CA", None), ("AE", NotTaken), ("CE", NotTaken), ("AR", NotAccepted), ("CR", NotAccepted),
     ("ZZ", NotTaken), ("", NotTaken)],
)  # fmt: skip
def test_acknowledgement_codes(code: str, error: type[Exception] | None) -> None:
    if error is None:
        assert send(answering(code))[0] == f"MSA {code} for 0123456789abcdef0123"
        return
    with pytest.raises(error) as caught:
        send(answering(code, "ERR||PID^1|204^Unknown key identifier^HL70357|E|||Doe, Jane is unknown"))
    assert "204" in str(caught.value)
    assert "Doe" not in str(caught.value)


def test_an_acknowledgement_of_another_message_is_not_ours() -> None:
    with pytest.raises(NotTaken, match="it acknowledged another message"):
        send(lambda _message: [acknowledgement("AA", "STALE"), b""])
    said, _ = send(lambda message: [acknowledgement("AR", "STALE"), acknowledgement("AA", control_id(message))])
    assert said == "MSA AA for 0123456789abcdef0123"


def test_an_acknowledgement_may_come_in_pieces() -> None:
    def pieces(message: str) -> list[bytes]:
        whole = acknowledgement("AA", control_id(message))
        return [whole[:3], whole[3:50], whole[50:-1], whole[-1:]]

    assert send(pieces)[0].startswith("MSA AA")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (lambda _message: [b""], "without an acknowledgement"),
        (lambda message: [acknowledgement("AA", control_id(message))[:40], b""], "connection broke"),
        (lambda _message: [b"\x0bnot HL7\x1c\r"], "cannot be read"),
        (lambda _message: [b"\x0b" + b"x" * (1 << 20) + b"xx"], "connection broke"),
    ],
)
def test_what_is_no_acknowledgement_is_tried_again(answers: Answers, reason: str) -> None:
    with pytest.raises(NotTaken, match=reason):
        send(answers)


def test_a_receiver_that_says_nothing_and_one_that_is_not_there() -> None:
    with pytest.raises(SinkUnreachable, match=r"no acknowledgement within 0\.2 s"):
        send(lambda _message: [], timeout=0.2)
    with pytest.raises(SinkUnreachable, match="cannot be reached"):
        sink(free_port()).send(notice())


@pytest.mark.parametrize(
    ("encoding", "codec", "name"),
    [
        ("UNICODE UTF-8", "utf-8", "Müller^Łucja"),
        ("8859/1", "latin-1", "Müller^Änne"),
        ("8859/2", "iso8859_2", "Wałęsa^Łucja"),
        ("8859/5", "iso8859_5", "Люкceмбypг^A"),
        ("GB 18030-2000", "gb18030", "王^小东"),
        ("GB18030", "gb18030", "王^小东"),
        ("BIG-5", "big5", "王^小明"),
        ("ISO IR14", "shift_jis", "山田^太郎"),
        ("KS X 1001", "euc_kr", "홍^길동"),
    ],
)
def test_character_sets(encoding: str, codec: str, name: str) -> None:
    told = notice()
    told.attributes["00100010"]["Value"] = [{"Alphabetic": name}]
    with Hl7Receiver(answering("AA"), codec).running() as receiver:
        sink(receiver.port, encoding=encoding).send(told)
    fields = receiver.messages[0].split("\r")[1].split("|")
    assert fields[5].startswith(name)
    assert receiver.messages[0].split("\r")[0].split("|")[17] == encoding


def test_what_a_character_set_lacks_does_not_hold_the_priority_back() -> None:
    told = notice()
    told.attributes["00100010"]["Value"] = [{"Alphabetic": "王^小东"}]
    with Hl7Receiver(answering("AA"), "latin-1").running() as receiver:
        sink(receiver.port, encoding="8859/1").send(told)
    assert receiver.messages[0].split("\r")[1].split("|")[5].startswith("?^??")


def test_a_name_in_two_scripts_is_two_repetitions() -> None:
    told = notice()
    told.attributes["00100010"]["Value"] = [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小東"}]
    name = sink().preview(told).splitlines()[1].split("|")[5]
    assert name == "Wang^XiaoDong^^^^^^A~王^小東^^^^^^I"


def test_numbers_that_an_order_brought_are_used() -> None:
    order = {"placer_number": "P^7", "filler_number": "F8", "accession_number": "A9"}
    fields = [line.split("|") for line in sink().preview(notice(order=order)).splitlines()]
    orc, obr = fields[3], fields[4]
    assert (orc[2], orc[3], obr[2], obr[3], obr[18]) == ("P\\S\\7", "F8", "P\\S\\7", "F8", "A9")


def test_priorities_may_be_called_otherwise() -> None:
    assert "^^^^^STAT" in sink(priorities={"HIGH": "STAT"}).preview(notice())
    assert "^^^^^R" in sink().preview(notice("MEDIUM"))


def test_a_preview_sends_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        sink(server.getsockname()[1]).preview(notice())
        with pytest.raises(TimeoutError):
            server.accept()


def test_control_characters_cannot_make_a_segment() -> None:
    dataset = header()
    told = notice()
    told.attributes["00100020"]["Value"] = ["1\rPV1|1|X\x0b\x1c\n2"]
    assert dataset.PatientID == "47^11"
    lines = sink().preview(told).splitlines()
    assert [line[:3] for line in lines] == ["MSH", "PID", "PV1", "ORC", "OBR", "ZDS"]
    assert lines[1].split("|")[3].startswith("1 PV1\\F\\1\\F\\X")


@contextmanager
def secured_receiver(tls: Tls, answers: Answers) -> Iterator[int]:
    """An MLLP receiver over TLS that answers one message."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with server_context(tls).wrap_socket(connection, server_side=True) as secured:
                    message = secured.recv(1 << 16)
                    for part in answers(message.decode().lstrip("\x0b")):
                        secured.sendall(part)
                    secured.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def test_messages_over_tls_with_certificates_of_the_node_or_of_its_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    ours, ris, stranger = authority.issue("node"), authority.issue("ris"), Authority(tmp_path / "other").issue("ris")
    for table, node_tls in ((True, ours), (ours, None)):
        with secured_receiver(ris, answering("AA")) as port:
            keys = Hl7Sink.model_validate({"host": "127.0.0.1", "port": port, "tls": table, "timeout": 5.0})
            settings = Settings(node=Node(data=tmp_path, tls=node_tls), worklist=Worklist(hl7=keys, sinks=("hl7",)))
            assert make(keys, settings, lambda *_: None).send(notice()).startswith("MSA AA")
    with secured_receiver(stranger, answering("AA")) as port, pytest.raises(SinkUnreachable, match="certificate"):
        keys = Hl7Sink.model_validate({"host": "127.0.0.1", "port": port, "tls": ours, "timeout": 5.0})
        make(keys, Settings(node=Node(data=tmp_path)), lambda *_: None).send(notice())


@pytest.mark.parametrize("where", ["in the handshake", "in its answer"])
def test_a_receiver_that_crawls_over_tls_is_given_up(tmp_path: Path, where: str) -> None:
    authority = Authority(tmp_path / "pki")
    ours, ris = authority.issue("node"), authority.issue("ris")

    def acknowledge(message: bytes) -> bytes:
        (part,) = answering("AA")(message.decode().lstrip("\x0b"))
        return part

    slow = {"in the handshake": crawls_in_the_handshake(ris)}.get(where, crawls_behind_the_handshake(ris, acknowledge))
    with hanging(slow) as peer:
        keys = Hl7Sink.model_validate({"host": "127.0.0.1", "port": peer.port, "tls": ours, "timeout": 1.0})
        sink, before = make(keys, Settings(node=Node(data=tmp_path)), lambda *_: None), time.monotonic()
        with pytest.raises(SinkUnreachable):
            sink.send(notice())
        assert 1.0 <= time.monotonic() - before < at_most(sink.longest + 3)
