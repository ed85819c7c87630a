"""Names of character sets in HL7 v2 messages (table 0211, and those that systems send) and Python's codecs for them."""

from __future__ import annotations

import codecs
import re

_LATIN = {
    f"{prefix}8859{part}": f"iso8859_{part}" for prefix in ("", "ISO") for part in (*range(1, 12), 13, 14, 15, 16)
}
_DICOM = {100: 1, 101: 2, 109: 3, 110: 4, 144: 5, 127: 6, 126: 7, 138: 8, 148: 9, 203: 15, 166: 11}  # PS3.3 C.12.1.1.2
_CODECS = {  # letters and digits of the name alone, to Python's codec
    **_LATIN,
    **{f"ISOIR{number}": f"iso8859_{part}" for number, part in _DICOM.items()},
    **dict.fromkeys(("ASCII", "USASCII", "ISOIR6", "ANSIX34"), "ascii"),
    **dict.fromkeys(("LATIN1", "ISOLATIN1"), "iso8859_1"),
    **dict.fromkeys(("ISOIR13", "ISOIR14", "SHIFTJIS", "SJIS"), "shift_jis"),
    **dict.fromkeys(("ISOIR87", "ISO2022JP"), "iso2022_jp"),
    "ISOIR159": "iso2022_jp_1",
    **dict.fromkeys(("GB180302000", "GB18030", "GBK", "GB2312"), "gb18030"),
    **dict.fromkeys(("KSX1001", "KSC5601", "EUCKR", "ISOIR149"), "euc_kr"),
    "BIG5": "big5",
    **dict.fromkeys(("UNICODEUTF8", "UTF8", "UNICODE", "ISOIR192"), "utf_8"),  # UNICODE alone: in fact UTF-8
}
_CODE_PAGE = re.compile(r"(?:WINDOWS|WIN|MS|CP|IBM|ANSI)(125\d|437|8[5-7]\d|874|932|936|949|950)")


def codec(character_set: str) -> str:
    """Python's codec for a name of MSH-18; `ValueError` if unknown or unfit for MLLP."""
    name = re.sub(r"[^A-Z0-9]", "", character_set.upper())
    page = _CODE_PAGE.fullmatch(name)
    found = f"cp{page[1]}" if page else _CODECS.get(name)
    try:
        return codecs.lookup(found or "").name.replace("-", "_")
    except LookupError as error:
        known = (
            "UNICODE UTF-8, ASCII, 8859/1 to 8859/16, WINDOWS-1252, GB 18030-2000, BIG-5, KS X 1001, ISO IR14, ISO IR87"
        )
        raise ValueError(f"the character set {character_set!r} is not supported; there are {known}") from error


def is_known(name: str) -> bool:
    """Whether `codec` has one for the name."""
    try:
        return bool(codec(name))
    except ValueError:
        return False


def known_character_set(name: str) -> str:
    """The name itself, if MLLP can carry that character set; else `ValueError`."""
    codec(name)
    return name
