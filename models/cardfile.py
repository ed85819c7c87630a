"""card.toml: read and checked, and written in the order of a card's fields."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.card import Card
from models.errors import CardError, PackageError
from models.localizers.registry import LOCALIZERS
from models.networks.registry import NETWORKS


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
        objection = _objection(card)
    except ValidationError as error:
        raise CardError(_sentence(path, error)) from error
    except PackageError as error:
        raise CardError(f"{path}: {error}") from error
    if objection:
        raise CardError(f"{path}: the card is wrong: {objection}.")
    return card


def _objection(card: Card) -> str:
    """What the card's localizer or network has against it; PackageError where there is none of that name."""
    objection = LOCALIZERS.get(card.localizer).objection(card)
    if card.network and not objection:
        return NETWORKS.get(card.network.backbone).objection(card.network)
    return objection


def _sentence(path: Path, error: ValidationError) -> str:
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    first = min(errors, key=lambda one: one["type"] != "extra_forbidden")  # a misspelt key explains a missing one
    key = ".".join(str(part) for part in first["loc"]) or "the card"
    words = {"extra_forbidden": "is not a key of a card; remove it or correct its spelling", "missing": "is missing"}
    reason = words.get(first["type"], "is wrong: " + first["msg"].removeprefix("Value error, "))
    more = f" ({error.error_count() - 1} more after it)" if error.error_count() > 1 else ""
    return f"{path}: {key} {reason}{more}."


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
