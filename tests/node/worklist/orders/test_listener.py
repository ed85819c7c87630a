"""The MLLP listener over real connections: what AA says is in the ledger, and works on the worklist."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import hl7 as reference
import pytest
from ports import free_port
from sqlalchemy import select
from structlog.testing import capture_logs

from node.errors import ConfigurationError
from node.ledger.engine import Ledger
from node.ledger.tables import IMAGING_ORDER, WORK_ITEM
from node.settings import Orders, Tls
from node.tls.contexts import client_context
from node.worklist.items.json_model import from_dataset
from node.worklist.items.priority import Priority, RequestedPriority
from node.worklist.items.statuses import Status
from node.worklist.orders import orders
from node.worklist.orders.listener import listening
from node.worklist.reading import work_items
from node.worklist.reading.data_set import Station, reading_uid
from node.worklist.reading.work_items import ensure_item, raise_priority
from node.worklist.ups import operations
from tests.node.authority import Authority
from tests.node.slow_peers import SlowTls
from tests.node.upperlayer.test_acceptor import wait_until
from tests.node.worklist.scu import pushed
from tests.node.worklist.sinks.phantoms import NOW, STUDY, header
from tests.waiting import at_most

OMG = """MSH|^~\\&|RIS|RAD|READFIRST|NODE|20260921||OMG^O19^OMG_O19|{id}|P|2.5.1||||||{charset}
PID|1||4711^^^HOSP||Secret^Name||19600229|F
ORC|{control}|P1|F1
TQ1|1||||||||{priority}
OBR|1|P1|F1|CXR^Chest^L||||||||||||||{accession}
"""
OMI = OMG.replace("OMG^O19^OMG_O19", "OMI^O23^OMI_O23") + "IPC|{accession}|RP1|{study}|SPS1|CR\n"
ORM = """MSH|^~\\&|RIS|RAD|READFIRST|NODE|20260921||ORM^O01|{id}|P|2.3.1
PID|1||4711^^^HOSP||Secret^Name
ORC|{control}|P1|F1||||^^^^^{priority}
OBR|1|P1|F1|CXR^Chest^L||||||||||||||{accession}|||||||||^^^^^{priority}
ZDS|{study}^^Application^DICOM
"""
ADT = """MSH|^~\\&|ADT|HOSP|READFIRST|NODE|20260921||ADT^A40^ADT_A39|{id}|P|2.5.1
EVN||20260921
PID|1||4711^^^HOSP||Secret^Name
MRG|0815^^^HOSP
"""


def fill(template: str, **values: str) -> str:
    given = {"id": "M1", "control": "NW", "priority": "S", "accession": "ACC1", "study": "", "charset": ""} | values
    return template.format(**given).replace("\n", "\r")


class Sender:
    """A RIS: its own framing, one connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)

    def write(self, content: bytes) -> None:
        self.socket.sendall(b"\x0b" + content + b"\x1c\r")

    def read(self) -> str:
        answer = b""
        while not answer.endswith(b"\x1c\r"):
            more = self.socket.recv(1)
            assert more, "the listener ended the connection"
            answer += more
        return answer[1:-2].decode()

    def __call__(self, message: str | bytes) -> Any:
        self.write(message if isinstance(message, bytes) else message.encode())
        return reference.parse(self.read())


@pytest.fixture
def listen(ledger: Ledger) -> Iterator[Callable[..., Callable[[], Sender]]]:
    with ExitStack() as stack:

        def listen(**options: object) -> Callable[[], Sender]:
            table = Orders.model_validate({"port": free_port()} | options)
            port = stack.enter_context(listening(table, ledger))

            def connect() -> Sender:
                sender = Sender(port)
                stack.callback(sender.socket.close)
                return sender

            return connect

        yield listen


@pytest.fixture
def sender(listen: Callable[..., Callable[[], Sender]]) -> Sender:
    return listen()()


def known(ledger: Ledger) -> list[dict[str, Any]]:
    with ledger.read() as connection:
        return [dict(row) for row in connection.execute(select(IMAGING_ORDER)).mappings()]


def make_item(ledger: Ledger, accession: str = "ACC1") -> None:
    """As the node does when a study is complete."""
    with ledger.write() as connection:
        ensure_item(connection, header(accession=accession), NOW)
        orders.apply(connection, STUDY, NOW)


