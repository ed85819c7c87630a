from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from node.worklist.items.moments import date_time, offset_of, span, span_of_key

INF = float("inf")


def at(*parts: int, zone: timezone | None = UTC) -> float:
    return datetime(*parts, tzinfo=zone).timestamp()  # type: ignore[arg-type]


def test_what_is_written_is_read_back_exactly():
    written = date_time(1_790_000_000.123456)
    first, last = span("DT", written, None)
    assert first == last == pytest.approx(1_790_000_000.123456, abs=1e-6)
    assert offset_of(written[-5:]) is not None


@pytest.mark.parametrize(
    ("vr", "text", "first", "last"),
    [
        ("DT", "2026", at(2026, 1, 1), at(2027, 1, 1)),
        ("DT", "202602", at(2026, 2, 1), at(2026, 3, 1)),
        ("DT", "20260228", at(2026, 2, 28), at(2026, 3, 1)),
        ("DT", "2026022812", at(2026, 2, 28, 12), at(2026, 2, 28, 13)),
        ("DT", "20260228123045", at(2026, 2, 28, 12, 30, 45), at(2026, 2, 28, 12, 30, 46)),
        ("DT", "20260228120000+0200", at(2026, 2, 28, 10), at(2026, 2, 28, 10, 0, 1)),
        ("DT", "2026-0500", at(2026, 1, 1, 5), at(2027, 1, 1, 5)),
        ("DA", "19600229", at(1960, 2, 29), at(1960, 3, 1)),
        ("DA", "1960.02.29", at(1960, 2, 29), at(1960, 3, 1)),
        ("TM", "0705", at(1970, 1, 1, 7, 5), at(1970, 1, 1, 7, 6)),
        ("TM", "235960", at(1970, 1, 1, 23, 59, 59), at(1970, 1, 2)),
    ],
)
def test_a_value_means_a_span(vr, text, first, last):
    found = span(vr, text, UTC)
    assert found is not None
    assert found[0] == first
    assert found[1] == pytest.approx(last, abs=2e-6)
    assert found[1] < last


@pytest.mark.parametrize(
    ("vr", "text", "first", "last"),
    [
        ("DT", "20260101-20260131", at(2026, 1, 1), at(2026, 2, 1)),
        ("DT", "20260101-", at(2026, 1, 1), INF),
        ("DT", "-20260131", -INF, at(2026, 2, 1)),
        ("DT", "20260101120000+0100-20260102120000-0500", at(2026, 1, 1, 11), at(2026, 1, 2, 17, 0, 1)),
        ("DT", "2025-2026", at(2025, 1, 1), at(2027, 1, 1)),
        ("DA", "19600101 - 19691231", at(1960, 1, 1), at(1970, 1, 1)),
        ("TM", "0800-0959", at(1970, 1, 1, 8), at(1970, 1, 1, 10)),
    ],
)
def test_a_key_may_be_a_range(vr, text, first, last):
    found = span_of_key(vr, text, UTC)
    assert found is not None
    assert found == (first, pytest.approx(last, abs=2e-6))


@pytest.mark.parametrize(
    ("vr", "text"),
    [("DT", "-"), ("DT", "yesterday"), ("DA", "20260231"), ("DA", "2026*"), ("TM", "2561"), ("DT", "0000"), ("DT", "")],
)
def test_what_is_no_moment_is_none(vr, text):
    assert span_of_key(vr, text, UTC) is None


def test_without_an_offset_the_zone_of_the_query_counts():
    assert span("DT", "2026010112", offset_of("+0300"))[0] == at(2026, 1, 1, 9)
    assert offset_of("-0330") == timezone(-timedelta(hours=3, minutes=30))
    assert offset_of("UTC") is None
