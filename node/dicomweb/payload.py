"""The DICOM JSON Model as programs send it (PS3.18 F.2), checked before anything is done with it. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from node.worklist.items.json_model import MOST_CHARACTERS, Json, without_unkept
from node.worklist.items.statuses import Status, UpsRefused

MEDIA_TYPE = "application/dicom+json"

_TAG = re.compile(r"[0-9A-F]{8}")
_DEEPEST = 16  # Sequences within Sequences
_GROUPS = frozenset(("Alphabetic", "Ideographic", "Phonetic"))
_NUMBERS = frozenset(("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"))  # PS3.18 Table F.2.3-1

_REALS = ("DS", "FD", "FL")


def read(body: bytes) -> tuple[Json, tuple[str, ...]]:
    """The one Data Set of a payload, and the tags that are not kept: private and bulk attributes.

    It may be alone or in an array of one; an empty payload is an empty Data Set.

    Raises
    ------
    UpsRefused
        0x0106: it is not of the DICOM JSON Model; 0x0213: it is too large.
    """
    if len(body) > MOST_CHARACTERS:
        raise UpsRefused(Status.RESOURCE_LIMITATION)
    try:
        found = json.loads(body, parse_constant=_no_number) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, "JSON") from error
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    dropped: list[str] = []
    return without_unkept(_data_set(found, 0), dropped), tuple(dropped)


def write(*data_sets: Json) -> bytes:
    """The payload of a response: an array of Data Sets, without spaces."""
    return json.dumps(data_sets, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _no_number(_constant: str) -> float:
    raise ValueError("JSON has no NaN or Infinity")


def _data_set(found: object, depth: int) -> Json:
    if not isinstance(found, dict) or depth > _DEEPEST:
        raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, "JSON")
    return {tag: _element(tag, entry, depth) for tag, entry in sorted(found.items())}


def _element(tag: str, entry: object, depth: int) -> Json:
    if not _TAG.fullmatch(tag) or not isinstance(entry, dict):
        raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, "JSON")
    number = int(tag, 16)
    vr = entry.get("vr", dictionary_VR(number) if dictionary_has_tag(number) else "UN")
    if not isinstance(vr, str) or not _is_vr_of(number, vr):
        raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, tag)
    values = entry.get("Value", [])
    if not isinstance(values, list):
        raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, tag)
    if vr == "SQ":
        return {"vr": vr, "Value": [_data_set({} if item is None else item, depth + 1) for item in values]}
    if not all(value is None or _is_value(vr, value) for value in values):
        raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, tag)
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def _is_vr_of(tag: int, vr: str) -> bool:
    if not dictionary_has_tag(tag):
        return len(vr) == 2 and vr.isupper()  # private, or newer than our dictionary: not kept
    return vr in dictionary_VR(tag).split(" or ")


def _is_value(vr: str, value: Any) -> bool:
    if vr == "PN":
        return isinstance(value, dict) and _GROUPS.issuperset(value) and all(map(_is_text, value.values()))
    if vr in _NUMBERS:
        return _is_number(vr, value)
    test: Callable[[Any], bool] = _TESTS.get(vr, _is_text)
    return test(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\\" not in value and "\0" not in value


def _is_one_text(value: Any) -> bool:
    """One value, in which a backslash is a character."""
    return isinstance(value, str) and "\0" not in value


def _is_number(vr: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    try:
        return math.isfinite(float(value)) and (int if vr not in _REALS else float)(value) == float(value)
    except (ValueError, OverflowError):
        return False


_TESTS: Mapping[str, Callable[[Any], bool]] = {
    "AT": lambda value: isinstance(value, str) and _TAG.fullmatch(value) is not None,
    **dict.fromkeys(("LT", "ST", "UT", "UR"), _is_one_text),
}