def item(ledger: Ledger) -> work_items.Row:
    with ledger.read() as connection:
        (row,) = work_items.listing(connection)
    return row


@pytest.mark.parametrize("template", [OMG, OMI, ORM], ids=["OMG", "OMI", "ORM"])
def test_an_order_is_kept_and_its_study_is_read_first(template: str, sender: Sender, ledger: Ledger) -> None:
    answer = sender(fill(template, study=STUDY if template is not OMG else ""))
    assert (str(answer["MSA.F1"]), str(answer["MSA.F2"])) == ("AA", "M1")
    assert (answer["MSH.F3"], answer["MSH.F5"]) == ("READFIRST", "RIS")
    (order,) = known(ledger)
    assert (order["accession_number"], order["placer_number"], order["filler_number"]) == ("ACC1", "P1", "F1")
    assert (order["priority"], order["ordered_as"]) == ("HIGH", "S")
    assert order["study_instance_uid"] == (STUDY if template is not OMG else "")
    make_item(ledger)
    row = item(ledger)
    assert (row.priority, row.source, row.reason) == ("HIGH", "human", "HIGH: ordered as S")


def test_the_ledger_has_it_before_the_acknowledgement(
    listen: Callable[..., Callable[[], Sender]], ledger: Ledger
) -> None:
    sender = listen()()
    with ledger.write():  # nobody else can write
        sender.write(fill(OMG).encode())
        sender.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sender.read()
        assert known(ledger) == []
    sender.socket.settimeout(10)
    sender.read()
    assert len(known(ledger)) == 1


def test_images_without_an_accession_number_get_that_of_the_order(sender: Sender, ledger: Ledger) -> None:
    sender(fill(OMI, study=STUDY))
    make_item(ledger, accession="")
    assert (item(ledger).accession_number, item(ledger).priority) == ("ACC1", "HIGH")


def test_an_order_that_comes_after_the_images_raises_them(sender: Sender, ledger: Ledger) -> None:
    make_item(ledger)
    sender(fill(OMG, priority="R"))
    assert item(ledger).priority == "MEDIUM"
    sender(fill(OMG, id="M2", control="XO"))
    assert (item(ledger).priority, item(ledger).reason) == ("HIGH", "HIGH: ordered as S")
    sender(fill(OMG, id="M3", control="XO", priority="R"))
    assert item(ledger).priority == "HIGH"  # what a person asked for is never lowered
    assert [row["ordered_as"] for row in known(ledger)] == ["R"]


def test_triage_does_not_lower_an_order_and_an_old_order_does_not_undo_a_person(sender: Sender, ledger: Ledger) -> None:
    sender(fill(OMG))
    make_item(ledger)
    with ledger.write() as connection:
        raise_priority(connection, STUDY, RequestedPriority(Priority.LOW, "no finding"), NOW)
    assert item(ledger).priority == "HIGH"
    change, _ = from_dataset(_priority("LOW"))
    with ledger.write() as connection:
        operations.modify(connection, reading_uid(STUDY), change, NOW)
    sender(fill(OMG, id="M2", control="SC"))  # the same order again: nothing new
    make_item(ledger)
    assert item(ledger).priority == "LOW"


def test_an_order_that_is_known_raises_the_work_item_that_the_ris_pushes_later(sender: Sender, ledger: Ledger) -> None:
    sender(fill(ORM, study=STUDY))
    given = from_dataset(pushed("MEDIUM", STUDY))[0]
    with ledger.write() as connection:
        status = operations.create(connection, "1.2.3", given, Station(), NOW)
    assert status is Status.CREATED_WITH_MODIFICATIONS
    assert (item(ledger).priority, item(ledger).reason) == ("HIGH", "HIGH: ordered as S")
    with ledger.write() as connection:
        operations.modify(connection, "1.2.3", from_dataset(_priority("LOW"))[0], NOW)
    make_item(ledger)  # the images come
    assert (item(ledger).sop_instance_uid, item(ledger).priority) == ("1.2.3", "LOW")  # the last word is a person's


def _priority(priority: str) -> Any:
    dataset = header()
    dataset.clear()
    dataset.ScheduledProcedureStepPriority = priority
    return dataset


