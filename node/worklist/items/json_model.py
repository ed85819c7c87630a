"""Data Sets as the DICOM JSON Model (PS3.18 F): what the ledger keeps, read and matched without pydicom."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.valuerep import format_number_as_ds

from node.dicom.character_sets import decode_texts
from node.dicom.value_representations import BULK
from node.worklist.items.statuses import Status, UpsRefused

Json = dict[str, Any]
"""One Data Set: tag as eight hexadecimal digits to {"vr": …, "Value": […]}."""

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")  # of a name, PS3.18 F.2.2

MOST_CHARACTERS = 1_000_000  # of one work item; a peer does not fill the disk with one N-CREATE

_NOT_KEPT = ("00080005",)  # Specific Character Set: the JSON is Unicode, each response has its own


@cache
def tag_of(keyword: str) -> str:
    """Tag of a keyword of PS3.6, as the JSON model writes it."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return f"{tag:08X}"


def keyword_of(tag: str) -> str:
    """Keyword of a tag, or the tag itself where PS3.6 has none."""
    return keyword_for_tag(int(tag, 16)) or f"({tag[:4]},{tag[4:]})"


def put(attributes: Json, keyword: str, *values: object) -> None:
    """Set an attribute; without values, or with empty ones, it is there with zero length."""
    tag = tag_of(keyword)
    vr = dictionary_VR(int(tag, 16))
    kept = [_groups(str(value)) if vr == "PN" else value for value in values if value not in ("", None)]
    attributes[tag] = {"vr": vr, "Value": kept} if kept else {"vr": vr}


def _groups(name: str) -> Json:
    """The component groups of a name (PS3.5 6.2, PS3.18 F.2.2) by what they are written in, empty ones left out."""
    return {group: part for group, part in zip(_GROUPS, name.split("="), strict=False) if part}


def texts(entry: Json | None) -> tuple[str, ...]:
    """The values of one element as text, empty ones left out; the groups of a name are joined by `=`."""
    return tuple(text for text in map(_as_text, _values(entry)) if text)


def _values(entry: object) -> list[object]:
    """None where an older version kept what is no element."""
    values = entry.get("Value") if isinstance(entry, dict) else None
    return values if isinstance(values, list) else []


def _as_text(value: object) -> str:
    if isinstance(value, dict):
        groups = [value.get(group, "") for group in _GROUPS]
        return "=".join(groups).rstrip("=")
    return "" if value is None else str(value).strip()


def text(attributes: Json, keyword: str) -> str:
    """The first value as text, empty where there is none."""
    values = texts(attributes.get(tag_of(keyword)))
    return values[0] if values else ""


def items(attributes: Json, keyword: str) -> tuple[Json, ...]:
    """The Items of a Sequence."""
    return items_of(attributes.get(tag_of(keyword)))


def items_of(entry: Json | None) -> tuple[Json, ...]:
    """The Items of a Sequence element; none where it is another one."""
    is_sequence = isinstance(entry, dict) and entry.get("vr") == "SQ"
    return tuple(item for item in _values(entry) if isinstance(item, dict)) if is_sequence else ()


def has_value(attributes: Json, keyword: str) -> bool:
    """Whether the attribute is there with a value; for a Sequence: with an Item."""
    entry = attributes.get(tag_of(keyword), {})
    return bool(items_of(entry) if entry.get("vr") == "SQ" else texts(entry))


def accession_number(attributes: Json) -> str:
    """The first Accession Number of the work item's requests, empty where there is none."""
    requests = items(attributes, "ReferencedRequestSequence")
    return next(filter(None, (text(request, "AccessionNumber") for request in requests)), "")


def code(value: str, scheme: str, meaning: str) -> Json:
    """One Item of a Code Sequence (PS3.3 8.8)."""
    item: Json = {}
    put(item, "CodeValue", value)
    put(item, "CodingSchemeDesignator", scheme)
    put(item, "CodeMeaning", meaning)
    return item


def from_dataset(dataset: Dataset) -> tuple[Json, tuple[str, ...]]:
    """The JSON of a decoded Data Set, and the tags that are not kept: private, unknown and bulk attributes.

    Raises
    ------
    UpsRefused
        A value cannot be understood (0x0106), or the Data Set is too large (0x0213).
    """
    try:
        _decode_texts(dataset)
        whole = dataset.to_json_dict()
        size = len(json.dumps(whole, allow_nan=False))
    except Exception as error:  # pydicom raises whatever it met in the bytes
        raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE) from error
    if size > MOST_CHARACTERS:
        raise UpsRefused(Status.RESOURCE_LIMITATION)
    dropped: list[str] = []
    return without_unkept(whole, dropped), tuple(dropped)


def _decode_texts(dataset: Dataset, inherited: Sequence[str] = ()) -> None:
    declared = decode_texts(dataset, inherited)
    for element in dataset:
        for item in element.value or () if element.VR == "SQ" else ():
            _decode_texts(item, declared)


def without_unkept(attributes: Json, dropped: list[str]) -> Json:
    """The Data Set without what no work item keeps; the tags of that are added to `dropped`."""
    kept: Json = {}
    for tag, entry in attributes.items():
        if int(tag[:4], 16) % 2 or entry["vr"] in BULK:
            dropped.append(tag)
        elif tag not in _NOT_KEPT and tag[4:] != "0000":
            nested = [without_unkept(item, dropped) for item in items_of(entry)]
            kept[tag] = entry | {"Value": nested} if nested else entry
    return kept


def to_dataset(attributes: Json) -> Dataset:
    """The Data Set to send. Specific Character Set is ISO_IR 192 where there is more than ASCII, else absent."""
    dataset = _dataset(attributes)
    if not json.dumps(attributes, ensure_ascii=False).isascii():
        dataset.SpecificCharacterSet = "ISO_IR 192"
    return dataset


def _dataset(attributes: Json) -> Dataset:
    dataset = Dataset()
    for tag, entry in attributes.items():
        # IGNORE: a value received is sent again as it was, and pydicom's warnings would print values
        element = DataElement(int(tag, 16), entry["vr"], _value(entry), validation_mode=config.IGNORE)
        dataset.add(element)
    return dataset


def _value(entry: Json) -> object:
    values: Iterable[Any] = entry.get("Value", ())
    match entry["vr"]:
        case "SQ":
            return [_dataset(item) for item in values]
        case "AT":
            converted: list[Any] = [int(value, 16) for value in values]
        case "FD" | "FL":  # numbers may be there as strings, PS3.18 F.2.3
            converted = [float(value) for value in values if value is not None]
        case "SL" | "SS" | "SV" | "UL" | "US" | "UV":
            converted = [int(value) for value in values if value is not None]
        case "DS":
            converted = [format_number_as_ds(float(value)) for value in values if value is not None]
        case "PN":
            converted = [_as_text(value) for value in values]
        case _:
            converted = ["" if value is None else value for value in values]
    return converted[0] if len(converted) == 1 else converted or None
