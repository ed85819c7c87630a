"""The cases of the field: what broken and hostile peers send, and what each of them gets.

A case is played on a raw socket against a running SCP. `ends` are the words of its answers, in order:

AC            the association is accepted           RJ           it is rejected
0x0000, ...   the status of a response              RP           its release is confirmed
ended         we have ended it: an A-ABORT where it can still be read, then the connection is closed
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pydicom.uid import (
    AllTransferSyntaxes,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.sop_class import Verification

from tests.fuzz import wire
from tests.fuzz.datasets import DATASETS, Broken, nested, nested_whole
from tests.fuzz.wire import COMMAND, LAST, P_DATA, WHOLE, item, pdu
from tests.node.phantoms import INSTANCE, encoded, image

Ends = tuple[str, ...]
ENDED: Ends = ("ended",)
_UID = f"{INSTANCE}.7"
_DATASET = encoded(image(_UID))
_STORE = wire.store(_UID)
_ODD = wire.command(
    wire.element(0x0002, CTImageStorage.encode()), wire.number(0x0100, 1), wire.number(0x0110, 7),
    wire.number(0x0800, 1), wire.element(0x1000, _UID.encode()),
)  # fmt: skip
_RELEASE = pdu(wire.RELEASE, bytes(4))


@dataclass(frozen=True)
class Case:
    """What comes, and what is answered."""

    name: str
    sends: Callable[[], Iterable[bytes]]
    ends: Ends
    says: str = ""
    """What the log says; empty where there is nothing to say of it."""
    established: bool = True
    """Whether an association stands before `sends` comes."""
    contexts: Sequence[tuple[int, str | bytes, Sequence[str | bytes]]] = field(default=wire.CONTEXTS)


def _case(name: str, sends: bytes | Callable[[], Iterable[bytes]], *ends: str, says: str = "", **more: object) -> Case:
    chunks = (lambda: (sends,)) if isinstance(sends, bytes) else sends
    return Case(name, chunks, ends or ENDED, says, **more)  # type: ignore[arg-type]


def _request(name: str, data: bytes, *ends: str, says: str = "") -> Case:
    return _case(name, data, *ends, says=says, established=False)


def _cut_requests() -> Iterator[Case]:
    whole = wire.association_request()[6:]
    for length in (1, 40, 68, 70, 73, 80, 97, 104, 120, 150, len(whole) - 3):
        body = whole[:length]
        says = "association aborted" if length >= _NAMES else _NO_REQUEST
        yield _request(f"a request cut after {length} bytes", pdu(wire.RQ, body), says=says)


def _many_contexts(count: int, syntaxes: Sequence[str] = (ExplicitVRLittleEndian,)) -> bytes:
    return wire.association_request([(1 + 2 * number & 0xFF, CTImageStorage, syntaxes) for number in range(count)])


_BEFORE = "the request is not allowed here"
_LACKS, _SYNTAX, _NOT_UNDERSTOOD, _NOT_DECODED = (
    "lacks an item", "without a syntax", "cannot be understood", "cannot be decoded",
)  # fmt: skip
_LONG = "a PDU of this kind is not so long"
_NO_REQUEST = "the first PDU is no A-ASSOCIATE-RQ"
_NAMES = 68  # bytes of a request that admission control reads

REQUESTS: tuple[Case, ...] = (
    _request("a first PDU of 0xFFFFFFFF bytes", pdu(wire.RQ, b"", 0xFFFFFFFF), says=_NO_REQUEST),
    _request("P-DATA before the association", pdu(P_DATA, item(_STORE, WHOLE)), says=_NO_REQUEST),
    _request("A-RELEASE before the association", _RELEASE, says=_NO_REQUEST),
    _request("a PDU of a type that there is none of", pdu(0x42, b"abcd"), says=_NO_REQUEST),
    _request("a web browser", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", says=_NO_REQUEST),
    _request("TLS where none is spoken", b"\x16\x03\x01\x02\0\1\0\1\xfc\x03\x03" + bytes(200), says=_NO_REQUEST),
    *_cut_requests(),
    _request("128 contexts", _many_contexts(128), "AC"),
    _request("128 contexts of all syntaxes", _many_contexts(128, AllTransferSyntaxes), "AC"),
    _request("129 contexts", _many_contexts(129), says="context ID twice"),
    _request("no context", wire.association_request([]), says=_LACKS),
    _request("an even context ID", wire.association_request([(2, CTImageStorage, [ExplicitVRLittleEndian])]),
             says=_NOT_UNDERSTOOD),
    _request("an empty transfer syntax", wire.association_request([(1, CTImageStorage, [b""])]),
             "AC"),  # the context is rejected, not the association: result 4, PS3.8 Table 9-18
    _request("no transfer syntax", wire.association_request([(1, CTImageStorage, [])]), says=_SYNTAX),
    _request("an empty abstract syntax", wire.association_request([(1, b"", [ExplicitVRLittleEndian])]),
             says=_SYNTAX),
    _request("an abstract syntax of 65 characters",
             wire.association_request([(1, b"1." + b"2" * 63, [ExplicitVRLittleEndian])]),
             "AC"),  # the context is rejected: result 3
    _request("NUL within a UID", wire.association_request([(1, b"1.2\0.3", [ExplicitVRLittleEndian])]),
             "AC"),
    _request("another protocol version", wire.association_request(version=2), "RJ", says="upper layer protocol"),
    _request("a stranger", wire.association_request(calling=b"STRANGER"), "RJ", says="[peers.…] table"),
    _request("no calling AE title", wire.association_request(calling=b""), "RJ", says="[peers.…] table"),
    _request("control characters in the AE title", wire.association_request(calling=b"A\0\r\n\x1b[31mB"),
             "RJ", says="[peers.…] table"),
    _request("a quarter of a million empty items",
             pdu(wire.RQ, wire.association_request()[6:74] + wire.sub_item(0x20, b"") * 200_000), says=_NO_REQUEST),
    _request("half a million bytes in one item",
             pdu(wire.RQ, wire.association_request()[6:] + wire.sub_item(0x50, b"\xff" * 65535) * 8),
             says=_NO_REQUEST),
)  # fmt: skip


def _endless_command() -> Iterator[bytes]:
    for _ in range(200):
        yield pdu(P_DATA, item(bytes(1024), COMMAND))


def _endless_message() -> Iterator[bytes]:
    yield pdu(P_DATA, item(wire.echo().replace(b"\x00\x08\x02\0\0\0\x01\x01", b"\x00\x08\x02\0\0\0\x00\x00"), WHOLE, 3))
    for _ in range(400):
        yield pdu(P_DATA, item(bytes(16000), 0, 3))


STREAMS: tuple[Case, ...] = (
    _case("P-DATA of 0xFFFFFFFF bytes", pdu(P_DATA, struct.pack(">LBB", 0xFFFFFFFA, 1, WHOLE), 0xFFFFFFFF),
          says="a command set is not so long"),
    _case("A-ABORT of 0xFFFFFFFF bytes", pdu(wire.ABORT, b"", 0xFFFFFFFF), says=_LONG),
    _case("a PDV of length 0", pdu(P_DATA, struct.pack(">L", 0)), says="has no header"),
    _case("a PDV of length 0 and more", pdu(P_DATA, struct.pack(">LBB", 0, 1, WHOLE)), says="reaches beyond"),
    _case("a PDV of length 1", pdu(P_DATA, struct.pack(">LBB", 1, 1, WHOLE)), says="reaches beyond"),
    _case("a PDV that reaches beyond its PDU", pdu(P_DATA, item(_STORE, WHOLE, length=5000)), says="reaches beyond"),
    _case("a Data Set before its command", pdu(P_DATA, item(_DATASET, 0)), says="before its command"),
    _case("a Data Set's end before its command", pdu(P_DATA, item(_DATASET, LAST)), says="before its command"),
    _case("a command split over PDVs",
          pdu(P_DATA, item(_STORE[:9], COMMAND) + item(_STORE[9:50], COMMAND)) + pdu(P_DATA, item(_STORE[50:], WHOLE))
          + pdu(P_DATA, item(_DATASET, LAST)) + _RELEASE, "0x0000", "RP"),
    _case("a command of one byte a PDU",
          lambda: (*(pdu(P_DATA, item(_STORE[at : at + 1], COMMAND)) for at in range(len(_STORE))),
                   pdu(P_DATA, item(b"", WHOLE) + item(_DATASET, LAST)), _RELEASE), "0x0000", "RP"),
    _case("an echo split over PDVs",
          pdu(P_DATA, item(wire.echo()[:9], COMMAND, 3)) + pdu(P_DATA, item(wire.echo()[9:], WHOLE, 3)), "0x0000"),
    _case("control bits that are not to be looked at",
          pdu(P_DATA, item(_STORE, WHOLE | 0xF8) + item(_DATASET, LAST | 0x70)) + _RELEASE, "0x0000", "RP"),
    _case("empty PDVs and PDUs between", pdu(P_DATA, b"") + pdu(P_DATA, item(_STORE, WHOLE) + item(b"", 0)) * 1
          + pdu(P_DATA, b"") + pdu(P_DATA, item(_DATASET, 0) + item(b"", LAST)) + _RELEASE, "0x0000", "RP"),
    _case("two interleaved contexts", pdu(P_DATA, item(_STORE, WHOLE) + item(_DATASET[:50], 0) + item(_DATASET, 0, 3)),
          says="another message begins"),
    _case("two interleaved commands", pdu(P_DATA, item(_STORE, WHOLE) + item(_DATASET[:50], 0) + item(_STORE, WHOLE)),
          says="another message begins"),
    _case("a command whose context changes", pdu(P_DATA, item(_STORE[:9], COMMAND, 3) + item(_STORE[9:], WHOLE)),
          says="changes its presentation context"),
    _case("a command without end", _endless_command, says="a command set is not so long"),
    _case("an empty command", pdu(P_DATA, item(b"", WHOLE)), says="a command set is empty"),
    _case("a message without end", _endless_message, says="carries no instance is not so long"),
    _case("a command of garbage", pdu(P_DATA, item(b"\xff" * 99, WHOLE)), says=_NOT_UNDERSTOOD),
    _case("a command that there is none of",
          pdu(P_DATA, item(wire.command(wire.number(0x0100, 0x7777), wire.number(0x0800, 0x0101)), WHOLE)),
          says=_NOT_UNDERSTOOD),
    _case("a response that nobody asked for",
          pdu(P_DATA, item(wire.command(wire.number(0x0100, 0x8001), wire.number(0x0120, 7), wire.number(0x0900, 0),
                                        wire.number(0x0800, 0x0101)), WHOLE)) + _RELEASE, "RP"),
    _case("a context that was not accepted", pdu(P_DATA, item(_STORE, WHOLE, 99) + item(_DATASET, LAST, 99)),
          says=_BEFORE),
    _case("three hundred echoes at once", pdu(P_DATA, item(wire.echo(), WHOLE, 3)) * 300 + _RELEASE, *["0x0000"] * 300,
          "RP"),
    _case("a second request", wire.association_request(), says=_BEFORE),
    _case("an acceptance from the wrong side", pdu(wire.AC, wire.association_request()[6:]), says=_BEFORE),
    _case("a rejection from the wrong side", pdu(wire.RJ, b"\0\1\1\1"), says=_BEFORE),
    _case("a release's answer that nobody asked for", pdu(wire.RELEASED, bytes(4)), says=_BEFORE),
    _case("an A-ABORT of a source that there is none of", pdu(wire.ABORT, b"\0\0\x33\x33")),
    _case("a release within a Data Set", pdu(P_DATA, item(_STORE, WHOLE) + item(_DATASET[:50], 0)) + _RELEASE, "RP",
          says="before the instance was complete"),
    _case("a UID of 65 characters in the command",
          pdu(P_DATA, item(wire.store("1." + "2" * 63), WHOLE) + item(_DATASET, LAST)) + _RELEASE, "0xC000", "RP",
          says="not a valid UID"),
    _case("a UID of 60,000 characters in the command",
          pdu(P_DATA, item(wire.store("1." + "2" * 60000), WHOLE) + item(_DATASET, LAST)) + _RELEASE, "0xC000", "RP",
          says="not a valid UID"),
    _case("NUL within the command's UID",
          pdu(P_DATA, item(wire.store(b"1.2\0.3"), WHOLE) + item(_DATASET, LAST)) + _RELEASE, "0xC000", "RP",
          says="not a valid UID"),
    _case("a path for a UID",
          pdu(P_DATA, item(wire.store("../../../../tmp/x"), WHOLE) + item(_DATASET, LAST)) + _RELEASE, "0xC000", "RP",
          says="not a valid UID"),
    _case("a UID of odd length", pdu(P_DATA, item(_ODD, WHOLE) + item(_DATASET, LAST)) + _RELEASE, "0x0000", "RP"),
)  # fmt: skip


def _object(one: Broken, number: int) -> Case:
    def sends() -> Iterator[bytes]:
        uid = f"{INSTANCE}.8.{number}"
        dataset = one.dataset(uid)
        yield pdu(P_DATA, item(wire.store(uid), WHOLE))
        for at in range(0, len(dataset), 200_000):
            yield pdu(P_DATA, item(dataset[at : at + 200_000], 0))
        yield pdu(P_DATA, item(b"", LAST)) + _RELEASE

    contexts = ((1, CTImageStorage, (one.syntax,)), (3, Verification, (ImplicitVRLittleEndian,)))
    return Case(one.name, sends, (one.status, "RP"), one.says, contexts=contexts)


_PUSH, _PULL, _QUERY = (f"1.2.840.10008.5.1.4.34.6.{number}" for number in (1, 3, 5))
_WORKLIST = tuple((2 * at + 1, uid, (ExplicitVRLittleEndian,)) for at, uid in enumerate((_PUSH, _PULL, _QUERY)))
_COMMANDS = {  # context ID, and the command
    "N-CREATE": (1, wire.command(
        wire.element(0x0002, wire.even(_PUSH.encode())), wire.number(0x0100, 0x140), wire.number(0x0110, 1),
        wire.number(0x0800, 1), wire.element(0x1000, wire.even(_UID.encode())))),
    "N-SET": (3, wire.command(
        wire.element(0x0003, wire.even(_PUSH.encode())), wire.number(0x0100, 0x120), wire.number(0x0110, 1),
        wire.number(0x0800, 1), wire.element(0x1001, wire.even(_UID.encode())))),
    "C-FIND": (5, wire.command(
        wire.element(0x0002, wire.even(_QUERY.encode())), wire.number(0x0100, 0x20), wire.number(0x0110, 1),
        wire.number(0x0700, 0), wire.number(0x0800, 1))),
}  # fmt: skip


def _work_item(operation: str, name: str, dataset: bytes, status: str) -> Case:
    context, command = _COMMANDS[operation]

    def sends() -> Iterator[bytes]:
        yield pdu(P_DATA, item(command, WHOLE, context))
        for at in range(0, len(dataset), 16000):
            yield pdu(P_DATA, item(dataset[at : at + 16000], 0, context))
        yield pdu(P_DATA, item(b"", LAST, context))

    return Case(f"{operation} of {name}", sends, (status,), status, contexts=_WORKLIST)


WORK_ITEMS: tuple[Case, ...] = (
    _work_item("N-CREATE", "garbage", b"\xff" * 999, "0x0120"),
    _work_item("N-CREATE", "sequences 10,000 deep", nested(0x0040, 0xA730), "0x0106"),
    _work_item("N-CREATE", "sequences 10,000 deep, of known length", nested_whole(0x0040, 0xA730), "0x0106"),
    _work_item("N-SET", "sequences 10,000 deep", nested(0x0040, 0xA730), "0x0106"),
    _work_item("C-FIND", "garbage", b"\xff" * 999, "0xA900"),
    _work_item("C-FIND", "sequences 10,000 deep", nested(0x0040, 0xA730), "0xC000"),
)

OBJECTS: tuple[Case, ...] = tuple(_object(one, number) for number, one in enumerate(DATASETS))
CASES: tuple[Case, ...] = (*REQUESTS, *STREAMS, *WORK_ITEMS, *OBJECTS)
