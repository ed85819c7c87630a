"""What is fuzzed: each target takes any bytes, and raises only where our code does what it must not do.

A refusal is one of our own errors with a sentence; anything else that a target lets through is a finding.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.dicom.dimse import read_store_request, store_response
from node.dicom.headers import read_attributes, read_header
from node.dicom.identity import identify, is_received_uid
from node.entities import InstanceKey
from node.errors import Refused, UnreadableInstance
from node.hl7.mllp import BadBlock, Blocks
from node.ledger.engine import Ledger, sqlite_url
from node.settings import Orders
from node.worklist.items.json_model import text
from node.worklist.orders.listener import OrderReceiver
from node.worklist.reading.data_set import HEADER_TAGS, header_values
from tests.fuzz.line import AWAITING, ESTABLISHED, line
from tests.node.phantoms import INSTANCE, part10
from workers.inputs.decoding.codestream import rows_columns
from workers.inputs.decoding.decoder import DecodeError, Decoder

SECONDS = 5.0  # that one input may take before it counts as a hang
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
ACKNOWLEDGED = (b"AA", b"AE", b"AR", b"CA", b"CE", b"CR")  # HL7 table 0008
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_MOST_OF_ID = 250  # characters of a Patient ID that are compared: of a longer one the ledger keeps the beginning
_MOST = 1 << 20  # bytes of an HL7 message, as the listener has it

T = TypeVar("T")
Play = Callable[[bytes], None]


@contextmanager
def _pdu() -> Iterator[Play]:
    """P-DATA and whatever else comes over an established association; what pynetdicom decodes is not served."""
    with line(serve=False) as end:

        def play(data: bytes) -> None:
            _in_time(lambda: end.play(data, ESTABLISHED))
            assert all(basket.size <= len(data) for basket in end.baskets)

        yield play


@contextmanager
def _association() -> Iterator[Play]:
    """All of an association from its first byte: negotiation, services, release. An odd first byte begins within it."""
    with line() as end:

        def play(data: bytes) -> None:
            state = ESTABLISHED if data[:1] and data[0] & 1 else AWAITING
            _in_time(lambda: end.play(data[1:], state))

        yield play


@contextmanager
def _command() -> Iterator[Play]:
    """A command set: whatever is read as a C-STORE-RQ can be answered, and says the same when it is written again."""

    def play(data: bytes) -> None:
        request = read_store_request(data)
        if request is not None:
            assert 0 <= request.message_id < 1 << 16
            answer = store_response(request, 0)
            assert len(answer) % 2 == 0
            assert read_store_request(answer) is None

    yield play


@contextmanager
def _identity() -> Iterator[Play]:
    """A Data Set, whose first byte chooses the transfer syntax: four UIDs that are safe to keep, or a refusal."""

    def play(data: bytes) -> None:
        syntax = SYNTAXES[data[0] % len(SYNTAXES)] if data else SYNTAXES[0]
        try:
            key = _in_time(lambda: identify(data[1:], UID(syntax), CTImageStorage, INSTANCE))
        except Refused as refused:
            assert refused.status in (0xA900, 0xC000)
            assert str(refused).isascii()
        else:
            assert key.sop_instance_uid == INSTANCE
            assert is_received_uid(key.study_instance_uid)
            assert is_received_uid(key.series_instance_uid)

    yield play


@contextmanager
def _written() -> Iterator[Callable[[bytes], Path]]:
    """Write a file, whose transfer syntax the first byte chooses; in memory where there is a folder for that."""
    heads = [part10(b"", syntax) for syntax in SYNTAXES]
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        path = Path(folder) / "instance.dcm"

        def write(data: bytes) -> Path:
            path.write_bytes(heads[data[0] % len(heads) if data else 0] + data[1:])
            return path

        yield write


@contextmanager
def _header() -> Iterator[Play]:
    """A file as `_written` has it: a header all of whose values can be read, or a refusal."""
    with _written() as write:

        def play(data: bytes) -> None:
            path = write(data)
            try:
                header = _in_time(lambda: read_header(path))
            except UnreadableInstance:
                return
            for element in header.iterall():
                _ = element.value

        yield play


@contextmanager
def _parsers() -> Iterator[Play]:
    """A file as `header` has it, read three times: for its identity, its worklist entry and its analysis.

    What was identified is found again under the same UIDs, of the same patient, by whatever decodes the header.
    """
    with _written() as write:

        def play(data: bytes) -> None:
            path, syntax = write(data), SYNTAXES[data[0] % len(SYNTAXES)] if data else SYNTAXES[0]
            try:
                values = header_values(_in_time(lambda: read_attributes(path, HEADER_TAGS)))
                json.dumps(values, allow_nan=False).encode()
                key = identify(data[1:], UID(syntax), CTImageStorage, INSTANCE)
                header = read_header(path)
            except (Refused, UnreadableInstance):
                return
            assert InstanceKey(*(str(header.get(keyword)) for keyword in _UIDS)) == key
            sent = header.get("PatientID") or ""
            patient = _visible(sent if isinstance(sent, str) else "".join(map(str, sent)))
            assert _visible(key.patient_id) == patient or len(patient) > _MOST_OF_ID
            assert not isinstance(sent, str) or patient.startswith(_visible(text(values, "PatientID")))

        yield play


@contextmanager
def _pixels() -> Iterator[Play]:
    """A whole file, decoded in the child as the worker has it: an array, or a DecodeError."""
    with tempfile.TemporaryDirectory() as folder, Decoder(1 << 30, seconds=SECONDS, largest_bytes=1 << 26) as decoder:
        path = Path(folder) / "instance.dcm"

        def play(data: bytes) -> None:
            path.write_bytes(data)
            try:
                assert decoder.decode(path).nbytes <= 1 << 26
            except DecodeError:
                return

        yield play


@contextmanager
def _codestream() -> Iterator[Play]:
    """A compressed frame: its size, or None."""

    def play(data: bytes) -> None:
        _in_time(lambda: rows_columns(data))

    yield play


@contextmanager
def _hl7() -> Iterator[Play]:
    """What comes over an MLLP connection: every block is acknowledged, and the answer quotes nothing by accident."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ledger = Ledger(sqlite_url(Path(folder)))
        stack.callback(ledger.close)
        ledger.migrate()
        receiver = OrderReceiver(Orders(), ledger)

        def play(data: bytes) -> None:
            rest = memoryview(data)

            def receive(count: int) -> bytes:
                nonlocal rest
                taken, rest = bytes(rest[:count]), rest[count:]
                return taken

            blocks = Blocks(receive, _MOST)
            try:
                while (content := blocks.read()) is not None:
                    _acknowledged(_in_time(lambda content=content: receiver.receive(content)))  # type: ignore[misc]
            except BadBlock:
                return

        yield play


def _visible(text: str) -> str:
    return "".join(filter(str.isprintable, text)).replace("\\", "").replace(" ", "")


def _acknowledged(answers: list[bytes]) -> None:
    for answer in answers:
        assert answer.startswith(b"MSH|^~\\&|")
        assert any(b"\rMSA|" + code in answer for code in ACKNOWLEDGED)
        assert b"a fault of our software" not in answer
        assert not {b"\x0b", b"\x1c"} & {answer[at : at + 1] for at in range(len(answer))}


def _in_time(step: Callable[[], T]) -> T:
    begin = time.perf_counter()
    try:
        return step()
    finally:
        assert time.perf_counter() - begin < SECONDS, f"it took more than {SECONDS} s"


TARGETS: dict[str, Callable[[], AbstractContextManager[Play]]] = {
    "pdu": _pdu,
    "association": _association,
    "command": _command,
    "identity": _identity,
    "header": _header,
    "parsers": _parsers,
    "pixels": _pixels,
    "codestream": _codestream,
    "hl7": _hl7,
}
