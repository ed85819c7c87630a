"""`deploy/SETTINGS.md`, made from the settings: `python -m node.settings > deploy/SETTINGS.md`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from node.settings.base import Section, section_of
from node.settings.settings import Settings

_CHAPTERS = Path(__file__).parent / "chapters.md"
_HEAD = """# Settings

<!-- Made by `python -m node.settings > deploy/SETTINGS.md` from descriptions and chapters.md in node/settings. -->

One file, `readfirst.toml` (or `--config FILE`). Each key can be given as an environment variable, which wins:
`READFIRST_NODE__PORT=104`, `READFIRST_MODELS__PACKAGES='["chest-ct"]'`, `READFIRST_PEERS__PACS__PORT=4242`.
"""
_NAMED = {"peers": "peers.NAME"}  # tables of tables


def document() -> str:
    """The whole document: a table of keys for each section, then the chapters."""
    parts = [_HEAD]
    for name, field in Settings.model_fields.items():
        section = section_of(field.annotation)
        assert section is not None
        prefix = _NAMED.get(name, name)
        rows = [f"| `{key}` | {_default(field)} | {field.description} |" for key, field in keys(section, prefix)]
        title = f"## `[{prefix}]`\n\n{_sentence(section)}\n\n| key | default | meaning |\n| --- | --- | --- |"
        parts.append("\n".join([title, *rows, ""]))
    return "\n".join([*parts, _CHAPTERS.read_text(encoding="utf-8")])


def keys(section: type[Section], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    """Each key of a section and of the tables in it, with what it is."""
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is None or field.default in (None, False, ()):  # a table that need not be there
            yield f"{prefix}.{name}", field
        if inner is not None:
            named = ".NAME" if get_origin(field.annotation) is dict else ""
            yield from keys(inner, f"{prefix}.{name}{named}")


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "required"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value == "":
        return "none"
    return f"`{value if isinstance(value, str | Path) else json.dumps(value)}`"


def _sentence(section: type[Section]) -> str:
    return (section.__doc__ or "").partition("\n")[0]
