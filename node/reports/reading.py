"""ORU^R01: the text of each order's report, its status, and what names people (HL7 v2.5.1, chapter 7). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from node.dicom.identity import is_received_uid
from node.errors import ReadFirstError
from node.hl7.er7 import UNREADABLE, Message, Segment

TEXTS = ("TX", "FT", "ST")  # OBX-2
STATUSES = {  # OBR-25, table 0123
    **dict.fromkeys(("O", "I", "S", "A", "P", "R"), "preliminary"),
    **dict.fromkeys(("F", "U"), "final"),
    "C": "corrected",
    **dict.fromkeys(("X", "Y", "Z"), "canceled"),
}
_DELETED = ("D", "X", "W")  # OBX-11, table 0085: deleted, no result, wrong patient
_HEADINGS = {"IMP": "IMPRESSION:", "GDT": "FINDINGS:", "REC": "RECOMMENDATION:", "ADT": "ADDENDUM:"}  # OBX-3 suffixes
_LONGEST = 64  # characters of a number
_NAMES = {"PV1": (7, 8, 9, 17), "OBR": (10, 16, 28), "ORC": (10, 11, 12), "OBX": (16,)}
_INTERPRETERS = (32, 33, 34, 35)  # of OBR: NDL, names are subcomponents
_NUMBERS = {"PID": (2, 3, 4, 13, 14, 18, 19, 20), "PV1": (19, 50), "OBR": (2, 3, 17, 18, 19, 20), "ORC": (2, 3)}


class BadReport(ReadFirstError):
    """The message has no report that can be kept; `code` is of HL7 table 0357."""

    def __init__(self, text: str, code: str = "101") -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class ReceivedReport:
    """One report. All but `status` and `sent_at` may name the patient."""

    accession_number: str
    study_instance_uid: str
    patient: str
    """PID-3.1 and its issuer."""
    status: str
    """preliminary, final, corrected, canceled."""
    sent_at: str
    """OBR-22, else MSH-7, as sent."""
    text: str
    names: tuple[str, ...] = ()
    """Of the patient and of all whom the message names, word by word."""
    numbers: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    """Birth date and date of the study, YYYYMMDD."""


def reports(message: Message, accession: Sequence[str]) -> tuple[ReceivedReport, ...]:
    """The reports of an ORU^R01; groups of one accession number are one.

    Parameters
    ----------
    accession
        Where the accession number stands (`worklist.orders.accession`); the first that has a value.

    Raises
    ------
    BadReport
        It has none, one that nothing names, or text that cannot be read.
    """
    segments = message.segments()
    found: dict[tuple[str, str], ReceivedReport] = {}
    for group in _groups(segments):
        one = _report(group, segments, accession)
        key = (one.accession_number, one.study_instance_uid)
        held = found.get(key)
        found[key] = replace(one, text=f"{held.text}\n{one.text}".strip()) if held else one
    if not found:
        raise BadReport("the message has no OBR segment", "100")
    if message.doubt and any(UNREADABLE in text for one in found.values() for text in (one.text, one.accession_number)):
        raise BadReport(f"the report cannot be read: {message.doubt}", "102")
    return tuple(found.values())


def _groups(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """ORC, OBR and what follows, to the next ORC or OBR."""
    group: list[Segment] = []
    for segment in segments:
        if segment.name == "ORC" or (segment.name == "OBR" and any(one.name == "OBR" for one in group)):
            if any(one.name == "OBR" for one in group):
                yield group
            group = [segment]
        elif group or segment.name == "OBR":
            group.append(segment)
    if any(one.name == "OBR" for one in group):
        yield group


def _report(group: Sequence[Segment], segments: Sequence[Segment], accession: Sequence[str]) -> ReceivedReport:
    number = next(filter(None, (_at(group, place) for place in accession)), "")
    studies = (_at(group, place) or _at(segments, place) for place in ("IPC-3", "ZDS-1"))
    study = next(filter(is_received_uid, studies), "")
    if not number and not study:
        raise BadReport(f"a report has no accession number ({', '.join(accession)}) and no Study Instance UID")
    if len(number) > _LONGEST:
        raise BadReport("an accession number is too long", "102")
    status = STATUSES.get(_at(group, "OBR-25").upper() or "F")
    if status is None:
        raise BadReport("OBR-25 (result status) is not of table 0123", "103")
    head = [one for one in segments if one.name in ("PID", "PV1", "NK1")]
    return ReceivedReport(
        accession_number=number,
        study_instance_uid=study,
        patient="^".join((_at(head, "PID-3.1"), _at(head, "PID-3.4"))),
        status=status,
        sent_at=_at(group, "OBR-22") or _at(segments, "MSH-7"),
        text=_text(group),
        names=tuple(dict.fromkeys(_names([*head, *group]))),
        numbers=tuple(dict.fromkeys(_numbers([*head, *group]))),
        dates=tuple(dict.fromkeys(_dates([*head, *group]))),
    )


def _text(group: Sequence[Segment]) -> str:
    """OBX-5 of the text segments, a line each; a heading where OBX-3's suffix names another part of the report."""
    lines, part = [], ""
    for one in group:
        if one.name != "OBX" or one.value(2).upper() not in TEXTS or one.value(11).upper() in _DELETED:
            continue
        suffix = one.value(3, 1, 2).upper()
        if suffix != part and suffix in _HEADINGS:
            lines.append(f"\n{_HEADINGS[suffix]}")
        part = suffix
        lines.append(one.text(5))
    return "\n".join(lines).strip()


def _names(segments: Sequence[Segment]) -> Iterator[str]:
    for one in segments:
        fields = [(5, (1, 2, 3)), (6, (1,)), (9, (1, 2, 3))] if one.name == "PID" else []
        fields += [(2, (1, 2))] if one.name == "NK1" else []
        fields += [(field, (2, 3, 4)) for field in _NAMES.get(one.name, ())]
        fields += [(11, (1, 3))] if one.name == "PID" else []
        for field, components in fields:
            for component in components:
                for value in one.values(field, component):
                    yield from _words(value)
        for field in _INTERPRETERS if one.name == "OBR" else ():
            for subcomponent in (2, 3, 4):
                for value in one.values(field, 1, subcomponent):
                    yield from _words(value)


def _words(value: str) -> Iterator[str]:
    yield from (word for word in re.split(r"[\s,.\-&]+", value) if _is_name(word))


def _is_name(word: str) -> bool:
    """Two letters or more, or one Chinese character; no number."""
    return not word.isdigit() and (len(word) > 1 or (word.isalpha() and ord(word) > 0x2E80))


def _numbers(segments: Sequence[Segment]) -> Iterator[str]:
    for one in segments:
        for field in _NUMBERS.get(one.name, ()):
            for value in one.values(field):
                if len(value) > 2:
                    yield value


def _dates(segments: Sequence[Segment]) -> Iterator[str]:
    for one in segments:
        fields = {"PID": (7,), "OBR": (7, 8, 14, 22, 36), "PV1": (44, 45)}.get(one.name, ())
        for value in (one.value(field)[:8] for field in fields):
            try:
                datetime.strptime(value, "%Y%m%d")
            except ValueError:
                continue
            yield value


def _at(segments: Sequence[Segment], place: str) -> str:
    name, _, numbers = place.partition("-")
    field, _, component = numbers.partition(".")
    return next((one.value(int(field), int(component or 1)) for one in segments if one.name == name), "")