@pytest.mark.parametrize(
    ("word", "priority"),
    [("S", "HIGH"), ("A", "HIGH"), ("P", "HIGH"), ("C", "HIGH"), ("R", "MEDIUM"), ("T", "MEDIUM"), ("", "MEDIUM"),
     ("SOON", "MEDIUM"), ("STAT", "HIGH"), ("asap", "HIGH"), ("Pre-Op", "HIGH"), ("ROUTINE", "MEDIUM")],
)  # fmt: skip
def test_priorities(word: str, priority: str, sender: Sender, ledger: Ledger) -> None:
    sender(fill(OMG, priority=word))
    assert [(row["priority"], row["ordered_as"]) for row in known(ledger)] == [(priority, word)]


def test_a_site_has_its_own_words_and_places(listen: Callable[..., Callable[[], Sender]], ledger: Ledger) -> None:
    sender = listen(priorities={"Soon": "HIGH", "A": "MEDIUM"}, accession=["ORC-3"])()
    sender(fill(OMG, priority="SOON"))
    assert [(row["priority"], row["accession_number"]) for row in known(ledger)] == [("HIGH", "F1")]
    sender(fill(OMG, priority="A"))
    assert [row["priority"] for row in known(ledger)] == ["MEDIUM"]


def test_the_same_message_twice_is_one_order_and_two_orders_are_two(sender: Sender, ledger: Ledger) -> None:
    sender(fill(OMG))
    sender(fill(OMG))
    assert len(known(ledger)) == 1
    lines = fill(OMG).split("\r")
    second = [line.replace("P1|F1", "P2|F2").replace("|S", "|R").replace("ACC1", "ACC2") for line in lines[2:]]
    sender("\r".join(lines[:-1] + second))
    assert [(row["filler_number"], row["priority"]) for row in known(ledger)] == [("F1", "HIGH"), ("F2", "MEDIUM")]


def test_one_zds_is_all_orders(sender: Sender, ledger: Ledger) -> None:
    lines = fill(ORM, study=STUDY).split("\r")
    second = [line.replace("P1|F1", "P2|F2") for line in lines[2:4]]
    sender("\r".join(lines[:4] + second + lines[4:]))
    assert [row["study_instance_uid"] for row in known(ledger)] == [STUDY, STUDY]


@pytest.mark.parametrize("control", ["CA", "OC", "DC"])
def test_a_canceled_order_asks_for_nothing(control: str, sender: Sender, ledger: Ledger) -> None:
    sender(fill(OMG))
    sender(fill(OMG, control=control))
    make_item(ledger)
    assert item(ledger).priority == "MEDIUM"
    assert [row["canceled"] for row in known(ledger)] == [True]


def test_an_order_of_another_study_with_the_same_accession_number_is_not_this_ones(
    sender: Sender, ledger: Ledger
) -> None:
    sender(fill(OMI, study="1.2.3"))
    make_item(ledger)
    assert item(ledger).priority == "MEDIUM"


def test_what_is_no_order_is_answered_politely_and_ignored(sender: Sender, ledger: Ledger) -> None:
    with capture_logs() as logs:
        assert str(sender(fill(ADT))["MSA.F1"]) == "AA"
    assert known(ledger) == []
    assert logs[-1]["event"] == "HL7 message ignored, it is no order"
    assert (logs[-1]["type"], logs[-1]["control_id"]) == ("ADT^A40", "M1")


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("PID|1\r", "AR", "does not begin with an MSH segment"),
        ("MSH|^~\\&\r", "AE", "MSH-9"),
        (fill(OMG, id=""), "AE", "MSH-10"),
        (fill(OMG, accession="").replace("|F1", "|").replace("|P1", "|"), "AE", "no accession number"),
        (fill(OMG, control="SC", accession="").replace("|F1", "|"), "AE", "not known"),
        (fill(OMG, accession="\xfc").encode("latin-1"), "AE", "worklist.orders.encoding = UNICODE UTF-8"),
        (fill(OMG, charset="KLINGON", accession="\xfc"), "AE", "character set that we do not know"),
        ("\r".join(fill(OMG).split("\r")[:2]), "AE", "no ORC or OBR"),
        (fill(OMG, accession="9" * 65), "AE", "too long"),
    ],
)
def test_malformed_messages(message: str | bytes, code: str, reason: str, sender: Sender, ledger: Ledger) -> None:
    with capture_logs() as logs:
        answer = sender(message)
    assert str(answer["MSA.F1"]) == code
    assert reason in str(answer["MSA.F3"])
    assert str(answer["ERR.F4"]) == "E"
    header = "MSH|^~\\&|RIS|RAD|READFIRST|NODE|"
    sent = message if isinstance(message, bytes) else message.encode()
    if sent.startswith(header.encode()) and "MSH-10" not in reason:
        assert [str(answer[f"MSH.F{field}"]) for field in (3, 4, 5, 6)] == ["READFIRST", "NODE", "RIS", "RAD"]
        assert str(answer["MSA.F2"]) == "M1"
    assert known(ledger) == []
    assert logs[-1]["event"] == "HL7 message refused"
    assert str(sender(fill(OMG))["MSA.F1"]) == "AA"  # the connection goes on


