"""HL7 v2's names of character sets (table 0211) and Python's codecs for them."""

from __future__ import annotations

import re

_CODECS = {  # HL7 table 0211 (letters and digits alone) to Python's codec
    "ASCII": "ascii",
    "ISOIR6": "ascii",
    **{f"8859{part}": f"iso8859_{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    **{f"ISO8859{part}": f"iso8859_{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    "ISOIR14": "shift_jis",
    "ISOIR87": "iso2022_jp",
    "ISOIR159": "iso2022_jp_1",
    "GB180302000": "gb18030",
    "GB18030": "gb18030",
    "KSX1001": "euc_kr",
    "BIG5": "big5",
    "UNICODEUTF8": "utf_8",
    "UTF8": "utf_8",
}


def codec(character_set: str) -> str:
    """Python's codec for a name of MSH-18 (table 0211); `ValueError` if unknown or unfit for MLLP."""
    found = _CODECS.get(re.sub(r"[^A-Z0-9]", "", character_set.upper()))
    if found is None:
        known = "UNICODE UTF-8, ASCII, 8859/1 to 8859/9, 8859/15, GB 18030-2000, BIG-5, KS X 1001, ISO IR14, ISO IR87"
        raise ValueError(f"the character set {character_set!r} is not one that we speak; there are {known}")
    return found


def known_character_set(name: str) -> str:
    """The name itself, if MLLP can carry that character set; else `ValueError`."""
    codec(name)
    return name
