"""The query of a Search (PS3.18 8.3.4, 11.9) as the Identifier of a C-FIND. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword

from node.worklist.items.attributes import REQUIREMENTS
from node.worklist.items.json_model import Json, put, tag_of
from node.worklist.items.statuses import Status, UpsRefused

MOST = 1000  # work items in one response
_RETURNED = (
    "SOPClassUID",
    "SOPInstanceUID",
    *(requirement.keyword for requirement in REQUIREMENTS if requirement.keyword != "TransactionUID"),
)
_WITHOUT_KEY = ("TransactionUID", "InputInformationSequence")  # the images of a study are listed where requested


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for: matching and return keys, and which part of the matches."""

    identifier: Json
    offset: int
    limit: int
    everything: bool  # includefield=all
    fuzzy: bool


def parse(parameters: Iterable[tuple[str, str]]) -> Search:
    """Read the parameters of the URL.

    Raises
    ------
    UpsRefused
        0xA900: a name is no attribute, or a number is none.
    """
    identifier: Json = {}
    offset, limit, everything, fuzzy = 0, MOST, False, False
    for name, value in parameters:
        match name.lower():
            case "offset":
                offset = _number(name, value)
            case "limit":
                limit = min(_number(name, value), MOST)
            case "fuzzymatching":
                fuzzy = value.lower() == "true"
            case "includefield":
                everything |= value.lower() == "all"
                for field in value.split(",") if value.lower() != "all" else ():
                    add_key(identifier, field, "")
            case "accept" | "charset":
                pass
            case _:
                add_key(identifier, name, value)
    for keyword in _RETURNED:
        if keyword not in _WITHOUT_KEY and tag_of(keyword) not in identifier:
            put(identifier, keyword)
    return Search(identifier, offset, limit, everything, fuzzy)


def matching_keys(text: str) -> Json:
    """The `filter` of a Filtered Worklist Subscription (11.10.1.2): attribute=value, separated by commas."""
    keys: Json = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise UpsRefused(Status.INVALID_ARGUMENT_VALUE, "filter")
        add_key(keys, name, value)
    return keys


def add_key(identifier: Json, path: str, value: str) -> None:
    """Add one key: `00741000`, `ProcedureStepState`, or with dots into Sequences (8.3.4.1)."""
    *sequences, last = path.strip().split(".")
    inside = identifier
    for name in sequences:
        tag = _tag(name)
        if dictionary_VR(int(tag, 16)) != "SQ":
            raise UpsRefused(Status.BAD_IDENTIFIER, path[:32])
        entry = inside.setdefault(tag, {"vr": "SQ"})
        entry.setdefault("Value", [{}])
        inside = entry["Value"][0]
    tag = _tag(last)
    vr = dictionary_VR(int(tag, 16)).split(" or ")[0]
    values = value.replace("\\", ",").split(",") if vr == "UI" else [value]
    kept: list[object] = [{"Alphabetic": one} if vr == "PN" else one for one in values if one]
    if vr == "SQ" and kept:
        raise UpsRefused(Status.BAD_IDENTIFIER, path[:32])
    inside[tag] = {"vr": vr, "Value": kept} if kept else inside.get(tag, {"vr": vr})


def _tag(name: str) -> str:
    found = int(name, 16) if len(name) == 8 and all(digit in "0123456789abcdefABCDEF" for digit in name) else None
    found = tag_for_keyword(name) if found is None else found
    if found is None or not dictionary_has_tag(found):
        raise UpsRefused(Status.BAD_IDENTIFIER, name[:32])
    return f"{found:08X}"


def _number(name: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 9:
        raise UpsRefused(Status.BAD_IDENTIFIER, name)
    return int(value)
