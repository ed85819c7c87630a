"""The table of settings says what the code reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from node.settings import Peer, Settings

TABLE = (Path(__file__).parents[1] / "deploy" / "SETTINGS.md").read_text()


WHOLE = {"node.tls", "web.tls", "worklist.policy.rules", "audit.syslog.tls"}  # told with all that is in them


def keys(model: type[BaseModel], prefix: str) -> set[str]:
    """Keys of a table and of the tables in it."""
    found = set()
    for name, field in model.model_fields.items():
        key = f"{prefix}.{name}"
        kinds = [one for one in (field.annotation, *get_args(field.annotation)) if isinstance(one, type)]
        inner = [one for one in kinds if issubclass(one, BaseModel)] if key not in WHOLE else []
        found |= keys(inner[0], key) if inner else {key}
    return found


def test_each_key_has_its_row_and_each_row_its_key() -> None:
    sections = {name: field.annotation for name, field in Settings.model_fields.items() if name != "peers"}
    known = keys(Peer, "peers.NAME")
    for name, section in sections.items():
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        known |= keys(section, name)
    told: set[str] = set()
    for row in re.findall(r"^\| (`.*?) \|", TABLE, re.MULTILINE):
        at = ""
        for word in re.findall(r"`([^`]+)`", row):
            at = at if word.startswith(".") else word.rpartition(".")[0]
            told.add(at + word if word.startswith(".") else word)
    assert told - {"worklist.orders"} == known  # that row says how to turn the table on
