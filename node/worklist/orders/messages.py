"""HL7 order messages: what they order, and how a message is acknowledged (chapters 2 and 4). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from node.dicom.identity import is_received_uid
from node.errors import ReadFirstError
from node.hl7.er7 import SEPARATORS, Message, Segment, escape
from node.settings import Orders
from node.worklist.items.priority import Priority
from node.worklist.orders.orders import Order

KINDS = (("ORM", "O01"), ("OMG", "O19"), ("OMI", "O23"))  # all others are acknowledged with AA and ignored

# HL7 table 0485 as IHE RAD TF-2 maps it to Requested Procedure Priority: S STAT, A, P, C high, R routine, T medium
PRIORITIES = {
    "S": Priority.HIGH, "A": Priority.HIGH, "P": Priority.HIGH, "C": Priority.HIGH,
    "R": Priority.MEDIUM, "T": Priority.MEDIUM,
}  # fmt: skip
_PRIORITY_FIELDS = (("TQ1", 9, 1), ("ORC", 7, 6), ("OBR", 27, 6))  # of the priority: since 2.5, and before
_CANCELS = ("CA", "OC", "CR", "DC", "OD", "DR")  # ORC-1, table 0119: cancel and discontinue, requested or done
_LONGEST = 250  # characters of an order number


class BadOrder(ReadFirstError):
    """The message is no order that can be kept; `code` is of HL7 table 0357."""

    def __init__(self, text: str, code: str = "101") -> None:
        super().__init__(text)
        self.code = code


Group = dict[str, Segment]
"""One order's segments, the first of each name."""


def kind(message: Message) -> tuple[str, str]:
    """MSH-9: message code and trigger event."""
    header = message.first("MSH")
    return header.value(9, 1), header.value(9, 2)


def orders(message: Message, table: Orders) -> tuple[Order, ...]:
    """The orders of a message of one of `KINDS`.

    Raises
    ------
    BadOrder
        It has none, or one that nothing names.
    """
    groups = list(_groups(message))
    if not groups:
        raise BadOrder("the message has no ORC or OBR segment", "100")
    studies = {uid for group in groups if (uid := _study(group))}
    shared = studies.pop() if len(studies) == 1 else ""  # IHE RAD-4: one ZDS after all orders of a study
    header = message.first("MSH")
    return tuple(_order(group, header, table, _study(group) or shared) for group in groups)


def _groups(message: Message) -> Iterator[Group]:
    group: Group = {}
    for segment in message.segments():
        begins = segment.name == "ORC" or (segment.name == "OBR" and "OBR" in group)
        if begins and group:
            yield group
        if begins or group or segment.name == "OBR":
            group = {segment.name: segment} if begins else {segment.name: segment} | group
    if group:
        yield group


def _order(group: Group, header: Segment, table: Orders, study_instance_uid: str) -> Order:
    accession = next(filter(None, (_at(group, place) for place in table.accession)), "")
    placer, filler = (_value(group, "ORC", field) or _value(group, "OBR", field) for field in (2, 3))
    if not (accession or study_instance_uid):
        raise BadOrder(f"an order has no accession number ({', '.join(table.accession)}) and no Study Instance UID")
    if max(map(len, (placer, filler))) > _LONGEST or len(accession) > 64:
        raise BadOrder("an order number is too long", "102")
    code, priority = _priority(group, PRIORITIES | {key: Priority(value) for key, value in table.priorities.items()})
    return Order(
        placer, filler, accession, study_instance_uid, priority, code, _value(group, "ORC", 1) in _CANCELS,
        header.value(3)[:255], header.value(10)[:199],
    )  # fmt: skip


def _priority(group: Group, known: Mapping[str, Priority]) -> tuple[str, Priority]:
    """The most urgent of the codes that a message has for the priority; without one that we know it is routine."""
    codes = [code for field in _PRIORITY_FIELDS if (code := _value(group, *field))]
    found = min((code for code in codes if code in known), key=lambda code: known[code].rank, default="")
    return (found or next(iter(codes), ""))[:20], known.get(found, Priority.MEDIUM)


def _study(group: Group) -> str:
    uids = (_value(group, "IPC", 3), _value(group, "ZDS", 1))
    return next(filter(is_received_uid, uids), "")


def _at(group: Group, place: str) -> str:
    name, _, numbers = place.partition("-")
    field, _, component = numbers.partition(".")
    return _value(group, name, int(field), int(component or 1))


def _value(group: Group, name: str, field: int, component: int = 1) -> str:
    return group[name].value(field, component) if name in group else ""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """MSA-1 of the acknowledgement, AA, AE or AR (table 0008), and why; `reason` quotes nothing of the message."""

    code: str
    reason: str = ""
    error: str = ""  # table 0357


def encode(message: Message | None, ours: Acknowledgement, now: float) -> tuple[str, ...]:
    """The responses: one in original mode; in enhanced mode those that MSH-15 and MSH-16 request (2.9.2)."""
    header = message.first("MSH") if message else Segment(["MSH"], SEPARATORS[1:])
    accept, application = header.value(15), header.value(16)
    if not accept and not application:
        return (_acknowledgement(header, ours, ours.code, now),)
    codes = [("C" + ours.code[1:], accept), (ours.code, application)]
    wanted = ("AL", "SU" if ours.code == "AA" else "ER")
    return tuple(_acknowledgement(header, ours, code, now) for code, condition in codes if condition in wanted)


def _acknowledgement(header: Segment, ours: Acknowledgement, code: str, now: float) -> str:
    time = datetime.fromtimestamp(now, UTC).astimezone().strftime("%Y%m%d%H%M%S%z")
    us, them = (f"{escape(header.value(a))}|{escape(header.value(b))}" for a, b in ((5, 6), (3, 4)))
    control_id, version = escape(header.value(10)), escape(header.value(12)) or "2.5.1"
    own = f"{code}{control_id}"[:20]
    trigger = escape(header.value(9, 2))
    kinds = f"ACK^{trigger}^ACK" if trigger else "ACK"
    processing = escape(header.value(11)) or "P"
    head = f"MSH|{SEPARATORS[1:]}|{us}|{them}|{time}||{kinds}|{own}|{processing}|{version}"
    if header.value(18):
        head += f"||||||{escape(header.value(18))}"
    lines = [head, f"MSA|{code}|{control_id}" + (f"|{escape(ours.reason)}" if ours.reason else "")]
    if ours.error:
        lines.append(f"ERR|||{ours.error}^{escape(ours.reason)}^HL70357|E")
    return "".join(f"{line}\r" for line in lines)