def test_no_patient_attribute_is_logged(sender: Sender) -> None:
    with capture_logs() as logs:
        for message in (fill(OMG), fill(ADT), fill(OMG, accession="9" * 65), fill(OMG).replace("MSH|", "MSX|")):
            sender(message)
    assert len(logs) == 4
    for secret in ("Secret", "4711", "19600229"):
        assert secret not in str(logs)


@pytest.mark.parametrize(("charset", "python"), [("8859/1", "latin-1"), ("GB 18030-2000", "gb18030"), ("", "utf-8")])
def test_character_sets(charset: str, python: str, sender: Sender, ledger: Ledger) -> None:
    name = "王" if python == "gb18030" else "Müller"
    message = fill(OMG, charset=charset).replace("Secret", name).encode(python)
    assert str(sender(message)["MSA.F1"]) == "AA"
    assert len(known(ledger)) == 1


@pytest.mark.parametrize(
    ("accept", "application", "priority", "codes"),
    [("AL", "AL", "S", ["CA", "AA"]), ("AL", "NE", "S", ["CA"]), ("ER", "AL", "S", ["AA"]), ("SU", "ER", "S", ["CA"])],
)
def test_enhanced_mode(accept: str, application: str, priority: str, codes: list[str], sender: Sender) -> None:
    message = fill(OMG, priority=priority).replace("|P|2.5.1|||", f"|P|2.5.1|||{accept}|{application}", 1)
    sender.write(message.encode())
    assert [str(reference.parse(sender.read())["MSA.F1"]) for _code in codes] == codes


def test_messages_in_pieces_with_line_ends_and_several_at_once(sender: Sender, ledger: Ledger) -> None:
    blocks = [
        b"\x0b" + fill(OMG, id=f"M{n}", accession=f"A{n}").replace("\r", "\r\n").encode() + b"\x1c\r" for n in (1, 2)
    ]
    stream = b"\n \r".join(blocks)
    for start in range(0, len(stream), 7):
        sender.socket.sendall(stream[start : start + 7])
    assert [str(reference.parse(sender.read())["MSA.F2"]) for _block in blocks] == ["M1", "M2"]
    assert [row["accession_number"] for row in known(ledger)] == ["A1", "A2"]


def test_half_a_message_and_one_that_is_too_large_are_answered_and_leave_nothing(
    listen: Callable[..., Callable[[], Sender]], ledger: Ledger
) -> None:
    connect = listen()
    with capture_logs() as logs:
        half = connect()
        half.socket.sendall(b"\x0b" + fill(OMG).encode())
        half.socket.shutdown(socket.SHUT_WR)
        assert "MSA|AE|M1|the connection ended in the middle of a message, send it again" in half.read()
        assert half.socket.recv(1) == b""
        large = connect()
        answer = large(fill(OMG).encode() + b"OBX|1|ED|||" + b"x" * 1_200_000)
        assert (str(answer["MSA.F1"]), str(answer["MSA.F2"])) == ("AR", "M1")
        assert str(answer["MSA.F3"]) == "a message of more than 1048576 bytes"
    assert known(ledger) == []
    assert [(log["event"], log["control_id"]) for log in logs] == [("HL7 message refused", "M1")] * 2
    assert str(large(fill(OMG))["MSA.F1"]) == "AA"  # the connection goes on


def test_a_new_block_ends_a_broken_message(sender: Sender, ledger: Ledger) -> None:
    sender.socket.sendall(b"\x0b" + fill(OMG, id="M1").encode()[:-9])
    sender.write(fill(OMG, id="M2").encode())
    assert "MSA|AE|M1|a new message begins before its end" in sender.read()
    assert "MSA|AA|M2" in sender.read()
    assert [row["control_id"] for row in known(ledger)] == ["M2"]


