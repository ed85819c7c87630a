"""HL7 order messages: what they order, and how a message is acknowledged (chapters 2 and 4). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from node.dicom.identity import is_received_uid
from node.hl7.charsets import is_known
from node.hl7.er7 import SEPARATORS, UNREADABLE, Message, Segment, escape
from node.settings import Orders
from node.worklist.items.priority import Priority
from node.worklist.orders.orders import BadOrder, Order

KINDS = (("ORM", "O01"), ("OMG", "O19"), ("OMI", "O23"))  # all others are acknowledged with AA and ignored

# HL7 table 0485 as IHE RAD TF-2 maps it to Requested Procedure Priority: S STAT, A, P, C high, R routine, T medium;
# and the words that systems send for them
PRIORITIES = {
    **dict.fromkeys(
        ("S", "A", "P", "C", "STAT", "ASAP", "PREOP", "CALLBACK", "URGENT", "EMERGENCY", "EMERGENT", "HIGH"),
        Priority.HIGH,
    ),
    **dict.fromkeys(
        ("R", "T", "PRN", "ROUTINE", "TIMING", "TIMINGCRITICAL", "NORMAL", "ELECTIVE", "MEDIUM", "LOW"),
        Priority.MEDIUM,
    ),
}
# where priorities stand: since 2.5, before, and up to 2.2 (later "for compatibility"); identifier, and its text
_PRIORITY_FIELDS = (("TQ1", 9, (1, 2)), ("ORC", 7, (6,)), ("OBR", 27, (6,)), ("OBR", 5, (1, 2)))
_WHOLE_FIELDS = (("ORC", 7), ("OBR", 27))  # some write the word alone, where the quantity stands
_CANCELS = ("CA", "OC", "CR", "DC", "OD", "DR")  # ORC-1, table 0119: cancel and discontinue, requested or done
_CANCELED = ("CA", "DC")  # ORC-5, table 0038
_NEW = ("NW", "SN", "")  # ORC-1: a new order
_STUDY_FIELDS = (("IPC", 3), ("ZDS", 1))
_LONGEST = 250  # characters of an order number


Group = tuple[Segment, ...]
"""One order's segments."""


def kind(header: Segment) -> tuple[str, str]:
    """MSH-9: message code and trigger event; a code without one has that of orders (2.1 to 2.3)."""
    code, trigger = header.value(9, 1).upper(), header.value(9, 2).upper()
    if not trigger:  # some write ORM_O01, and before 2.3.1 the code may stand alone
        code, _, trigger = code.partition("_")
    return code, trigger or dict(KINDS).get(code, "")


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
    found = tuple(_order(group, header, table, _study(group) or shared) for group in groups)
    for order in found:
        _require_readable(order, message.doubt)
    return found


def remarks(message: Message, table: Orders) -> Iterator[str]:
    """What a sender or its administrator should know of a message that is recorded; quotes no value of the patient."""
    if message.doubt:
        yield f"read in part: {message.doubt}"
    known = _known(table)
    unknown = {code[:20] for group in _groups(message) for code in _codes(group, known) if _word(code) not in known}
    if unknown:
        yield f"priority {', '.join(sorted(unknown))} is not in worklist.orders.priorities, it does not count"
    if not all(is_received_uid(uid) for group in _groups(message) for uid in _studies(group)):
        yield "a Study Instance UID is none"


def _groups(message: Message) -> Iterator[Group]:
    group: list[Segment] = []
    for segment in message.segments():
        has_observation = any(one.name == "OBR" for one in group)
        begins = segment.name == "ORC" or (segment.name == "OBR" and has_observation)
        if begins and group:
            yield tuple(group)
        if begins or group or segment.name == "OBR":
            group = [segment] if begins else [*group, segment]
    if group:
        yield tuple(group)


def _order(group: Group, header: Segment, table: Orders, study_instance_uid: str) -> Order:
    accession = next(filter(None, (_at(group, place) for place in table.accession)), "")
    placer, filler = (_value(group, "ORC", field) or _value(group, "OBR", field) for field in (2, 3))
    if max(map(len, (placer, filler))) > _LONGEST or len(accession) > 64:
        raise BadOrder("an order number is too long", "102")
    if not any((accession, study_instance_uid, placer, filler)):
        raise BadOrder(
            f"an order has no accession number ({', '.join(table.accession)}), no order number and no Study UID"
        )
    code, priority = _priority(group, _known(table))
    control, status = _value(group, "ORC", 1).upper(), _value(group, "ORC", 5).upper()
    return Order(
        placer, filler, accession, study_instance_uid, priority, code, control in _CANCELS or status in _CANCELED,
        header.value(3)[:255], header.value(10)[:199], control in _NEW,
    )  # fmt: skip


def _require_readable(order: Order, doubt: str) -> None:
    numbers = (order.placer_number, order.filler_number, order.accession_number, order.ordered_as)
    if doubt and any(UNREADABLE in number for number in numbers):
        raise BadOrder(f"an order number or priority cannot be read: {doubt}", "102")


