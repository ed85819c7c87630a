"""Text of received Data Sets, read as what its bytes are, which devices declare wrongly in Specific Character Set.

Read otherwise than declared is only what can be nothing else: UTF-8, which text in Latin-1 never is by chance; escape
sequences of ISO 2022, which name their character set; bytes over 127 where only a further set has them; and, in a text
that is not in the declared set, Latin-1 (as Windows-1252, which has more), where accented letters stand among plain
ones. All of what the node and the workers read of a Data Set is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pydicom import DataElement, Dataset, config
from pydicom.charset import CODES_TO_ENCODINGS, python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement

from node.dicom.value_representations import EXTENDED_CHARACTERS

UNREADABLE = "\N{REPLACEMENT CHARACTER}"
_CHARACTER_SET, _MOST_SETS = 0x00080005, 16
_ONE_VALUE = frozenset({"LT", "ST", "UT"})  # a backslash in them is a character
_PLAIN, _LATIN_1, _WINDOWS, _UTF_8 = "ascii", "latin_1", "cp1252", "utf_8"
_CODECS = {"iso8859": _PLAIN, "UTF8": _UTF_8}  # pydicom's to ours: the default repertoire is ASCII, PS3.5 6.1.2.2
_CALLED = {_UTF_8: "UTF-8", _WINDOWS: "Latin-1", _LATIN_1: "Latin-1"}
_OF_TWO_BYTES = frozenset({"iso2022_jp", "iso2022_jp_2"})  # their codecs want the escape sequence itself
_ISO = re.compile(r"ISO ?(?:2022 ?)?(?:IR ?)?([0-9]+)")
_ESCAPE = re.compile(rb"(\x1b[$()*+,\-./]+[@-~])")
_ENDS_ESCAPE = re.compile(rb"[\\^=\t\n\f\r]")  # PS3.5 6.1.2.5.3: behind it the first set counts again
_BETWEEN_WORDS = re.compile(r"[\s^=\\,;:/()-]+")
_ACCENTED = re.compile(r"[^\x00-\x7f]{2,}")


def declared_in(value: bytes) -> tuple[str, ...]:
    """The values of Specific Character Set (0008,0005), as encoded."""
    return tuple(value.decode(_LATIN_1).strip("\0 ").split("\\")[:_MOST_SETS])


def decoded(value: bytes, declared: Sequence[str]) -> tuple[str, str]:
    """The text, and what it is in where that is not declared (`UNREADABLE`: in nothing that is known).

    Parameters
    ----------
    declared
        The values of Specific Character Set, however they are spelt; none where it is absent.
    """
    return _decoded(value, [_codec(name) for name in declared] or [_PLAIN])


def decode_texts(dataset: Dataset, inherited: Sequence[str] = (), noted: set[str] | None = None) -> Sequence[str]:
    """Decode the texts at the top of a Data Set, in place, as far as they are not in ASCII and not decoded yet.

    Parameters
    ----------
    inherited
        Specific Character Set of the Data Set that this one is an item of.
    noted
        What `decoded` found that was not declared is added to it.

    Returns
    -------
    Specific Character Set for its own items.
    """
    declared = _declared(dataset) or inherited
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and not _is_plain(raw.value or b"") and (vr := _text_vr(raw)):
            text, other = decoded(raw.value or b"", declared)
            dataset[tag] = DataElement(tag, vr, _values(text, vr), validation_mode=config.IGNORE)
            if noted is not None and other:
                noted.add(other)
    return declared


def _declared(dataset: Dataset) -> tuple[str, ...]:
    element = dataset.get_item(_CHARACTER_SET) if _CHARACTER_SET in dataset else None
    value = element.value if element is not None else None
    if isinstance(value, bytes):
        return declared_in(value)
    return (value,) if isinstance(value, str) else tuple(map(str, value or ()))[:_MOST_SETS]


def _text_vr(raw: RawDataElement) -> str:
    """The VR of an element whose text depends on the character set; empty of another one."""
    vr = raw.VR
    if vr is None:
        try:
            vr = dictionary_VR(raw.tag)
        except KeyError:
            return ""
    return vr if vr in EXTENDED_CHARACTERS else ""


def _values(text: str, vr: str) -> str | list[str]:
    values = [one.rstrip("\0 ") for one in ([text] if vr in _ONE_VALUE else text.split("\\"))]
    return values if len(values) > 1 else values[0]


def _codec(name: str) -> str:
    """Python's codec of a character set; of one that nobody knows that of the default repertoire."""
    name = re.sub(r"[\s_-]+", " ", name.upper()).strip("\0 ")
    if match := _ISO.fullmatch(name):
        number = match[1]
        found = python_encoding.get(f"ISO_IR {number}") or python_encoding.get(f"ISO 2022 IR {number}") or _PLAIN
        return _CODECS.get(found, found)
    if match := re.fullmatch(r"(?:WINDOWS|CP) ?(125[0-8])", name):
        return f"cp{match[1]}"
    return {"UTF 8": _UTF_8, "UTF8": _UTF_8, "GBK": "gbk", "ISO 2022 GBK": "gbk", "GB18030": "gb18030"}.get(
        name, _PLAIN
    )


