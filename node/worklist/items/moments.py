"""Dates and times of DICOM: written for people here, compared as spans (PS3.5 6.2 DA, TM, DT; PS3.4 C.2.2.2.5)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

Span = tuple[float, float]
"""First and last instant that a value of limited precision can mean."""

_OFFSET = r"[+-](?:0\d|1[0-4])[0-5]\d"
_SINGLE = {
    "DA": re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})"),
    "TM": re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(\.\d{1,6})?)?)?"),
    "DT": re.compile(rf"(\d{{4}})(\d{{2}})?(\d{{2}})?(\d{{2}})?(\d{{2}})?(\d{{2}})?(\.\d{{1,6}})?({_OFFSET})?"),
}
_END = {"DA": r"[\d.]{8,10}", "TM": r"[\d:.]{2,15}", "DT": rf"\d{{4,14}}(?:\.\d{{1,6}})?(?:{_OFFSET})?"}
_RANGE = {vr: re.compile(rf"(?P<first>{end})?\s*-\s*(?P<last>{end})?") for vr, end in _END.items()}
_STEPS = (("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)), ("second", timedelta(seconds=1)))
_TICK = timedelta(microseconds=1)


def date_time(now: float) -> str:
    """A DT in this machine's time zone with its offset: who ignores the offset sees the clock on the wall."""
    return datetime.fromtimestamp(now, UTC).astimezone().strftime("%Y%m%d%H%M%S.%f%z")


def offset_of(text: str) -> timezone | None:
    """Timezone Offset From UTC (0008,0201), None where it is absent or not one."""
    if re.fullmatch(_OFFSET, text) is None:
        return None
    delta = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
    return timezone(-delta if text[0] == "-" else delta)


def span(vr: str, text: str, zone: timezone | None) -> Span | None:
    """The span of a single DA, TM or DT, in seconds; None where it is not one.

    A DT without an offset is in `zone`; None means this machine's time zone.
    """
    match = _SINGLE[vr].fullmatch(text)
    if match is None:
        return None
    try:
        first, length = _time(match) if vr == "TM" else _date(match, vr == "DT", zone)
    except (ValueError, OverflowError):
        return None
    return first.timestamp(), (first + length - _TICK).timestamp()


def span_of_key(vr: str, text: str, zone: timezone | None) -> Span | None:
    """The span of a matching key: a single value or a range, open at either end; None: neither."""
    single = span(vr, text, zone)
    if single is not None:
        return single
    match = _RANGE[vr].fullmatch(text)
    if match is None or not (match["first"] or match["last"]):
        return None
    first = span(vr, match["first"], zone) if match["first"] else (float("-inf"), 0.0)
    last = span(vr, match["last"], zone) if match["last"] else (0.0, float("inf"))
    return (first[0], last[1]) if first and last else None


def _time(match: re.Match[str]) -> tuple[datetime, timedelta]:
    return _fill(datetime(1970, 1, 1, tzinfo=UTC), match.groups()[:3], match[4], timedelta(days=1))


def _date(match: re.Match[str], timed: bool, zone: timezone | None) -> tuple[datetime, timedelta]:
    year, month, day = (int(part) if part else None for part in match.groups()[:3])
    start = datetime(year or 0, month or 1, day or 1)
    if month is None:
        length = start.replace(year=start.year + 1) - start
    elif day is None:
        length = (start + timedelta(days=31)).replace(day=1) - start
    else:
        length = timedelta(days=1)
    if not timed:
        return start.replace(tzinfo=UTC), length
    start, length = _fill(start, match.groups()[3:6], match[7], length)
    zone = offset_of(match[8] or "") or zone
    return (start.replace(tzinfo=zone) if zone else start.astimezone()), length


def _fill(
    start: datetime, clock: tuple[str | None, ...], fraction: str | None, length: timedelta
) -> tuple[datetime, timedelta]:
    for (name, step), part in zip(_STEPS, clock, strict=True):
        if part:
            start, length = start.replace(**{name: min(int(part), 59) if name == "second" else int(part)}), step  # type: ignore[arg-type]
    if fraction:
        micros = int(fraction[1:].ljust(6, "0"))
        return start.replace(microsecond=micros), timedelta(microseconds=10 ** (7 - len(fraction)))
    return start, length
