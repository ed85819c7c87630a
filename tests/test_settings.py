"""The table of settings says what the code reads."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from node.settings import Peer, Settings

TABLE = (Path(__file__).parents[1] / "deploy" / "SETTINGS.md").read_text()


def keys(model: type[BaseModel], prefix: str) -> set[str]:
    return {f"{prefix}.{name}" for name in model.model_fields}


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
    assert told == known