def _known(table: Orders) -> Mapping[str, Priority]:
    return PRIORITIES | {_word(key): Priority(value) for key, value in table.priorities.items()}


def _word(code: str) -> str:
    """A code of a priority as we compare it: in capitals, without blanks and hyphens (PRE-OP)."""
    return re.sub(r"[\s_-]", "", code.upper())


def _priority(group: Group, known: Mapping[str, Priority]) -> tuple[str, Priority]:
    """The most urgent of the codes that a message has for the priority; without one that we know it is routine."""
    codes = list(_codes(group, known))
    found = min((code for code in codes if _word(code) in known), key=lambda code: known[_word(code)].rank, default="")
    return (found or next(iter(codes), ""))[:20], known.get(_word(found), Priority.MEDIUM)


def _codes(group: Group, known: Mapping[str, Priority]) -> Iterator[str]:
    """The code of each priority in the message: of its components the first that we know, else the first."""
    for name, field, components in _PRIORITY_FIELDS:
        for parts in zip(*(_values(group, name, field, one) for one in components), strict=True):
            given = [part for part in parts if part]
            yield from [part for part in given if _word(part) in known][:1] or given[:1]
    for name, field in _WHOLE_FIELDS:
        yield from (code for code in _values(group, name, field) if _word(code) in known)


def _study(group: Group) -> str:
    return next(filter(is_received_uid, _studies(group)), "")


def _studies(group: Group) -> list[str]:
    return [uid for name, field in _STUDY_FIELDS if (uid := _value(group, name, field))]


def _at(group: Group, place: str) -> str:
    name, _, numbers = place.partition("-")
    field, _, component = numbers.partition(".")
    return _value(group, name, int(field), int(component or 1))


def _value(group: Group, name: str, field: int, component: int = 1) -> str:
    return next((one.value(field, component) for one in group if one.name == name), "")


def _values(group: Group, name: str, field: int, component: int = 1) -> list[str]:
    """Of all segments of the name, all repetitions."""
    return [value for one in group if one.name == name for value in one.values(field, component)]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """MSA-1 of the acknowledgement, AA, AE or AR (table 0008), and why; `reason` quotes only unknown priorities."""

    code: str
    reason: str = ""
    error: str = ""  # table 0357


def encode(header: Segment, ours: Acknowledgement, now: float) -> tuple[str, ...]:
    """The responses: one in original mode; in enhanced mode those that MSH-15 and MSH-16 request (2.9.2)."""
    accept, application = header.value(15), header.value(16)
    if not accept and not application:
        return (_acknowledgement(header, ours, ours.code, now),)
    codes = [("C" + ours.code[1:], accept), (ours.code, application)]
    wanted = ("AL", "SU" if ours.code == "AA" else "ER")
    return tuple(_acknowledgement(header, ours, code, now) for code, condition in codes if condition in wanted)


def encode_batch(headers: list[Segment], responses: list[str], now: float) -> str:
    """The responses to the messages of a batch, in a batch (2.10.3); `headers` are its FHS and BHS."""
    lines = [
        f"{header.name}|{SEPARATORS[1:]}|{_parties(header)}|{_time(now)}||||A{_short(header.value(11), 19)}|"
        f"{_short(header.value(11))}\r"
        for header in headers
    ]
    ends = {"BHS": f"BTS|{len(responses)}\r", "FHS": "FTS|1\r"}
    return "".join([*lines, *responses, *(ends[header.name] for header in reversed(headers))])


def _acknowledgement(header: Segment, ours: Acknowledgement, code: str, now: float) -> str:
    control_id, version = _short(header.value(10)), _short(header.value(12)) or "2.5.1"
    own = f"{code}{control_id}"[:20]
    trigger = _short(header.value(9, 2))
    kinds = f"ACK^{trigger}^ACK" if trigger else "ACK"
    processing = _short(header.value(11)) or "P"
    head = f"MSH|{SEPARATORS[1:]}|{_parties(header)}|{_time(now)}||{kinds}|{own}|{processing}|{version}"
    if is_known(header.value(18)):
        head += f"||||||{escape(header.value(18))}"
    lines = [head, f"MSA|{code}|{control_id}" + (f"|{escape(ours.reason)}" if ours.reason else "")]
    if ours.error:
        lines.append(f"ERR|||{ours.error}^{escape(ours.reason)}^HL70357|E")
    return "".join(f"{line}\r" for line in lines)


def _parties(header: Segment) -> str:
    """MSH-3 to MSH-6 (as FHS, BHS): the receiver of the message sends the response."""
    return "|".join(_short(header.value(field)) for field in (5, 6, 3, 4))


def _short(value: str, most: int = _LONGEST) -> str:
    return escape(value[:most])


def _time(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).astimezone().strftime("%Y%m%d%H%M%S%z")
