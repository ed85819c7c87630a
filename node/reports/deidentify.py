"""Report text without what names people: exact values of the message, then patterns. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from node.reports.reading import ReceivedReport

NAME, DATE, NUMBER = "[name]", "[date]", "[number]"
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTH = rf"(?:{_MONTHS})[a-z]*"
_CAPITAL = r"[A-Z\u00c0-\u00de][\w'\u2019-]+"
_PATTERNS = (  # in this order
    (re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.]+"), NUMBER),
    (re.compile(r"\bhttps?://\S+"), NUMBER),
    (re.compile(r"\b(?:19|20)\d{2}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])\b"), DATE),
    (re.compile(r"(?:19|20)\d{2}\s*年\s*\d{1,2}\s*月(?:\s*\d{1,2}\s*日)?"), DATE),
    (re.compile(r"\b\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})\b"), DATE),
    (re.compile(rf"\b\d{{1,2}}(?:st|nd|rd|th)?[ -](?:of )?{_MONTH}\.?,?[ -](?:19|20)?\d{{2}}\b", re.I), DATE),
    (re.compile(rf"\b{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)\d{{2}}\b", re.I), DATE),
    (re.compile(rf"\b{_MONTH}\.?,? (?:19|20)\d{{2}}\b", re.I), DATE),
    (re.compile(r"\b(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?:\s*[ap]\.?m\.?)?", re.I), DATE),
    (re.compile(r"\b(?:mrn|m\.r\.n\.|medical record|patient id|acc(?:ession)?|dob|ssn|phone|tel|pager|fax)\b[ .#:no]*[\w-]*\d[\w-]*", re.I), NUMBER),  # noqa: E501
    (re.compile(r"(?<![\w.])\+?\(?\d{2,4}\)?[ .-]\d{3,4}[ .-]\d{3,6}\b"), NUMBER),
    (re.compile(r"\b\d{6,}\b"), NUMBER),
    (re.compile(rf"\b(?:Drs?|Mr|Mrs|Ms|Prof)\.?\s+(?:{_CAPITAL}(?:\s+[A-Z]\.)?\s*){{1,3}}"), f"{NAME} "),
    (re.compile(r"^.*\b(?:electronically signed|dictated by|signed by|transcribed by|read by|attending)\b.*$", re.I | re.M), NAME),  # noqa: E501
    (re.compile(r"(?:报告医师|审核医师|报告医生|审核医生|姓名|住院号|门诊号|病历号)[:：]?\s*\S+"), NAME),
)  # fmt: skip


def deidentified(report: ReceivedReport) -> str:
    """The text with names, dates and numbers replaced by `[name]`, `[date]`, `[number]`.

    Replaced are the values of PID, PV1, NK1, ORC and OBR as whole words, whatever the case, and what looks like a date,
    a time, a telephone or other long number, an address of mail, a title with a name, a signature. A name that the
    message does not have and that no title stands before is not seen.
    """
    text = report.text
    for value in sorted(_written(report.dates), key=len, reverse=True):
        text = _without(text, value, DATE)
    for values, shown in ((report.numbers, NUMBER), (report.names, NAME)):
        for value in sorted(values, key=len, reverse=True):
            text = _without(text, value, shown)
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text


def _without(text: str, value: str, shown: str) -> str:
    """Chinese names have no word borders; others count as whole words alone."""
    border = r"(?<!\w)" if value[:1].isascii() else ""
    end = r"(?!\w)" if value[-1:].isascii() else ""
    return re.sub(f"{border}{re.escape(value)}{end}", lambda _: shown, text, flags=re.IGNORECASE)


def _written(dates: Iterable[str]) -> Iterator[str]:
    """A date as people write it."""
    for value in dates:
        day = datetime.strptime(value, "%Y%m%d")
        yield value
        for form in ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d %B %Y", "%B %d, %Y"):
            yield day.strftime(form)
        yield f"{day.month}/{day.day}/{day.year}"
        yield f"{day.day}.{day.month}.{day.year}"
