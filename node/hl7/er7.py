"""HL7 version 2 as text and bytes: delimiters escaped, character sets named (chapter 2: 2.5, 2.7)."""

from __future__ import annotations

import codecs
import re

import hl7

from node.errors import ReadFirstError
from node.hl7.charsets import codec

SEPARATORS = "|^~\\&"
UNREADABLE = "\N{REPLACEMENT CHARACTER}"
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


def split(content: bytes) -> tuple[bytes, tuple[bytes, ...], bytes]:
    """The batch header before the messages of a block (2.10.3; empty where there is none), the messages, and the rest.

    A byte order mark does not count. What has no MSH segment is one message, and not a readable one.
    """
    plain = _plain(content)
    begins = [match.start() for match in re.finditer(rb"(?:(?<=[\r\n])|\A)MSH", plain)]
    if not begins:
        return b"", (plain,), b""
    trailer = re.search(rb"[\r\n](?:BTS|FTS)[^\r\n]?.*\Z", plain[begins[-1] :], re.DOTALL)
    end = begins[-1] + trailer.start() if trailer else len(plain)
    header = plain[: begins[0]] if re.match(rb"FHS|BHS", plain) else b""
    messages = tuple(plain[a:b] for a, b in zip(begins, [*begins[1:], end], strict=True))
    return header, messages, plain[end:].lstrip()


def _plain(content: bytes) -> bytes:
    """Without white space before it; UTF-8 without its byte order mark, and where UTF-16's is there (MLLP has none)."""
    for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        if content.startswith(mark):
            return content.decode("utf_16", "replace").encode()
    return content.removeprefix(codecs.BOM_UTF8).lstrip()


def header_of(content: bytes, encoding: str = "latin_1") -> Segment:
    """The first segment of a message or batch, read leniently; empty where it is none that gives its delimiters."""
    line = re.split(rb"[\r\n]", _plain(content), maxsplit=1)[0].decode(encoding, "replace")
    if line[:3] not in ("MSH", "FHS", "BHS") or len(line) < 8:
        return Segment(["MSH"], "~^&")
    name, field, marks = line[:3], line[3], line[4:8]
    return Segment([name, field, *line[4:].split(field)], marks[1] + marks[0] + marks[3])


def character_set_of(message: bytes) -> str:
    """The first repetition of MSH-18, empty where there is none."""
    if not message.startswith(b"MSH") or len(header_of(message)) < 2:
        raise NotHl7("the message does not begin with an MSH segment")
    return header_of(message).value(18)


_FORMATS = {  # 2.7.1 and 2.7.6, letters alone; what is not here is left out of text
    ".br": "\n", ".sp": "\n", ".ce": "\n", ".fi": "", ".nf": "", ".in": "", ".ti": "", ".sk": " ", "H": "", "N": "",
}  # fmt: skip


def formatted(value: str) -> str:
    """Formatted text (FT) as plain text: delimiters, line ends; other sequences are left out."""

    def plain(match: re.Match[str]) -> str:
        sequence = match[1]
        return _MEANT.get(sequence) or _FORMATS.get(sequence[:3] if sequence.startswith(".") else sequence, "")

    return re.sub(r"\\([^\\\r\n]{1,40})\\", plain, value)


class Message:
    """A received message, read by position.

    Parameters
    ----------
    content
        Its bytes without the MLLP block.
    default
        The character set of senders that name none in MSH-18.

    Attributes
    ----------
    doubt
        Why characters other than ASCII cannot be read; empty where all can. Each of them is `UNREADABLE` then.

    Raises
    ------
    NotHl7
    """

    def __init__(self, content: bytes, default: str) -> None:
        text, self.doubt = _decoded(content, character_set_of(content), default)
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

    def __len__(self) -> int:
        return len(self._fields)

    def value(self, field: int, component: int = 1, subcomponent: int = 1) -> str:
        """A component's text (of the field's first repetition), unescaped; empty where it is not there or null."""
        return self.values(field, component, subcomponent)[0]

    def values(self, field: int, component: int = 1, subcomponent: int = 1) -> list[str]:
        """As `value`, of each repetition; at least one."""
        whole = str(self._fields[field]) if field < len(self._fields) else ""
        repetitions = whole.split(self._separators[0]) if self._separators else [whole]
        return [self._part(text, (component, subcomponent)) for text in repetitions]

    def text(self, field: int) -> str:
        """The whole field as plain text, a line a repetition; `^` and `&` that are no delimiters there stay."""
        whole = str(self._fields[field]) if field < len(self._fields) else ""
        lines = whole.split(self._separators[0]) if self._separators else [whole]
        return "\n".join(formatted(line).strip() for line in lines)

    def _part(self, text: str, numbers: tuple[int, int]) -> str:
        for separator, number in zip(self._separators[1:], numbers, strict=False):
            parts = text.split(separator)
            text = parts[number - 1] if number <= len(parts) else ""
        text = unescape(text).strip()
        return "" if text == '""' else text


def _decoded(content: bytes, named: str, default: str) -> tuple[str, str]:
    """The text, and why a part of it is not readable."""
    try:
        encoding = codec(named or default)
    except ValueError:
        unknown = "MSH-18 names a character set that we do not know"
        return content.decode("ascii", "replace"), "" if content.isascii() else unknown
    try:
        return content.decode(encoding), ""
    except UnicodeDecodeError:
        doubt = (
            f"MSH-18 is empty, and the message is not in worklist.orders.encoding = {default}: set it to the sender's"
        )
        return content.decode(
            encoding, "replace"
        ), "the message is not in the character set of MSH-18" if named else doubt