def test_a_message_has_a_deadline_whatever_trickles_in(listen: Callable[..., Callable[[], Sender]]) -> None:
    sender = listen(message_seconds=0.5)()
    begun = time.monotonic()
    sender.socket.sendall(b"\x0b" + fill(OMG).encode()[:80])
    sender.socket.settimeout(0.1)
    answer = b""
    while not answer.endswith(b"\x1c\r"):
        assert time.monotonic() - begun < at_most(5)
        sender.socket.sendall(b"x")
        with suppress(TimeoutError):
            answer += sender.socket.recv(1000)
    assert b"MSA|AE|M1|the message did not arrive whole in time" in answer
    sender.socket.settimeout(10)
    assert str(sender(fill(OMG))["MSA.F1"]) == "AA"


def test_only_allowed_addresses(listen: Callable[..., Callable[[], Sender]]) -> None:
    assert listen(allow=["10.0.0.0/8"])().socket.recv(1) == b""
    assert str(listen(allow=["127.0.0.1"])()(fill(OMG))["MSA.F1"]) == "AA"


def test_idle_connections_keep_nobody_out_and_the_active_one_stays(listen: Callable[..., Callable[[], Sender]]) -> None:
    connect = listen(most_connections=4)
    with capture_logs() as logs:
        active = connect()
        idle = [connect() for _number in range(3)]
        assert [str(one(fill(OMG))["MSA.F1"]) for one in idle] == ["AA"] * 3  # and then nothing more
        for number in range(12):
            assert str(active(fill(OMG))["MSA.F1"]) == "AA", number
            idle.append(connect())
            wait_until(lambda: sum(log["event"] == "HL7 connection dropped" for log in logs) == number + 1)  # noqa: B023
        assert str(active(fill(OMG))["MSA.F1"]) == "AA"
        assert [one.socket.recv(1) for one in idle[:10]] == [b""] * 10  # the least recently active ones
    dropped = [log for log in logs if log["event"] == "HL7 connection dropped"]
    assert len(dropped) == 12
    assert "worklist.orders.most_connections = 4" in dropped[0]["reason"]


def test_a_silent_sender_is_given_up(listen: Callable[..., Callable[[], Sender]]) -> None:
    assert listen(idle_seconds=0.1)().socket.recv(1) == b""


def test_an_address_in_use_is_named(listen: Callable[..., Callable[[], Sender]], ledger: Ledger) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        table = Orders(port=taken.getsockname()[1])
        said = r"worklist\.orders: 127\.0\.0\.1:\d+ cannot be listened on"
        with pytest.raises(ConfigurationError, match=said), listening(table, ledger):
            pass


def test_it_is_off_without_its_table(ledger: Ledger) -> None:
    with listening(None, ledger) as port:
        assert port == 0


def test_many_orders_do_not_need_the_whole_worklist(sender: Sender, ledger: Ledger) -> None:
    with ledger.write() as connection:
        for number in range(300):
            ensure_item(connection, header(f"1.2.{number}", f"A{number}"), NOW)
    begun = time.monotonic()
    sender(fill(OMG, accession="A7"))
    assert time.monotonic() - begun < at_most(1)
    with ledger.read() as connection:
        high = (
            connection.execute(select(WORK_ITEM.c.study_instance_uid).where(WORK_ITEM.c.priority == "HIGH"))
            .scalars()
            .all()
        )
    assert high == ["1.2.7"]


def numbered(
    controls: str, *numbers: str, zds: str = "", status: str = "", priority: str = "S", obr: bool = True
) -> str:
    """An ORM^O01 with ORC-1, placer and filler number, accession number."""
    placer, filler, accession = numbers
    lines = [
        "MSH|^~\\&|RIS|HOSP|READFIRST|RAD|20261130||ORM^O01|M1|P|2.3.1",
        "PID|||88||McGuire^Sean",
        f"ORC|{controls}|{placer}|{filler}||{status}||^^^^^{priority}",
        f"OBR|1|{placer}|{filler}|CXR^Chest||||||||||||||{accession}|||||||||^^^^^{priority}" if obr else "",
        f"ZDS|{zds}^100^Application^DICOM" if zds else "",
    ]
    return "".join(f"{line}\r" for line in lines if line)


