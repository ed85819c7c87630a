"""Text to sentences: full stops, list bullets, and line ends that were meant."""

from __future__ import annotations

import re
from collections.abc import Iterator

_STOP = re.compile(r"""(?<=[.!?])["')\]]*\s+|(?<=[A-Za-z)]{2}[.!?])(?=[A-Z][A-Za-z])|(?<=[。！？])""")
_ABBREVIATION = re.compile(
    r"(?:\b(?:vs|dr|drs|mr|mrs|ms|approx|e\.g|i\.e|fig|incl|resp|st|w|ca|etc)|^\d{1,2})\.$", re.I
)
_BULLET = re.compile(r"^\s*(?:[-*•·‣–]+|\(?\d{1,2}[.)])\s+")
_NARROWEST = 50  # characters; narrower text was not wrapped, its lines are items of a list


def sentences(text: str) -> list[str]:
    """The sentences of a section, without bullets and numbers of a list.

    A line end is a sentence end before a bullet, at an empty line, and where the next word would still have fitted on
    the line: who wraps text does so only where it is full.
    """
    return [found for paragraph in _paragraphs(text) for found in _split(paragraph)]


def _paragraphs(text: str) -> Iterator[str]:
    lines = text.splitlines()
    width = max([_NARROWEST, *(len(line.rstrip()) for line in lines)])
    held: list[str] = []
    for number, line in enumerate(lines):
        bare = _BULLET.sub("", line).strip()
        item = bare != line.strip()
        if held and (item or not bare or _had_room(lines[number - 1], bare, width)):
            yield " ".join(held)
            held = []
        if bare:
            held.append(bare)
    if held:
        yield " ".join(held)


def _had_room(line: str, following: str, width: int) -> bool:
    if line.rstrip().endswith(("。", "！", "？")):
        return True
    return len(line.rstrip()) + 1 + len(following.split(maxsplit=1)[0]) <= width


def _split(paragraph: str) -> Iterator[str]:
    start = 0
    for stop in _STOP.finditer(paragraph):
        piece = paragraph[start : stop.start()].strip()
        if _ABBREVIATION.search(piece):
            continue
        yield _BULLET.sub("", piece)
        start = stop.end()
    last = _BULLET.sub("", paragraph[start:].strip())
    if last:
        yield last
