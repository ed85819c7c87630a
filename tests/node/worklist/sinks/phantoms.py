"""What the tests of sinks tell, and an HL7 receiver that shares no code with the node."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset

from node.ledger.engine import Ledger
from node.worklist.items.priority import Priority, RequestedPriority
from node.worklist.reading.data_set import Station, reading_attributes, reading_uid
from node.worklist.reading.work_items import ensure_item, raise_priority
from node.worklist.sinks.facts import Notice

STUDY = "1.2.826.0.1.3680043.10.5"
NOW = 1_790_000_000.0
REASON = "HIGH: pneumothorax (probability 91 %, threshold 50 %)"
FINDING = {
    "label": "pneumothorax", "quantity": "probability", "probability": 0.91, "operating_point": 0.5,
    "present": True, "place": "left", "urgency": "HIGH",
}  # fmt: skip


def header(study: str = STUDY, accession: str = "ACC|1", name: str = "O'Mül|ler^Ä&nne~x^M^Dr^Jr") -> Dataset:
    dataset = Dataset()
    dataset.StudyInstanceUID = study
    dataset.PatientName, dataset.PatientID, dataset.IssuerOfPatientID = name, "47^11", "HOSP"
    dataset.PatientBirthDate, dataset.PatientSex = "19600229", "F"
    dataset.AccessionNumber, dataset.StudyDescription = accession, "Thorax p.a."
    return dataset


def notice(priority: str = "HIGH", **content: Any) -> Notice:
    attributes = reading_attributes(STUDY, header(), Station(), NOW)
    given = {"attributes": attributes, "findings": [FINDING], "order": None} | content
    return Notice("0123456789abcdef0123", reading_uid(STUDY), STUDY, priority, REASON, NOW, given)


def raised(ledger: Ledger, study: str = STUDY, now: float = NOW, accession: str = "ACC1") -> None:
    """A work item that triage has raised to HIGH."""
    with ledger.write() as connection:
        ensure_item(connection, header(study, accession), now)
        raise_priority(connection, study, RequestedPriority(Priority.HIGH, "pneumothorax"), now)


Answers = Callable[[str], Sequence[bytes]]
"""From a message to the bytes to write; b"" ends the connection."""


@dataclass
class Hl7Receiver:
    """An MLLP server that keeps what it got and answers as it is told."""

    answers: Answers
    codec: str = "utf-8"
    messages: list[str] = field(default_factory=list)
    port: int = 0
    got: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[Hl7Receiver]:
        with _listening(self.port) as server:
            self.port = server.getsockname()[1]
            thread = threading.Thread(target=self._serve, args=(server,), daemon=True)
            thread.start()
            yield self
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                with suppress(OSError):  # a sender that was killed
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        received = b""
        while b"\x1c\r" not in received:
            more = connection.recv(100)
            if not more:
                return
            received += more
        message = received[received.index(b"\x0b") + 1 : received.index(b"\x1c\r")].decode(self.codec)
        self.messages.append(message)
        self.got.set()
        for part in self.answers(message):
            if not part:
                return
            connection.sendall(part)
        try:
            connection.recv(1)  # until the sender ends the connection
        except OSError:
            return


def _listening(port: int, patience: float = 20.0) -> socket.socket:
    """A listening socket; a port that another program of the tests still holds is waited for."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def control_id(message: str) -> str:
    return message.split("\r", maxsplit=1)[0].split("|")[9]


def acknowledgement(code: str, of: str, *more: str) -> bytes:
    lines = ["MSH|^~\\&|RIS|||READFIRST|20260921||ACK|A1|P|2.5.1||||||UNICODE UTF-8", f"MSA|{code}|{of}", *more]
    return b"\x0b" + "".join(f"{line}\r" for line in lines).encode() + b"\x1c\r"


def answering(code: str, *more: str) -> Answers:
    return lambda message: [acknowledgement(code, control_id(message), *more)]
