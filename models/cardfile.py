"""Writes a card as TOML, in the order of its fields, so that a trained package's card reads like a written one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from models.card import Card


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