CANCELS = {
    "with a filler number": numbered("CA", "P1", "F9", "ACC1"),
    "without the accession number": numbered("CA", "P1", "F9", ""),
    "with a study": numbered("CA", "P1", "", "ACC1", zds=STUDY),
    "SC and ORC-5": numbered("SC", "P1", "", "ACC1", status="CA"),
    "ORC-5 alone": numbered("", "P1", "", "ACC1", status="CA"),
    "XO and ORC-5 discontinued": numbered("XO", "P1", "", "ACC1", status="DC"),
    "ORC alone": numbered("CA", "P1", "F9", "", obr=False, priority=""),
    "in small letters": numbered("ca", "P1", "", "", obr=False),
    "with all of it": numbered("OC", "P1", "F9", "ACC1", zds=STUDY, status="CA"),
    "with another accession number": numbered("CA", "P1", "", "ACC2"),
    "by accession number": numbered("CA", "", "", "ACC1"),
}


@pytest.mark.parametrize("cancel", CANCELS.values(), ids=CANCELS)
def test_a_cancel_names_the_order_by_what_it_has(cancel: str, sender: Sender, ledger: Ledger) -> None:
    sender(numbered("NW", "P1", "", "ACC1"))
    assert str(sender(cancel)["MSA.F1"]) == "AA"
    assert [row["canceled"] for row in known(ledger)] == [True]
    make_item(ledger)
    assert item(ledger).priority == "MEDIUM"


def test_a_cancel_of_one_procedure_leaves_the_others(sender: Sender, ledger: Ledger) -> None:
    for filler, accession in (("F1", "ACC1"), ("F2", "ACC2")):
        sender(numbered("NW", "P1", filler, accession))
    sender(numbered("CA", "P1", "F2", "", obr=False))
    assert [(row["filler_number"], row["canceled"]) for row in known(ledger)] == [("F1", False), ("F2", True)]
    assert str(sender(numbered("CA", "P1", "F3", "", obr=False))["MSA.F1"]) == "AE"  # which one is meant?
    sender(numbered("CA", "P1", "", "", obr=False))
    assert [row["canceled"] for row in known(ledger)] == [True, True]


def test_a_cancel_of_another_order_of_the_study_leaves_ours(sender: Sender, ledger: Ledger) -> None:
    sender(numbered("NW", "P1", "F1", "ACC1"))
    assert str(sender(numbered("CA", "P2", "F2", "ACC1"))["MSA.F1"]) == "AA"
    make_item(ledger)
    assert item(ledger).priority == "HIGH"


@pytest.mark.parametrize(
    ("change", "priority"),
    [
        (numbered("XO", "P1", "F9", "ACC1", priority="R"), "MEDIUM"),
        (numbered("XO", "P1", "", "", priority="R", obr=False), "MEDIUM"),
        (numbered("SC", "P1", "F9", "", status="IP", priority="", obr=False), "HIGH"),  # gives no priority
        (numbered("SC", "P1", "F9", "ACC1", zds=STUDY, priority=""), "HIGH"),
    ],
)
def test_a_change_is_one_of_the_order_that_is_known(change: str, priority: str, sender: Sender, ledger: Ledger) -> None:
    sender(numbered("NW", "P1", "", "ACC1"))
    assert str(sender(change)["MSA.F1"]) == "AA"
    assert [(row["priority"], row["accession_number"]) for row in known(ledger)] == [(priority, "ACC1")]
    make_item(ledger)
    assert item(ledger).priority == priority


def test_a_change_without_an_accession_number_raises_the_work_item_that_is_there(
    sender: Sender, ledger: Ledger
) -> None:
    sender(numbered("NW", "P1", "", "ACC1", priority="R"))
    make_item(ledger)
    sender(numbered("XO", "P1", "", "", priority="S", obr=False))
    assert item(ledger).priority == "HIGH"


