"""Value Representations by what they have in common (PS3.5 6.2)."""

from __future__ import annotations

LONG_LENGTH = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
"""Of a 4-byte length in explicit VR, PS3.5 Table 7.1-1."""
BULK = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
"""Bytes and words without a meaning of their own."""
EXTENDED_CHARACTERS = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
"""Specific Character Set applies to them, PS3.5 6.1.2.3."""
CHARACTER_STRINGS = EXTENDED_CHARACTERS | frozenset(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"])
VALUE_REPRESENTATIONS = CHARACTER_STRINGS | LONG_LENGTH | frozenset(["AT", "FD", "FL", "SL", "SS", "UL", "US"])
"""All that there are."""
