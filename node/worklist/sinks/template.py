"""Templates of HL7 messages: a segment's name on a line of its own, below it one line a value, by HL7's own numbers.

    ORC
        1     XO
        2.1   {{ order.placer }}
        7.6   {{ priority_code }}

`7.6` is field 7, component 6; `3.4.1` has a subcomponent; `5[2].1` is the second repetition. What is in braces is
Jinja2 and is escaped; the template's own text is taken as it is. Values that are empty, and segments without any,
are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, DictLoader, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from node.errors import ConfigurationError
from node.hl7.er7 import SEPARATORS, escape

SHIPPED = Path(__file__).parent / "templates"
MESSAGES = {"ORM^O01": "orm_o01.hl7", "OMG^O19": "omg_o19.hl7", "OMI^O23": "omi_o23.hl7", "ORU^R01": "oru_r01.hl7"}

_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_VALUE = re.compile(r"\s+(\d{1,3})(?:\[(\d{1,3})\])?(?:\.(\d{1,3}))?(?:\.(\d{1,3}))?(?:\s+(.*))?")
_SEPARATORS = "~^&"  # between repetitions, components, subcomponents

Fields = dict[tuple[int, ...], str]
"""Field, repetition, component and subcomponent, each from 1, to escaped text."""


class Template:
    """A message as an administrator writes it.

    Parameters
    ----------
    message
        One of `MESSAGES`, whose shipped template is used unless `file` names another.

    Raises
    ------
    ConfigurationError
        The file is not there or is no template.
    """

    def __init__(self, message: str, file: Path | None) -> None:
        self._where = str(file or MESSAGES[message])
        try:
            own = {"message": file.read_text(encoding="utf-8")} if file else {}
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"worklist.hl7.template: {file} cannot be read: {error}") from error
        environment = SandboxedEnvironment(
            loader=ChoiceLoader([DictLoader(own), FileSystemLoader(SHIPPED)]), undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, autoescape=False, finalize=_escaped,
        )  # fmt: skip
        try:
            self._template = environment.get_template("message" if file else MESSAGES[message])
        except TemplateError as error:
            raise ConfigurationError(f"{self._where} is no template: {_sentence(error)}") from error

    def render(self, values: Mapping[str, Any]) -> str:
        """The message, segments ended by carriage returns.

        Raises
        ------
        ConfigurationError
            The template uses a name that there is not, or a line of it cannot be understood.
        """
        try:
            text = self._template.render(values)
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise ConfigurationError(f"{self._where} cannot be filled in: {_sentence(error)}") from error
        segments = self._segments(text)
        if not segments or segments[0][0] != "MSH":
            raise ConfigurationError(f"{self._where}: the first segment must be MSH")
        return "".join(f"{line}\r" for line in (_segment(*segment) for segment in segments) if line)

    def _segments(self, text: str) -> list[tuple[str, Fields]]:
        segments: list[tuple[str, Fields]] = []
        for line in text.splitlines():
            value = _VALUE.fullmatch(line)
            if _SEGMENT.fullmatch(line.rstrip()):
                segments.append((line.rstrip(), {}))
            elif value and segments:
                field, *parts = (int(number or 1) for number in value.groups()[:4])
                segments[-1][1][field, parts[0], parts[1], parts[2]] = (value[5] or "").strip()
            elif line.strip():
                raise ConfigurationError(
                    f"{self._where}: a line is neither a segment's name nor a place and a value: {line.strip()[:20]!r}"
                )
        return segments


def _escaped(value: object) -> str:
    return escape("" if value is None else str(value))


def _sentence(error: Exception) -> str:
    line = getattr(error, "lineno", None)
    return f"{error}" + (f" (line {line})" if line else "")


def _segment(name: str, fields: Fields) -> str:
    fields = {place: value for place, value in fields.items() if value}
    if name == "MSH":  # MSH-1 is the separator itself, MSH-2 the other delimiters
        fields = {(field - 1, *rest): value for (field, *rest), value in fields.items() if field > 2}
        return f"{name}|{SEPARATORS[1:]}|" + _joined(fields, "|" + _SEPARATORS, first=2)
    return f"{name}|{_joined(fields, '|' + _SEPARATORS)}" if fields else ""


def _joined(fields: Mapping[tuple[int, ...], str], separators: str, first: int = 1) -> str:
    """The values with their separators, nested as deep as `separators` has characters."""
    if not separators:
        return fields.get((), "")
    inner: dict[int, dict[tuple[int, ...], str]] = {}
    for (number, *rest), value in fields.items():
        inner.setdefault(number, {})[tuple(rest)] = value
    last = max(inner, default=0)
    return separators[0].join(_joined(inner.get(number, {}), separators[1:]) for number in range(first, last + 1))
