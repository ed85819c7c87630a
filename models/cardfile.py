"""card.toml: read and checked, and written in the order of a card's fields."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from models.card import Card
from models.errors import CardError, PackageError
from models.localizers.registry import LOCALIZERS
from models.networks.registry import NETWORKS

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def read_card(path: Path) -> Card:
    """Read one card.toml.

    Raises
    ------
    CardError
        The file is missing, is no TOML, a key is unknown, missing or wrong, or there is no such localizer or network;
        the sentence names key and file.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CardError(f"{path} is missing: a model package is a folder with a card.toml in it.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CardError(f"{path} cannot be read as TOML: {error}.") from error
    try:
        card = Card.model_validate(table)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        misspelt_first = sorted(errors, key=lambda one: one["type"] != "extra_forbidden")  # explains a missing one
        raise CardError(_sentence(path, [_fault(one) for one in misspelt_first])) from error
    if objections := list(_objections(card)):
        raise CardError(_sentence(path, objections))
    return card


def _objections(card: Card) -> Iterator[str]:
    """What the card's localizer and network have against it, as sentences without their full stops."""
    entries: tuple[Callable[[], str], ...] = (lambda: LOCALIZERS.get(card.localizer).objection(card),)
    if network := card.network:
        entries += (lambda: NETWORKS.get(network.backbone).objection(network), lambda: _of_axes(card, network.backbone))
    for objection in entries:
        try:
            if found := objection():
                yield f"the card is wrong: {found}"
        except PackageError as error:
            yield str(error).removesuffix(".")


def _of_axes(card: Card, backbone: str) -> str:
    """Why a network of images cannot see voxels; "" where it can, or is none."""
    entry = NETWORKS.get(backbone)
    if card.voxels and not entry.volumes:
        return f'backbone "{backbone}" is a network of images, and [voxels] are a volume\'s'
    return ""


def _sentence(path: Path, faults: Sequence[str]) -> str:
    """All that is wrong, numbered where it is more than one thing."""
    if len(faults) == 1:
        return f"{path}: {faults[0]}."
    return f"{path}:\n" + "\n".join(f"  {number}. {fault}." for number, fault in enumerate(faults, start=1))


def _fault(error: ErrorDetails) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "the card"
    words = {"extra_forbidden": "is not a key of a card; remove it or correct its spelling", "missing": "is missing"}
    return f"{key} {words.get(error['type'], 'is wrong: ' + error['msg'].removeprefix('Value error, '))}"


def card_text(card: Card) -> str:
    """The card as TOML that `read_card` reads back as an equal card."""
    table = card.model_dump(mode="json", exclude_none=True)
    return "\n".join(_lines(table, "")).lstrip("\n") + "\n"


def _lines(table: dict[str, Any], prefix: str) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not _is_table(value)}
    for key, value in plain.items():
        yield f"{key} = {_value(value)}"
    for key, value in table.items():
        if key in plain:
            continue
        for part in value if isinstance(value, list) else [value]:
            yield f"\n[[{prefix}{key}]]" if isinstance(value, list) else f"\n[{prefix}{key}]"
            yield from _lines(part, f"{prefix}{key}.")


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _value(value: object) -> str:
    """A TOML value; its basic strings, numbers and booleans are written as JSON's (TOML 1.0, section String)."""
    if isinstance(value, list):
        long = len(value) > 1 and all(isinstance(one, str) and len(one) > 40 for one in value)
        joined = [_value(one) for one in value]
        return "[\n    " + ",\n    ".join(joined) + ",\n]" if long else "[" + ", ".join(joined) + "]"
    return json.dumps(value, ensure_ascii=False)
