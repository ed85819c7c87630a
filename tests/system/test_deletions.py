"""Retention under kill -9, a few times; `python -m tests.system.deletions` kills fifty times."""

from __future__ import annotations

from pathlib import Path

from tests.system import deletions


def test_nothing_undelivered_is_lost_when_the_node_is_killed_while_it_deletes(tmp_path: Path) -> None:
    ground, wrongs = deletions.run(tmp_path, 2, 18)
    assert wrongs == []
    assert len(ground.sent) > 4
    kept = next(one for one in ground.sent if not one.shown)
    next((ground.data / "instances" / kept.uid).rglob("*.dcm")).unlink()  # the counting sees what is lost
    assert len(deletions.wrongs(ground)) == 1
