from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from node.dicom.contexts import RESULT_SOP_CLASSES
from node.entities import JobState
from node.settings import Peer, Results, Settings
from workers.delivery.profiles import (
    LADDER,
    PROFILES,
    SOP_CLASSES,
    Kind,
    Wishes,
    below,
    kinds_for,
    plan_of,
    standby_for,
    wishes_of,
)
from workers.results.registry import MAKERS

CONFORMANCE = (Path(__file__).parents[3] / "deploy" / "CONFORMANCE.md").read_text()


def peer(viewer: str = "ohif", *also: str, folder: Path | None = None) -> Peer:
    where = {"folder": folder} if folder else {"ae_title": "PACS", "host": "127.0.0.1"}
    return Peer.model_validate({**where, "receive": ("results",), "viewer": viewer, "also": also})


def test_there_is_a_profile_for_each_viewer_and_a_maker_and_a_class_for_each_kind() -> None:
    assert set(PROFILES) == set(get_args(Peer.model_fields["viewer"].annotation))
    assert set(SOP_CLASSES) == set(MAKERS) == set(Kind)
    assert set(RESULT_SOP_CLASSES) == set(SOP_CLASSES.values())


def test_what_may_be_asked_for_beside_a_profile_is_a_kind_that_is_made() -> None:
    (options, *_) = get_args(Peer.model_fields["also"].annotation)
    assert set(get_args(options)) <= set(Kind)
    assert kinds_for(peer("basic", "report-pdf", "saliency-map")) == (Kind.CAPTURE, Kind.REPORT_PDF, Kind.SALIENCY_MAP)
    assert kinds_for(peer("ohif", "capture")) == (*PROFILES["ohif"].kinds, Kind.CAPTURE)
    assert Kind.CAPTURE not in standby_for(peer("ohif", "capture"))
    assert kinds_for(peer("weasis", "key-objects")).count(Kind.KEY_OBJECTS) == 1


@pytest.mark.parametrize("kind", sorted(LADDER))
def test_every_way_down_ends_with_a_picture(kind: Kind) -> None:
    rungs = list(below(kind))
    assert rungs[-1] == Kind.CAPTURE
    assert len(rungs) == len(set(rungs))
    assert kind not in rungs


def test_a_report_of_findings_falls_by_class_to_words_and_then_to_the_picture() -> None:
    assert list(below(Kind.STATEMENT)) == [Kind.STATEMENT_2D, Kind.REPORT_TEXT, Kind.CAPTURE]
    assert list(below(Kind.SEGMENTATION)) == [Kind.CAPTURE]
    assert list(below(Kind.CAPTURE)) == []


def test_a_folder_refuses_nothing_so_nothing_stands_by(tmp_path: Path) -> None:
    assert standby_for(peer(folder=tmp_path)) == ()
    assert standby_for(peer()) == (Kind.CAPTURE, Kind.REGIONS_2D, Kind.STATEMENT_2D, Kind.REPORT_TEXT)


def test_each_peer_gets_what_its_profile_names() -> None:
    settings = Settings(peers={viewer: peer(viewer) for viewer in PROFILES} | {"only": peer("basic", "report-text")})
    plan = plan_of(settings)
    for viewer, profile in PROFILES.items():
        pending = {kind for kind in Kind if plan(viewer, kind) == JobState.PENDING}
        assert pending == set(profile.kinds)
    assert plan("ohif", Kind.CAPTURE) == JobState.STANDBY
    assert plan("basic", Kind.SEGMENTATION) is None
    assert plan("only", Kind.REPORT_TEXT) == JobState.PENDING


def test_only_what_someone_may_get_is_made() -> None:
    assert wishes_of(Settings()).kinds == set(PROFILES["ohif"].kinds)  # nobody: to be looked at on disk
    assert wishes_of(Settings(peers={"pacs": peer("basic")})).kinds == {Kind.CAPTURE}
    alone = Settings(peers={"pacs": peer("ohif")}, results=Results(fallback=False, language="zh"))
    assert wishes_of(alone) == Wishes(frozenset(PROFILES["ohif"].kinds), "zh", None)
    both = Settings(peers={"pacs": peer("ohif"), "other": peer("basic", "saliency-map")})
    assert wishes_of(both).kinds == {
        *PROFILES["ohif"].kinds, Kind.CAPTURE, Kind.REGIONS_2D, Kind.STATEMENT_2D, Kind.REPORT_TEXT, Kind.SALIENCY_MAP
    }  # fmt: skip


def test_the_conformance_statement_tells_what_each_profile_gets() -> None:
    section = CONFORMANCE.split("## Table: what a viewer's profile gets", 1)[1].split("\n## ", 1)[0]
    profiles, ladders = (table.split("| --- |", 1)[1] for table in section.split("ladder", 1))
    told = re.findall(r"\| `(\w+)` \| ([a-z0-9, -]+) \|", profiles)
    assert told == [(name, ", ".join(profile.kinds)) for name, profile in PROFILES.items()]
    ladder = dict(re.findall(r"\| ([a-z0-9-]+) \| ([a-z0-9, -]+) \|", ladders))
    assert ladder == {kind: ", ".join(below(kind)) for kind in LADDER}
