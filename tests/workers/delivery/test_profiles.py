from __future__ import annotations

import re
from pathlib import Path

import pytest

from node.dicom.contexts import RESULT_SOP_CLASSES
from node.entities import JobState
from node.errors import ConfigurationError
from node.settings import Peer, Results, Settings
from workers.cli import check
from workers.delivery import profiles as table
from workers.delivery.profiles import (
    Profile,
    ResultOptions,
    kinds_for,
    plan_of,
    profiles,
    require_known,
    result_options,
    standby_for,
)
from workers.results.registry import fallbacks, kinds

CONFORMANCE = (Path(__file__).parents[3] / "deploy" / "CONFORMANCE.md").read_text()


WITH_FALLBACK = sorted(name for name, kind in kinds().items() if kind.fallback)


def peer(viewer: str = "ohif", *also: str, folder: Path | None = None) -> Peer:
    where = {"folder": folder} if folder else {"ae_title": "PACS", "host": "127.0.0.1"}
    return Peer.model_validate({**where, "receive": ("results",), "viewer": viewer, "also": also})


def test_there_is_a_profile_for_each_viewer_and_a_maker_and_a_class_for_each_kind() -> None:
    assert {"ohif", "stone", "weasis", "basic"} <= set(profiles())
    assert {kind for profile in profiles().values() for kind in profile.kinds} <= set(kinds())
    assert set(RESULT_SOP_CLASSES) == {kind.sop_class_uid for kind in kinds().values()}


def test_what_may_be_asked_for_beside_a_profile_is_a_kind_that_is_made() -> None:
    require_known(Settings(peers={"all": peer("basic", *kinds())}))
    assert kinds_for(peer("basic", "report-pdf", "saliency-map")) == ("capture", "report-pdf", "saliency-map")
    assert kinds_for(peer("ohif", "capture")) == (*profiles()["ohif"].kinds, "capture")
    assert "capture" not in standby_for(peer("ohif", "capture"))
    assert kinds_for(peer("weasis", "key-objects")).count("key-objects") == 1


@pytest.mark.parametrize("kind", WITH_FALLBACK)
def test_every_way_down_ends_with_a_picture(kind: str) -> None:
    rungs = list(fallbacks(kind))
    assert rungs[-1] == "capture"
    assert len(rungs) == len(set(rungs))
    assert kind not in rungs


def test_a_report_of_findings_falls_by_class_to_words_and_then_to_the_picture() -> None:
    assert list(fallbacks("statement")) == ["statement-2d", "report-text", "capture"]
    assert list(fallbacks("segmentation")) == ["capture"]
    assert list(fallbacks("capture")) == []


def test_a_folder_refuses_nothing_so_nothing_stands_by(tmp_path: Path) -> None:
    assert standby_for(peer(folder=tmp_path)) == ()
    assert standby_for(peer()) == ("capture", "regions-2d", "statement-2d", "report-text")


def test_each_peer_gets_what_its_profile_names() -> None:
    settings = Settings(peers={viewer: peer(viewer) for viewer in profiles()} | {"only": peer("basic", "report-text")})
    plan = plan_of(settings)
    for viewer, profile in profiles().items():
        pending = {kind for kind in kinds() if plan(viewer, kind) == JobState.PENDING}
        assert pending == set(profile.kinds)
    assert plan("ohif", "capture") == JobState.STANDBY
    assert plan("basic", "segmentation") is None
    assert plan("only", "report-text") == JobState.PENDING


def test_only_what_someone_may_get_is_made() -> None:
    assert result_options(Settings()).kinds == set(profiles()["ohif"].kinds)  # nobody: to be looked at on disk
    assert result_options(Settings(peers={"pacs": peer("basic")})).kinds == {"capture"}
    alone = Settings(peers={"pacs": peer("ohif")}, results=Results(fallback=False, language="zh"))
    assert result_options(alone) == ResultOptions(frozenset(profiles()["ohif"].kinds), "zh", None)
    both = Settings(peers={"pacs": peer("ohif"), "other": peer("basic", "saliency-map")})
    assert result_options(both).kinds == {
        *profiles()["ohif"].kinds, "capture", "regions-2d", "statement-2d", "report-text", "saliency-map"
    }  # fmt: skip


def test_the_conformance_statement_tells_what_each_profile_gets() -> None:
    section = CONFORMANCE.split("## Table: what a viewer's profile gets", 1)[1].split("\n## ", 1)[0]
    gets, instead = (table.split("| --- |", 1)[1] for table in section.split("| kind |", 1))
    told = re.findall(r"\| `(\w+)` \| ([a-z0-9, -]+) \| ([^|]+) \|", gets)
    assert {name: (kinds_, reason) for name, kinds_, reason in told} == {
        name: (", ".join(profile.kinds), profile.reason) for name, profile in profiles().items()
    }
    fallback_table = dict(re.findall(r"\| ([a-z0-9-]+) \| ([a-z0-9, -]+) \|", instead))
    assert fallback_table == {kind: ", ".join(fallbacks(kind)) for kind in WITH_FALLBACK}


def test_the_conformance_statement_has_every_kind_with_its_sop_class() -> None:
    section = CONFORMANCE.split("## Results", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| [^|]+ \| ([a-z0-9, -]+) \| ([^|]+) \|", section, re.MULTILINE)
    table = {
        kind: iod
        for names, iods in rows[2:]
        for kind, iod in zip(names.split(", "), iods.split(", ") * len(names.split(", ")), strict=False)
    }
    names = {name: kind.sop_class_uid.name.removesuffix(" Storage") for name, kind in kinds().items()}
    assert table == names


def test_a_viewer_is_one_profile_that_registers_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A toy: no table is edited."""
    monkeypatch.setattr(table, "_PROFILES", dict(profiles()))
    table.register("toy", Profile(("statement", "capture"), "For this test."))
    settings = Settings(peers={"reader": peer("toy")})
    require_known(settings)
    assert result_options(settings).kinds == {"statement", "statement-2d", "report-text", "capture"}
    assert plan_of(settings)("reader", "statement") == JobState.PENDING


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (peer("osirix"), "peers.pacs.viewer: there is no profile osirix, only basic, ohif, stone, weasis"),
        (peer("ohiv"), "no profile ohiv, only basic, ohif, stone, weasis: did you mean ohif?"),
        (peer("ohif", "captur"), "there is no kind captur, only segmentation, regions"),
        (peer("ohif", "film"), "peers.pacs.also: there is no kind film, only segmentation, regions"),
    ],
)
def test_what_no_file_registers_is_a_wrong_setting(wrong: Peer, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        require_known(Settings(peers={"pacs": wrong}))
    (line,) = [line for line in check(Settings(peers={"pacs": wrong})) if line[1] == "peers"]
    assert line[0] is False
