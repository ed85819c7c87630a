"""The part of a report on this examination: findings and impression, not indication or history."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.report_labels.rules import Headings

_EMPTY_LINE = re.compile(r"\n(?:[ \t]*\n)+")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading in lower case ("" before the first one) and the text under it."""

    heading: str
    text: str


class SectionSplitter:
    """Splits plain text at the headings of the table.

    A heading is one of the table's names with a colon after it, at the start of a line, after a full stop or all in
    capitals; or alone on its line. Other words before a colon ("Pleura: no effusion") stay in the section's text.
    """

    def __init__(self, headings: Headings) -> None:
        self._read = frozenset(headings.read)
        names = sorted((*headings.read, *headings.skip), key=len, reverse=True)
        lower = "|".join(re.escape(name).replace(r"\ ", r"[ \t]+") for name in names)
        upper = "|".join(re.escape(name.upper()).replace(r"\ ", r"[ \t]+") for name in names)
        at_start = rf"(?:^|(?<=[.!?])[ \t]+|(?<=。))[ \t#*【]*((?i:{lower}))[ \t】]*\**[:：]\**"
        self._heading = re.compile(rf"{at_start}|\b({upper})[:：]|^[ \t#*]*((?i:{lower}))[ \t*]*$", re.MULTILINE)

    def split(self, report: str) -> tuple[Section, ...]:
        """All sections, in their order."""
        report = _EMPTY_LINE.sub("\n\n", report.replace("\r\n", "\n"))
        starts = [(0, 0, ""), *((m.start(), m.end(), _name(m)) for m in self._heading.finditer(report))]
        ends = [start for start, _, _ in starts[1:]] + [len(report)]
        found = (Section(name, report[after:end].strip()) for (_, after, name), end in zip(starts, ends, strict=True))
        return tuple(section for section in found if section.text)

    def read(self, sections: tuple[Section, ...]) -> tuple[Section, ...]:
        """Those that count; where none has such a heading, the text that stands under no heading."""
        named = tuple(section for section in sections if section.heading in self._read)
        return named or tuple(free for section in sections if (free := _without_heading(section)).text)


def _without_heading(section: Section) -> Section:
    """Text before the first heading, or after the paragraph that a heading has."""
    return section if not section.heading else Section("", section.text.partition("\n\n")[2].strip())


def _name(heading: re.Match[str]) -> str:
    found: str = next(filter(None, heading.groups()))
    return " ".join(found.lower().split())
