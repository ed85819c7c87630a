"""What an unknown peer can do: nothing. The tries are those of `python -m tests.system.unknown_peer`."""

from __future__ import annotations

from tests.system.unknown_peer import rows


def test_an_unknown_peer_can_do_nothing() -> None:
    found = list(rows())
    assert len(found) > 60
    assert [(row.what, row.answer, row.effect) for row in found if row.effect] == []
