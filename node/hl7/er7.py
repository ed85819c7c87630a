"""HL7 version 2 as text and bytes: delimiters escaped, character sets named (chapter 2: 2.5, 2.7)."""

from __future__ import annotations

import re

import hl7

from node.errors import ReadFirstError
from node.hl7.charsets import codec

SEPARATORS = "|^~\\&"
_LETTERS = {"\\": "E", "|": "F", "^": "S", "&": "T", "~": "R"}  # 2.7.1
_ESCAPED = {ord(character): f"\\{letter}\\" for character, letter in _LETTERS.items()}
_MEANT = {letter: character for character, letter in _LETTERS.items()}


class NotHl7(ReadFirstError):
    """The bytes are no readable HL7 version 2 message; the text is the reason and quotes nothing."""


def escape(value: str) -> str:
    """The value with delimiters as escape sequences; control characters, which would end a segment, are spaces."""
    plain = "".join(character if character.isprintable() else " " for character in value)
    return plain.translate(_ESCAPED)


def unescape(value: str) -> str:
    """The value with the five delimiters' sequences resolved; other sequences stay as they are."""
    return re.sub(r"\\([EFSTR])\\", lambda match: _MEANT[match[1]], value)


def character_set_of(message: bytes) -> str:
    """The first repetition of MSH-18, empty where there is none."""
    header = re.split(rb"[\r\n]", message, maxsplit=1)[0]
    if not header.startswith(b"MSH") or len(header) < 8:
        raise NotHl7("the message does not begin with an MSH segment")
    fields = header.split(header[3:4])
    return fields[17].split(header[5:6])[0].decode("ascii", "replace").strip() if len(fields) > 17 else ""


class Message:
    """A received message, read by position.

    Parameters
    ----------
    content
        Its bytes without the MLLP block.
    default
        The character set of senders that name none in MSH-18.

    Raises
    ------
    NotHl7
    """

    def __init__(self, content: bytes, default: str) -> None:
        named = character_set_of(content) or default
        try:
            text = content.decode(codec(named))
        except UnicodeDecodeError as error:
            raise NotHl7("the message is not encoded in the character set that it names in MSH-18") from error
        except ValueError as error:
            raise NotHl7("the message names a character set that we do not speak in MSH-18") from error
        try:
            self._message = hl7.parse(re.sub(r"[\r\n]+", "\r", text.strip()))
        except Exception as error:  # the library raises whatever it met in the text; all of it means the same here
            raise NotHl7("the message is no HL7 version 2 message") from error
        self._separators = self._message.separators  # segment, field, repetition, component, subcomponent

    def segments(self) -> list[Segment]:
        """All segments in their order."""
        return [Segment(segment, self._separators[2:]) for segment in self._message]

    def first(self, name: str) -> Segment:
        """The first segment of this name; an empty one where there is none."""
        return next((segment for segment in self.segments() if segment.name == name), Segment([[name]], "~^&"))


class Segment:
    """One segment; `value` reads by HL7's own numbers, from 1."""

    def __init__(self, fields: list[object], separators: str) -> None:
        self._fields, self._separators = fields, separators
        self.name = str(fields[0]) if not isinstance(fields[0], list) else str(fields[0][0])

    def value(self, field: int, component: int = 1, subcomponent: int = 1) -> str:
        """A component's text (of the field's first repetition), unescaped; empty where it is not there or null."""
        if field >= len(self._fields):
            return ""
        text = str(self._fields[field])
        for separator, place in zip(self._separators, (1, component, subcomponent), strict=False):
            parts = text.split(separator)
            text = parts[place - 1] if place <= len(parts) else ""
        text = unescape(text).strip()
        return "" if text == '""' else text
