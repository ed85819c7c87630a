"""The font that burned-in text and PDF reports are drawn with."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from fontTools.ttLib import TTCollection, TTFont, TTLibError

from node.errors import ConfigurationError

SAMPLE = {"en": "A9 %", "zh": "未见气胸胸腔积液"}  # what a font must be able to draw for a language


def font_file(chosen: Path | None) -> Path:
    """`results.font`, else DejaVu Sans, which is part of matplotlib (a free licence; Latin, Greek, Cyrillic)."""
    if chosen:
        return chosen
    found = find_spec("matplotlib")
    assert found is not None and found.origin is not None, "matplotlib is a dependency"
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"


@cache
def draws(file: Path, language: str) -> bool:
    """Whether the font has the characters of a language.

    Raises
    ------
    ConfigurationError
        It is missing or no TrueType or OpenType font.
    """
    return all(ord(letter) in _characters(file) for letter in SAMPLE[language])


def drawable_language(chosen: Path | None, language: str) -> str:
    """The language in which text is drawn: the chosen one where the font can, else English."""
    return language if draws(font_file(chosen), language) else "en"


@cache
def _characters(file: Path) -> frozenset[int]:
    try:
        content = file.read_bytes()
        opened = BytesIO(content)
        font = TTCollection(opened, lazy=True).fonts[0] if content[:4] == b"ttcf" else TTFont(opened, lazy=True)
        return frozenset(font.getBestCmap() or ())
    except (OSError, TTLibError) as error:
        raise ConfigurationError(f"results.font: {file} cannot be read as a font: {error}") from error