def _decoded(value: bytes, sets: Sequence[str]) -> tuple[str, str]:
    if _is_plain(value):
        return value.decode(_PLAIN), ""
    plain = value
    if b"\x1b" in value:
        if (found := _by_escapes(value, sets)) is not None:
            return found
        plain = _ESCAPE.sub(b"", value).replace(b"\x1b", b"")
    for codec in _candidates(sets):
        text = _strictly(plain, codec)
        if text is not None and (codec != _WINDOWS or sets[0] == _PLAIN or _is_latin(text)):
            return text, UNREADABLE if plain is not value else "" if codec in sets else _CALLED[codec]
    return plain.decode(sets[0], "replace"), UNREADABLE


def _candidates(sets: Sequence[str]) -> Iterator[str]:
    """What a text without escape sequences may be in, the likeliest first."""
    if sets[0] == _LATIN_1:
        yield _UTF_8
    yield sets[0]
    if sets[0] == _PLAIN:
        yield from sets[1:]
    yield from (_UTF_8, _WINDOWS)
    if sets[0] == _PLAIN:
        yield _LATIN_1


def _by_escapes(value: bytes, sets: Sequence[str]) -> tuple[str, str] | None:
    """A text with escape sequences (PS3.5 6.1.2.5); None where one of them is unknown or does not fit what follows."""
    begin, *rest = _ESCAPE.split(value)
    if any(b"\x1b" in part for part in (begin, *rest[1::2])):
        return None
    text, other = _decoded(begin, sets)
    for escape, part in zip(rest[::2], rest[1::2], strict=True):
        codec = _CODECS.get(CODES_TO_ENCODINGS.get(escape, ""), CODES_TO_ENCODINGS.get(escape, ""))
        end = _ENDS_ESCAPE.search(part)
        own, behind = (part[: end.start()], part[end.start() :]) if end and codec not in _OF_TWO_BYTES else (part, b"")
        found = _strictly(escape + own if codec in _OF_TWO_BYTES else own, codec)
        if found is None:
            return None
        after, _ = _decoded(behind, [*sets, codec])
        text += found + after
        other = other or ("" if codec in (*sets, _PLAIN) else "ISO 2022")
    return text, other


def _strictly(value: bytes, codec: str) -> str | None:
    try:
        return value.decode(codec)
    except (LookupError, UnicodeDecodeError):
        return None


def _is_latin(text: str) -> bool:
    """Whether accented letters stand among plain ones: bytes of Chinese or Japanese, read as Latin-1, do not."""
    for word in _BETWEEN_WORDS.split(text):
        accented = sum(not character.isascii() for character in word)
        plain = sum(character.isascii() and character.isalnum() for character in word)
        side_by_side: list[str] = _ACCENTED.findall(word)
        if accented and (2 * accented > plain + 1 or any(len(one) > 2 or not one.islower() for one in side_by_side)):
            return False
    return True


def _is_plain(value: bytes) -> bool:
    return value.isascii() and b"\x1b" not in value