@pytest.mark.parametrize(
    "where",
    [
        "ORC|NW|P1|||||^^^^^S\rOBR|1|P1||CXR",
        "ORC|NW|P1|||||1^ONCE^^^^R~1^ONCE^^^^S\rOBR|1|P1||CXR",
        "ORC|NW|P1|||||STAT\rOBR|1|P1||CXR",
        "ORC|NW|P1\rOBR|1|P1||CXR|S",
        "ORC|NW|P1\rTQ1|1||||||||R\rTQ1|2||||||||A\rOBR|1|P1||CXR",
        "ORC|NW|P1\rTQ1|1||||||||1^STAT^L\rOBR|1|P1||CXR",
        "ORC|NW|P1\rTQ1|1||||||||R~S\rOBR|1|P1||CXR",
        "ORC|NW|P1\rOBR|1|P1||CXR|RO|||||||||||||ACC1|||||||||^^^^^stat",
    ],
)
def test_the_priority_is_seen_wherever_it_stands(where: str, sender: Sender, ledger: Ledger) -> None:
    header = "MSH|^~\\&|RIS|HOSP|READFIRST|RAD|20261130||ORM^O01|M1|P|2.3.1\r"
    if "ACC1" not in where:
        where += "|" * (18 - where.rsplit("\r", 1)[1].count("|")) + "ACC1"
    assert str(sender(header + where + "\r")["MSA.F1"]) == "AA"
    assert [row["priority"] for row in known(ledger)] == ["HIGH"]


def test_an_unknown_priority_is_routine_and_both_sides_are_told(sender: Sender, ledger: Ledger) -> None:
    with capture_logs() as logs:
        answer = sender(fill(OMG, priority="SOON"))
    assert (str(answer["MSA.F1"]), "SOON" in str(answer["MSA.F3"])) == ("AA", True)
    assert "worklist.orders.priorities" in logs[-1]["remark"]


@pytest.mark.parametrize("kind", ["ORM", "ORM^", "ORM_O01", "orm^o01", "ORM^O01^ORM_O01"])
def test_a_message_type_as_systems_write_it(kind: str, sender: Sender, ledger: Ledger) -> None:
    sender(numbered("NW", "P1", "", "ACC1").replace("ORM^O01", kind))
    assert len(known(ledger)) == 1


@pytest.mark.parametrize(
    ("charset", "python", "is_doubtful"),
    [("", "latin-1", True), ("UNICODE", "utf-8", False), ("WINDOWS-1252", "cp1252", False),
     ("8859/1", "latin-1", False),
     ("ISO-8859-1", "latin-1", False), ("ISO_IR 100", "latin-1", False), ("KLINGON", "latin-1", True),
     ("UNICODE UTF-8", "latin-1", True), ("CP1250", "cp1250", False), ("8859/15~UNICODE", "iso8859-15", False),
     ("", "utf-8-sig", False), ("", "utf-16", False)],
)  # fmt: skip
def test_an_order_is_recorded_whatever_a_name_is_written_in(
    charset: str, python: str, is_doubtful: bool, sender: Sender, ledger: Ledger
) -> None:
    with capture_logs() as logs:
        answer = sender(fill(OMG, charset=charset).replace("Secret", "M\xfcller").encode(python))
    assert (str(answer["MSA.F1"]), len(known(ledger))) == ("AA", 1)
    assert ("read in part" in str(answer["MSA.F3"]) if is_doubtful else not is_remarked(answer)) is True
    assert any("remark" in log for log in logs) is is_doubtful


def is_remarked(answer: Any) -> bool:
    return len(answer.segment("MSA")) > 3


@pytest.mark.parametrize("ends", ["BTS|2\r", "BTS|3\r", ""])
def test_a_batch_is_answered_in_a_batch(ends: str, sender: Sender, ledger: Ledger) -> None:
    messages = fill(OMG, id="M1", accession="A1") + fill(OMG, id="M2", accession="9" * 65)
    batch = "BHS|^~\\&|RIS|HOSP|READFIRST|RAD|20261130||||B1\r" + messages + ends
    with capture_logs() as logs:
        sender.write(b"\xef\xbb\xbf" + ("FHS|^~\\&|RIS|||||||||F1\r" + batch + ("FTS|1\r" if ends else "")).encode())
        lines = sender.read().split("\r")
    assert [line[:3] for line in lines if line] == ["FHS", "BHS", "MSH", "MSA", "MSH", "MSA", "ERR", "BTS", "FTS"]
    assert [line[:9] for line in lines if line[:3] == "MSA"] == ["MSA|AA|M1", "MSA|AE|M2"]
    fields = lines[1].split("|")
    assert (fields[2], fields[4], fields[11]) == ("READFIRST", "RIS", "B1")
    assert [row["accession_number"] for row in known(ledger)] == ["A1"]
    assert any(log["event"].startswith("HL7 batch") for log in logs) is (ends != "BTS|2\r")


