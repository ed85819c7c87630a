"""C-FIND on work items: matching (PS3.4 C.2.2.2) and the Identifier of the response (PS3.4 CC.2.8.1.3)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement

from node.ledger.tables import WORK_ITEM
from node.worklist.items.json_model import Json, items_of, keyword_of, tag_of, text, texts
from node.worklist.items.moments import offset_of, span, span_of_key
from node.worklist.items.statuses import Status, UpsRefused

Test = Callable[[Json], bool]

_NOT_KEYS = tuple(map(tag_of, ("TransactionUID", "SpecificCharacterSet", "TimezoneOffsetFromUTC")))
_WILD = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))  # PS3.4 C.2.2.2.4
_COLUMNS = {  # keys that the database finds by itself
    tag_of("SOPInstanceUID"): WORK_ITEM.c.sop_instance_uid,
    tag_of("StudyInstanceUID"): WORK_ITEM.c.study_instance_uid,
    tag_of("ProcedureStepState"): WORK_ITEM.c.state,
    tag_of("ScheduledProcedureStepPriority"): WORK_ITEM.c.priority,
}


@dataclass(frozen=True, slots=True)
class Query:
    """A compiled request Identifier.

    `where` narrows the rows to read, `test` decides; `unsupported`: a key was ignored (0xFF01).
    """

    keys: Json
    test: Test
    where: tuple[ColumnElement[bool], ...]
    unsupported: bool

    def has_key(self, keyword: str) -> bool:
        """Whether the attribute is matched or returned."""
        return tag_of(keyword) in self.keys

    def response(self, attributes: Json) -> Json:
        """The response Identifier: the requested attributes and no others, empty where the work item has none."""
        return _project(self.keys, attributes)


def compile_query(identifier: Json, dropped: tuple[str, ...] = ()) -> Query:
    """Make a request Identifier ready.

    Raises
    ------
    UpsRefused
        There is no key at all, a Sequence has several Items, or a date or time is neither a value nor a range
        (0xA900).
    """
    keys = {tag: entry for tag, entry in identifier.items() if tag not in _NOT_KEYS}
    if not keys:
        raise UpsRefused(Status.BAD_IDENTIFIER, "no key")
    zone_key = text(identifier, "TimezoneOffsetFromUTC")
    tests = _tests(keys, zone_key)
    unsupported = bool(dropped) or tag_of("TransactionUID") in identifier
    return Query(keys, lambda attributes: _all(tests, attributes), _where(keys), unsupported)


def _all(tests: Mapping[str, Test], attributes: Json) -> bool:
    return all(test(attributes.get(tag, {})) for tag, test in tests.items())


def _tests(keys: Json, zone: str) -> dict[str, Test]:
    found = {tag: _test(tag, entry, zone) for tag, entry in keys.items()}
    return {tag: test for tag, test in found.items() if test is not None}


def _test(tag: str, key: Json, zone: str) -> Test | None:
    """The test of one element; None is universal matching."""
    if key["vr"] == "SQ":
        return _sequence_test(tag, key, zone)
    values = texts(key)
    if not values or (all(set(value) == {"*"} for value in values) and key["vr"] in _WILD):
        return None
    one = [_value_test(tag, key["vr"], value, zone) for value in values]
    return lambda entry: any(test(value) for value in texts(entry) for test in one)


def _sequence_test(tag: str, key: Json, zone: str) -> Test | None:
    wanted = items_of(key)
    if len(wanted) > 1:
        raise UpsRefused(Status.BAD_IDENTIFIER, keyword_of(tag))
    tests = _tests(wanted[0], zone) if wanted else {}
    return (lambda entry: any(_all(tests, item) for item in items_of(entry))) if tests else None


def _value_test(tag: str, vr: str, wanted: str, zone: str) -> Callable[[str], bool]:
    if vr in ("DA", "TM", "DT"):
        return _span_test(tag, vr, wanted, zone)
    if vr == "PN":
        match = _wildcard(wanted, re.IGNORECASE)
        return lambda value: any(map(match, [value, *value.split("=")]))
    if vr in _WILD and ("*" in wanted or "?" in wanted):
        return _wildcard(wanted)
    return lambda value: value == wanted


def _wildcard(pattern: str, flags: int = 0) -> Callable[[str], bool]:
    # fnmatch's expression cannot blow up on many asterisks; its [sets] are not DICOM's
    compiled = re.compile(fnmatch.translate(pattern.rstrip("^").replace("[", "[[]")), flags)
    return lambda value: compiled.match(value.rstrip("^")) is not None


def _span_test(tag: str, vr: str, wanted: str, zone: str) -> Callable[[str], bool]:
    wanted_span = span_of_key(vr, wanted, offset_of(zone))
    if wanted_span is None:
        raise UpsRefused(Status.BAD_IDENTIFIER, keyword_of(tag))

    def test(value: str) -> bool:
        own = span(vr, value, None)
        return own is not None and own[0] <= wanted_span[1] and own[1] >= wanted_span[0]

    return test


def _where(keys: Json) -> tuple[ColumnElement[bool], ...]:
    clauses = []
    for tag, column in _COLUMNS.items():
        values = texts(keys.get(tag))
        if values and not any("*" in value or "?" in value for value in values):
            clauses.append(column.in_(values))
    return tuple(clauses)


def _project(keys: Json, attributes: Json) -> Json:
    response: Json = {}
    for tag, key in sorted(keys.items()):
        entry = attributes.get(tag, {"vr": key["vr"]})
        wanted = items_of(key)
        if entry["vr"] == "SQ" and wanted and wanted[0]:
            found = [_project(wanted[0], item) for item in items_of(entry)]
            entry = {"vr": "SQ", "Value": found} if found else {"vr": "SQ"}
        response[tag] = entry
    return response
