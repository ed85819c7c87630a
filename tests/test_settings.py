"""`deploy/SETTINGS.md` is made from the settings, and describes each key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from node.settings import Peer, Settings
from node.settings.document import document

PATH = Path(__file__).parents[1] / "deploy" / "SETTINGS.md"


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Tables that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models(part)


def keys(model: type[BaseModel], prefix: str) -> set[str]:
    """Keys of a table and of the tables in it; of those that hold values, not of those that only hold tables."""
    found = set()
    for name, field in model.model_fields.items():
        named = f"{prefix}.{name}" + ".NAME" * (get_origin(field.annotation) is dict)
        inner = [keys(one, named) for one in models(field.annotation)]
        found |= set.union(*inner) if inner else {f"{prefix}.{name}"}
    return found


def test_the_file_is_what_the_settings_say() -> None:
    assert PATH.read_text() == document(), "run: python -m node.settings > deploy/SETTINGS.md"


def test_each_key_has_its_row_with_a_meaning_and_each_row_its_key() -> None:
    known = keys(Peer, "peers.NAME")
    for name, field in Settings.model_fields.items():
        known |= set().union(*(keys(one, name) for one in models(field.annotation))) if name != "peers" else set()
    rows = dict(re.findall(r"^\| `(.*?)` \| .*? \| (.*) \|$", PATH.read_text(), re.MULTILINE))
    tables = {"node.tls", "web.tls", "worklist.ups", "worklist.hl7", "worklist.hl7.tls", "worklist.orders.tls",
              "worklist.webhook", "worklist.orders",
              "worklist.policy.rules", "audit.syslog", "audit.syslog.tls"}  # fmt: skip
    assert rows.keys() - tables == known
    assert {key for key, meaning in rows.items() if meaning in ("", "None")} == set()