def test_several_messages_in_a_block_are_several(sender: Sender, ledger: Ledger) -> None:
    sender.write((fill(OMG, id="M1", accession="A1") + fill(OMG, id="M2", accession="A2")).encode())
    assert ["MSA|AA|M1" in sender.read(), "MSA|AA|M2" in sender.read()] == [True, True]
    assert len(known(ledger)) == 2


FIELD = Path(__file__).parents[5] / "shared" / "cases" / "field"


@pytest.mark.skipif(not FIELD.is_dir(), reason="needs ../shared/cases/field")
def test_the_cases_of_the_field(sender: Sender, ledger: Ledger) -> None:
    def play(*names: str) -> list[str]:
        answers = []
        for name in names:
            sender.socket.sendall(next(FIELD.glob(f"*/{name}.hl7")).read_bytes())
            answers.append(str(reference.parse(sender.read())["MSA.F1"]))
        return answers

    for cancel in ("2a-ca-adds-filler", "2b-sc-orc5-ca", "2c-ca-with-zds", "2d-ca-orc-only"):
        assert play("1-nw-stat", cancel) == ["AA", "AA"]
        assert [row["canceled"] for row in known(ledger)] == [True], cancel
    urgent = ("latin1-no-msh18", "msh18-unicode", "msh18-windows-1252", "msh9-orm-only", "obr5-stat", "orc7-stat-word")
    assert play(*urgent) == ["AA"] * len(urgent)
    assert [row["priority"] for row in known(ledger) if not row["canceled"]] == ["HIGH"] * len(urgent)


def secured(port: int, tls: Tls) -> Sender:
    sender = Sender(port)
    sender.socket = client_context(tls).wrap_socket(sender.socket, server_hostname="127.0.0.1")
    return sender


def test_orders_over_tls_with_certificates_that_are_renewed(tmp_path: Path, ledger: Ledger) -> None:
    authority = Authority(tmp_path / "pki")
    ours, ris = authority.issue("node"), authority.issue("ris")
    port = free_port()
    with listening(Orders(port=port, tls=ours), ledger):
        with suppress(ssl.SSLError), closing(secured(port, ris).socket) as sock:
            first = sock.getpeercert()
        sender = secured(port, ris)
        assert str(sender(fill(OMG))["MSA.F1"]) == "AA"
        sender.socket.close()
        authority.issue("node")  # the same files
        again = secured(port, ris)
        assert again.socket.getpeercert() != first  # type: ignore[attr-defined]
        assert str(again(fill(OMG))["MSA.F1"]) == "AA"
        again.socket.close()
        with closing(Sender(port).socket) as plain:
            plain.sendall(b"\x0b" + fill(OMG).encode() + b"\x1c\r")
            assert b"MSA" not in plain.recv(1000)
        other = Authority(tmp_path / "other").issue("ris")
        stranger = Tls(certificate=other.certificate, key=other.key, ca=ours.ca)
        with pytest.raises(OSError), closing(secured(port, stranger).socket) as sock:
            sock.sendall(b"\x0b")
            assert sock.recv(1)
    assert len(known(ledger)) == 1


def test_tls_of_the_node_is_for_orders_where_they_have_none_of_their_own(tmp_path: Path, ledger: Ledger) -> None:
    ours = Authority(tmp_path / "pki").issue("node")
    port = free_port()
    with listening(Orders(port=port, tls=True), ledger, ours):
        sender = secured(port, ours)
        assert str(sender(fill(OMG))["MSA.F1"]) == "AA"
        sender.socket.close()


@pytest.mark.parametrize("where", ["in the handshake", "in its message"])
def test_a_sender_that_crawls_over_tls_has_the_same_deadline(tmp_path: Path, ledger: Ledger, where: str) -> None:
    authority = Authority(tmp_path / "pki")
    ours, ris = authority.issue("node"), authority.issue("ris")
    port, handshake = free_port(), where == "in the handshake"
    with (
        listening(Orders(port=port, tls=ours, message_seconds=1.0), ledger),
        closing(socket.create_connection(("127.0.0.1", port))) as sock,
    ):
        sock.settimeout(10)
        begun, end = time.monotonic(), SlowTls(sock, ris, threading.Event(), server=False)
        with suppress(OSError, EOFError):  # the listener ends the connection
            end.shake_hands(slow=handshake)
            end.write(b"\x0b" + fill(OMG).encode() + b"\x1c\r", slow=True)
        assert 1.0 <= time.monotonic() - begun < at_most(6)
    assert known(ledger) == []
