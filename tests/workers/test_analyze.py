"""The task `readfirst.analyze` on a real ledger: what it writes down, and what it leaves alone."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pynetdicom import Association
from sqlalchemy import select
from structlog.testing import capture_logs

from models import packages
from models.prediction import Model, Prediction
from node.admin.study_view import study_view
from node.dicom.headers import read_header
from node.entities import InstanceKey, StoredInstance, StudyState
from node.errors import OutOfResources
from node.ledger import studies, workers
from node.ledger.engine import Ledger
from node.ledger.jobs import LEASE
from node.ledger.tables import EVENT, FINDING, JOB, PICTURE, RESULT
from node.ledger.tables import STUDY as STUDIES
from node.receiving import instances
from node.sending import deliveries
from node.sending.deliveries import DELIVERY
from node.settings import Peer, Policy, PolicyRule, Settings, Worklist
from node.worklist.items.json_model import text
from node.worklist.items.priority import Priority
from node.worklist.items.rows import of_study
from node.worklist.reading import work_items
from node.worklist.triage.decisions import stuck
from tests.node.conftest import House
from tests.workers import results_phantoms
from tests.workers.study_phantoms import (
    NODULE,
    NOTHING,
    PNEUMOTHORAX,
    SERIES,
    STUDY,
    TinyModel,
    chest_pixels,
    radiograph,
)
from workers import lease, pipeline
from workers.analyze import Analyzer
from workers.model_set import ModelSet

PEERS = {
    "pacs": Peer(ae_title="PACS", host="127.0.0.1", receive=("results",)),
    "folder": Peer(folder=Path("/nowhere"), receive=("results",)),
    "modality": Peer(ae_title="MODALITY", host="127.0.0.1", send=("images",)),
}
Analyze = Callable[..., Analyzer]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"peers": PEERS})


@pytest.fixture
def analyzer(settings: Settings, ledger: Ledger) -> Iterator[Analyze]:
    """Make a worker with these models (none: those that the settings name) on the very ledger of the test."""
    with ExitStack() as stack:

        def analyzer(*models: Model, settings: Settings = settings) -> Analyzer:
            made = Analyzer(with_packages(settings, *(model.card.name for model in models)) if models else settings)
            made.models.loaded |= {model.card.name: model for model in models}
            stack.callback(lambda: close(made))
            return made

        yield analyzer


def close(analyzer: Analyzer) -> None:
    if "decoder" in vars(analyzer):
        analyzer.decoder.__exit__(None, None, None)
    if "ledger" in vars(analyzer):
        analyzer.ledger.close()


def receive(ledger: Ledger, data: Path, number: int = 1, **attributes: Any) -> Path:
    """A radiograph comes: its file, and its row in the ledger."""
    folder = data / "instances" / STUDY / SERIES
    folder.mkdir(parents=True, exist_ok=True)
    path = radiograph(folder, number, **attributes)
    key = InstanceKey(STUDY, SERIES, path.stem, ComputedRadiographyImageStorage)
    stored = StoredInstance(key, ExplicitVRLittleEndian, str(path.relative_to(data)), f"{number:064}", 1)
    with ledger.write() as connection:
        instances.record_instance(connection, stored, "MODALITY", time.time())
    return path


def complete(ledger: Ledger, header: Dataset) -> None:
    """What the node's round does: the study is queued, and stands in the worklist."""
    with ledger.write() as connection:
        (row,) = studies.receiving(connection)
        assert studies.complete(connection, row, "quiet", time.time())
        work_items.ensure_item(connection, header, time.time())
        work_items.set_ready(connection, STUDY, time.time())


@pytest.fixture
def queued(ledger: Ledger, tmp_path: Path) -> Ledger:
    """A ledger whose one study, a radiograph, waits for its analysis."""
    complete(ledger, read_header(receive(ledger, tmp_path)))
    return ledger


KINDS = ("regions", "segmentation", "statement")
STANDBY = ("capture", "regions-2d", "report-text", "statement-2d")
STATES = {"pending": KINDS, "standby": STANDBY}


def study(ledger: Ledger) -> tuple[str, str]:
    """(state, reason)."""
    with ledger.read() as connection:
        row = connection.execute(select(STUDIES)).one()
    return row.state, row.reason


def item(ledger: Ledger) -> work_items.Row:
    with ledger.read() as connection:
        (row,) = work_items.listing(connection)
    return row


def events(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return list(connection.execute(select(EVENT.c.kind).order_by(EVENT.c.id)).scalars())


def delivery_states(ledger: Ledger) -> list[tuple[str, str, str]]:
    query = (
        select(DELIVERY.c.peer, RESULT.c.kind, DELIVERY.c.state)
        .join(RESULT, RESULT.c.sop_instance_uid == DELIVERY.c.sop_instance_uid)
        .order_by(DELIVERY.c.id)
    )
    with ledger.read() as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def found(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return list(connection.execute(select(FINDING.c.label).where(FINDING.c.present)).scalars())


def assert_nothing_made(ledger: Ledger, data: Path) -> None:
    assert (delivery_states(ledger), found(ledger)) == ([], [])
    with ledger.read() as connection:
        assert connection.execute(select(RESULT)).all() == []
    assert not (data / "results").exists()


def documents(ledger: Ledger, data: Path, generation: int) -> dict[str, Dataset]:
    """The results of a generation, by kind."""
    with ledger.read() as connection:
        rows = connection.execute(select(RESULT.c.kind, RESULT.c.path).where(RESULT.c.generation == generation)).all()
    return {kind: dcmread(data / path) for kind, path in rows}


def test_an_analysed_study_fills_the_outbox_of_each_receiver(analyzer: Analyze, queued: Ledger, tmp_path: Path) -> None:
    with capture_logs() as logs:
        analyzer(TinyModel()).run(STUDY, 1)
    assert study(queued) == (StudyState.ANALYSED, "")
    assert found(queued) == ["Pneumothorax"]
    assert sorted(delivery_states(queued)) == [
        *(("folder", kind, "pending") for kind in KINDS),
        *sorted((("pacs", kind, state) for state, kinds in STATES.items() for kind in kinds)),
    ]
    with queued.read() as connection:
        assert sorted(deliveries.due(connection, time.time(), time.time())) == [(STUDY, "folder"), (STUDY, "pacs")]
        paths = connection.execute(select(RESULT.c.path)).scalars().all()
    assert all((tmp_path / path).is_file() and not Path(path).is_absolute() for path in paths)
    assert [(log["event"], log["objects"]) for log in logs] == [("study analysed", 7)]


def test_pictures_are_kept_for_the_page(analyzer: Analyze, queued: Ledger, tmp_path: Path) -> None:
    analyzer(TinyModel()).run(STUDY, 1)
    with queued.read() as connection:
        rows = connection.execute(select(PICTURE).order_by(PICTURE.c.id)).mappings().all()
    assert [(row["generation"], row["label"]) for row in rows] == [(1, ""), (1, "Pneumothorax")]
    for row in rows:
        assert Path(row["path"]).parts[:2] == ("pictures", STUDY)
        assert (tmp_path / row["path"]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("probabilities", "priority", "reason"),
    [
        (PNEUMOTHORAX, Priority.HIGH, "HIGH: Pneumothorax (probability 90 %, threshold 30 %), ACR category 1"),
        (NODULE, Priority.MEDIUM, "stays MEDIUM: Nodule (probability 70 %, threshold 40 %), ACR category 2"),
        (NOTHING, Priority.MEDIUM, "stays MEDIUM: no finding reaches its threshold"),
    ],
    ids=["pneumothorax", "nodule", "nothing"],
)
def test_triage_speaks_to_the_work_item_and_never_lowers_it(
    analyzer: Analyze, queued: Ledger, probabilities: tuple[float, ...], priority: Priority, reason: str
) -> None:
    assert (item(queued).priority, item(queued).reason) == (Priority.MEDIUM, "before analysis")
    analyzer(TinyModel(probabilities)).run(STUDY, 1)
    assert (item(queued).priority, item(queued).reason) == (priority, reason)


def test_segmented_organs_request_no_priority_whatever_the_policy(
    analyzer: Analyze, queued: Ledger, settings: Settings
) -> None:
    model = TinyModel(card=results_phantoms.card().model_copy(update={"category": "structure"}))
    policy = Policy(rules=(PolicyRule(finding="*", priority="HIGH"),))
    analyzer(model, settings=settings.model_copy(update={"worklist": Worklist(policy=policy)})).run(STUDY, 1)
    assert study(queued) == (StudyState.ANALYSED, pipeline.NO_FINDINGS)
    assert (item(queued).priority, item(queued).reason) == (Priority.MEDIUM, pipeline.NO_FINDINGS)
    assert found(queued) == []
    assert sorted(delivery_states(queued)) == [
        ("folder", "segmentation", "pending"), ("pacs", "capture", "standby"), ("pacs", "segmentation", "pending")
    ]  # fmt: skip


def unproven(**changes: object) -> TinyModel:
    """A model whose card's Pneumothorax has other figures; without any, none at all."""
    given = results_phantoms.card()
    first, *others = given.labels
    assert first.triage is not None
    point = first.triage.model_copy(update=changes) if changes else None
    labels = (first.model_copy(update={"triage": point}), *others)
    return TinyModel(card=given.model_copy(update={"labels": labels}))


SHOWN = "stays MEDIUM: Pneumothorax (probability 90 %, threshold 30 %, does not change the order), ACR category 3"


@pytest.mark.parametrize(
    "changes",
    [{}, {"auc_interval": (0.69, 0.86), "raises_priority": False}, {"threshold": 0.95}],
    ids=["no figures", "figures too weak", "below the operating point for triage"],
)
def test_a_finding_that_its_card_does_not_prove_is_shown_and_keeps_the_order(
    analyzer: Analyze, queued: Ledger, tmp_path: Path, changes: dict[str, object]
) -> None:
    analyzer(unproven(**changes)).run(STUDY, 1)
    assert (item(queued).priority, item(queued).reason) == (Priority.MEDIUM, SHOWN)
    assert found(queued) == ["Pneumothorax"]
    assert delivery_states(queued)  # its results are sent all the same
    with queued.read() as connection:
        view = study_view(connection, STUDY).as_json()
        assert stuck(connection, Policy(stuck_studies=1)) == frozenset()
    assert view is not None
    assert [one["raises_priority"] for one in view["findings"] if one["present"]] == [False]
    results = [dcmread(path) for path in (tmp_path / "results").rglob("*.dcm")]
    assert any("By its card it does not change the reading order." in one.to_json() for one in results)


def test_the_site_may_let_an_unproven_finding_raise(analyzer: Analyze, queued: Ledger, settings: Settings) -> None:
    allowed = settings.model_copy(update={"worklist": Worklist(policy=Policy(unproven_may_raise=("Pneumothorax",)))})
    analyzer(unproven(), settings=allowed).run(STUDY, 1)
    assert (item(queued).priority, item(queued).reason[:19]) == (Priority.HIGH, "HIGH: Pneumothorax ")


def test_in_shadow_mode_all_is_computed_and_recorded_and_nothing_is_sent(
    analyzer: Analyze, queued: Ledger, settings: Settings
) -> None:
    model = TinyModel()
    shadow = settings.model_copy(update={"worklist": Worklist(policy=Policy(shadow=(model.card.name,)))})
    analyzer(model, settings=shadow).run(STUDY, 1)
    assert (study(queued)[0], found(queued), delivery_states(queued)) == (
        StudyState.ANALYSED,
        ["Pneumothorax"],
        [],
    )
    with queued.read() as connection:
        assert len(connection.execute(select(RESULT)).all()) == 7
        story = study_view(connection, STUDY).as_json()
    assert story is not None
    assert [one["outcome"] for one in story["decisions"]] == ["shadow"]
    assert (item(queued).priority, item(queued).source) == (Priority.MEDIUM, "default")
    assert item(queued).reason == "shadow mode"
    assert story["decisions"][0]["reason"].startswith("shadow mode, it would be HIGH: Pneumothorax")


def test_a_study_that_no_model_reads_says_why_everywhere(analyzer: Analyze, ledger: Ledger, tmp_path: Path) -> None:
    complete(ledger, read_header(receive(ledger, tmp_path, Modality="MG")))
    with capture_logs() as logs:
        analyzer(TinyModel()).run(STUDY, 1)
    reason = "not analysed, because: modality MG, the model reads CR"
    assert study(ledger) == (StudyState.NOT_ANALYSED, reason)
    assert (item(ledger).priority, item(ledger).reason) == (Priority.MEDIUM, reason)
    assert [(log["event"], log["reason"]) for log in logs] == [("study not analysed", reason)]
    assert "left out" in events(ledger)
    assert_nothing_made(ledger, tmp_path)


def with_packages(settings: Settings, *names: str) -> Settings:
    return settings.model_copy(update={"models": settings.models.model_copy(update={"packages": names})})


def assert_failed(ledger: Ledger, data: Path, logs: list[dict[str, object]], sentence: str) -> None:
    """It says so in the state, in the worklist and in the log, and nothing was made."""
    state, reason = study(ledger)
    assert state == StudyState.FAILED
    assert reason.startswith("the analysis failed: ")
    assert reason.endswith(sentence)
    assert (item(ledger).priority, item(ledger).reason) == (Priority.MEDIUM, reason)
    assert [log["reason"] for log in logs if log["event"] == "study failed"] == [reason]
    assert_nothing_made(ledger, data)


def assert_waits(ledger: Ledger, data: Path, sentence: str) -> None:
    """It says why in the state, in its story and in the worklist, once; no attempt is counted, and nothing was made."""
    reason = f"waits, because the model package {sentence}"
    assert study(ledger) == (StudyState.QUEUED, reason)
    assert (item(ledger).priority, item(ledger).reason) == (Priority.MEDIUM, reason)
    assert (events(ledger).count("waits"), events(ledger).count("analysing")) == (1, 0)
    with ledger.read() as connection:
        (job,) = connection.execute(select(JOB).where(JOB.c.kind == "analysis")).all()
    assert (job.attempts, job.lease_until, job.last_error) == (0, None, reason)
    assert_nothing_made(ledger, data)


def test_a_study_waits_for_a_package_that_is_missing(
    analyzer: Analyze, queued: Ledger, settings: Settings, tmp_path: Path
) -> None:
    worker = analyzer(settings=with_packages(settings, "nope"))
    for _ in range(2 * studies.MOST_ATTEMPTS):
        worker.run(STUDY, 1)
    names = ", ".join(folder.name for folder in packages.available())
    sentence = f"There is no model package named 'nope'; there are: {names}."
    assert_waits(queued, tmp_path, f"nope cannot be used: {sentence}")


@pytest.fixture
def chest(ledger: Ledger, tmp_path: Path) -> Ledger:
    """A real radiograph, which the shipped package was made for, waits for its analysis."""
    complete(ledger, read_header(receive(ledger, tmp_path, pixels=chest_pixels())))
    return ledger


def test_a_study_waits_for_a_package_whose_weights_are_not_its_own(
    analyzer: Analyze, chest: Ledger, settings: Settings, tmp_path: Path
) -> None:
    package = Path(shutil.copytree(packages.ZOO / "chest-xray", tmp_path / "models" / "chest-xray"))
    weights = (package / "weights.safetensors").read_bytes()
    (package / "weights.safetensors").write_bytes(b"torn")
    worker = analyzer(settings=with_packages(settings, "chest-ct", "chest-xray"))
    worker.run(STUDY, 1)
    with pytest.raises(packages.PackageError, match="not those that were measured") as said:
        packages.verify(package)
    assert_waits(chest, tmp_path, f"chest-xray cannot be used: {said.value}")
    (package / "weights.safetensors").write_bytes(weights)
    worker.models.faults["chest-xray"] = replace(worker.models.faults["chest-xray"], again_at=0.0)
    worker.run(STUDY, 1)
    assert study(chest)[0] == StudyState.ANALYSED


def test_a_study_that_no_package_was_made_for_does_not_wait(
    analyzer: Analyze, queued: Ledger, settings: Settings, tmp_path: Path
) -> None:
    package = Path(shutil.copytree(packages.ZOO / "chest-xray", tmp_path / "models" / "chest-xray"))
    (package / "weights.safetensors").unlink()
    analyzer(settings=with_packages(settings, "chest-xray", "chest-ct")).run(STUDY, 1)
    assert study(queued)[0] == StudyState.NOT_ANALYSED
    assert study(queued)[1].startswith("not analysed, because: only 80 x 64 pixels")


def test_a_package_that_was_mended_is_used_without_a_restart(
    analyzer: Analyze, queued: Ledger, settings: Settings, tmp_path: Path
) -> None:
    package = Path(shutil.copytree(packages.ZOO / "chest-ct", tmp_path / "models" / "chest-ct"))
    card = (package / "card.toml").read_text()
    (package / "card.toml").write_text("name = ")
    worker = analyzer(settings=with_packages(settings, "chest-ct"))
    worker.run(STUDY, 1)
    assert study(queued)[0] == StudyState.QUEUED
    (package / "card.toml").write_text(card)
    worker.run(STUDY, 1)
    assert study(queued)[0] == StudyState.QUEUED  # not before its pause is over
    worker.models.faults["chest-ct"] = replace(worker.models.faults["chest-ct"], again_at=0.0)
    worker.run(STUDY, 1)
    assert study(queued) == (StudyState.NOT_ANALYSED, "not analysed, because: modality CR, the model reads CT")


def test_a_package_whose_card_cannot_be_read_holds_up_what_no_other_reads(
    analyzer: Analyze, queued: Ledger, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "models" / "broken").mkdir(parents=True)
    (tmp_path / "models" / "broken" / "card.toml").write_text("name = ")
    worker = analyzer(settings=with_packages(settings, "broken", "chest-ct"))
    worker.run(STUDY, 1)
    assert study(queued)[0] == StudyState.QUEUED
    worker = analyzer(TinyModel())
    worker.models = ModelSet(with_packages(settings, "broken", TinyModel().card.name))
    worker.models.loaded[TinyModel().card.name] = TinyModel()
    worker.run(STUDY, 1)
    assert study(queued)[0] == StudyState.ANALYSED


def test_a_study_that_this_worker_cannot_analyse_is_soon_for_another(
    analyzer: Analyze, queued: Ledger, settings: Settings, tmp_path: Path
) -> None:
    worker = analyzer(settings=with_packages(settings, "nope"))
    with queued.write() as connection:
        workers.beat(connection, "other:1", time.time(), ready=True, reason="")
    worker.run(STUDY, 1)
    with queued.read() as connection:
        (due_at,) = connection.execute(select(JOB.c.due_at).where(JOB.c.kind == "analysis")).scalars()
    assert due_at <= time.time() + 2


def raising(error: Exception) -> TinyModel:
    def fail() -> None:
        raise error

    return TinyModel(before=fail)


def test_an_analysis_that_takes_too_long_names_the_limit(analyzer: Analyze, queued: Ledger, tmp_path: Path) -> None:
    with capture_logs() as logs:
        analyzer(raising(SoftTimeLimitExceeded())).run(STUDY, 1)
    assert_failed(queued, tmp_path, logs, "it took longer than models.time_limit = 600 s")


@pytest.mark.parametrize(
    "trouble", [OSError(errno.ENOSPC, "full"), OSError(errno.EROFS, "read-only"), OutOfResources("locked")]
)
def test_trouble_of_the_disk_or_the_ledger_postpones_the_analysis(
    analyzer: Analyze, queued: Ledger, tmp_path: Path, trouble: Exception
) -> None:
    for _ in range(studies.MOST_ATTEMPTS + 1):
        analyzer(raising(trouble)).run(STUDY, 1)
        assert study(queued) == (StudyState.QUEUED, "")
        assert_nothing_made(queued, tmp_path)
    analyzer(TinyModel()).run(STUDY, 1)
    assert study(queued)[0] == StudyState.ANALYSED


def test_an_analysis_is_written_down_when_the_ledger_takes_it_again(
    settings: Settings, analyzer: Analyze, queued: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_AGAIN", 0.01)
    locked, refused = queued.write(), list[str]()
    worker = analyzer(TinyModel(before=locked.__enter__))
    worker.ledger = Ledger(f"{queued.url}?timeout=0.01")

    def said(_logger: object, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if line["event"] == "the result cannot be recorded yet":
            refused.append(line["reason"])
            if len(refused) == 3:
                locked.__exit__(None, None, None)
        raise structlog.DropEvent

    with capture_logs(processors=[said]):
        worker.run(STUDY, 1)
    assert len(refused) == 3 and "locked" in refused[0]
    assert (study(queued)[0], events(queued).count("analysed")) == (StudyState.ANALYSED, 1)
    assert delivery_states(queued)


@dataclass(frozen=True)
class Picky(TinyModel):
    """A model that fails with every study, but not with the even ramp that it is tried with."""

    def predict(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None = None) -> Prediction:
        if not (np.diff(image.ravel()) >= 0).all():
            raise ZeroDivisionError("Tést^Ä")
        return super().predict(image, spacing)


def test_a_study_with_which_a_package_fails_three_times_has_failed_and_says_no_value(
    analyzer: Analyze, queued: Ledger, tmp_path: Path
) -> None:
    worker = analyzer(Picky())
    with capture_logs() as logs:
        for _ in range(studies.MOST_ATTEMPTS):
            assert study(queued)[0] == StudyState.QUEUED
            worker.run(STUDY, 1)
    assert_failed(queued, tmp_path, logs, "ZeroDivisionError in our software; see the worker's log")
    assert [log["event"] for log in logs if log.get("exc_info")] == ["analysis failed"] * 3
    assert not worker.models.faults  # it may be the study's fault


def test_a_package_that_fails_with_our_own_input_too_is_set_aside_and_the_study_waits(
    analyzer: Analyze, queued: Ledger, tmp_path: Path
) -> None:
    worker = analyzer(raising(ZeroDivisionError("gone")))
    for _ in range(2 * studies.MOST_ATTEMPTS):
        worker.run(STUDY, 1)
    name = TinyModel().card.name
    assert_waits(queued, tmp_path, f"{name} cannot be used: It fails with every study: ZeroDivisionError: gone")


def test_an_alert_goes_out_before_the_results_are_made_and_where_none_can_be(
    analyzer: Analyze, queued: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = []

    def fail(*_: object) -> None:
        seen.append(item(queued).priority)
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "make_results", fail)
    analyzer(TinyModel()).run(STUDY, 1)
    assert seen == [Priority.HIGH]
    assert (item(queued).priority, item(queued).reason[:19]) == (Priority.HIGH, "HIGH: Pneumothorax ")
    assert study(queued)[0] == StudyState.FAILED
    assert found(queued) == ["Pneumothorax"]


def test_images_that_come_meanwhile_overtake_the_analysis(analyzer: Analyze, queued: Ledger, tmp_path: Path) -> None:
    before = item(queued)
    analyzer(TinyModel(before=lambda: receive(queued, tmp_path, 2))).run(STUDY, 1)
    assert study(queued) == (StudyState.RECEIVING, "")
    assert (delivery_states(queued), found(queued)) == ([], [])
    assert item(queued) == before
    assert events(queued)[-2:] == ["analysing", "late images"]


@pytest.mark.parametrize(
    "error", [SoftTimeLimitExceeded(), ZeroDivisionError()], ids=lambda error: type(error).__name__
)
def test_an_overtaken_failure_is_nobodys_failure(
    analyzer: Analyze, queued: Ledger, tmp_path: Path, error: Exception
) -> None:
    def meanwhile() -> None:
        receive(queued, tmp_path, 2)
        raise error

    before = item(queued)
    analyzer(TinyModel(before=meanwhile)).run(STUDY, 1)
    assert (study(queued), item(queued)) == ((StudyState.RECEIVING, ""), before)


def test_a_second_message_does_nothing(analyzer: Analyze, queued: Ledger) -> None:
    worker = analyzer(TinyModel())
    worker.run(STUDY, 1)
    before = events(queued), item(queued), delivery_states(queued)
    with capture_logs() as logs:
        worker.run(STUDY, 1)
        worker.run(STUDY, 2)
        worker.run("1.2.99", 1)
    assert (events(queued), item(queued), delivery_states(queued)) == before
    assert logs == []


def test_two_workers_told_at_once_analyse_once(analyzer: Analyze, queued: Ledger) -> None:
    second, calls = analyzer(TinyModel()), []

    def meanwhile() -> None:
        calls.append(1)
        second.run(STUDY, 1)

    analyzer(TinyModel(before=meanwhile)).run(STUDY, 1)
    assert (len(calls), study(queued)[0]) == (1, StudyState.ANALYSED)
    assert events(queued).count("analysing") == 1


def lease_until(ledger: Ledger) -> float:
    with ledger.read() as connection:
        return float(connection.execute(select(JOB.c.lease_until).where(JOB.c.kind == "analysis")).scalar() or 0.0)


def test_the_claim_is_for_20_seconds(analyzer: Analyze, queued: Ledger) -> None:
    seen: list[float] = []
    before = time.time()
    analyzer(TinyModel(before=lambda: seen.append(lease_until(queued)))).run(STUDY, 1)
    assert before + 20 <= seen[0] <= time.time() + 20
    assert lease_until(queued) == 0.0


def test_the_claim_is_renewed_while_it_predicts(
    analyzer: Analyze, queued: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_EXTEND_AGAIN", 0.01)
    seen: list[float] = []

    def wait_for_renewal() -> None:
        deadline = time.monotonic() + 10
        while len(set(seen)) < 3 and time.monotonic() < deadline:
            seen.append(lease_until(queued))

    before = time.time()
    analyzer(TinyModel(before=wait_for_renewal)).run(STUDY, 1)
    assert len(set(seen)) >= 3
    assert LEASE == 20.0
    assert before + LEASE <= seen[0] <= seen[-1] <= time.time() + LEASE
    assert lease_until(queued) == 0.0


def test_a_late_image_makes_results_that_name_their_predecessors(
    analyzer: Analyze, house: House, associate: Callable[..., Association], ledger: Ledger, tmp_path: Path
) -> None:
    """Over a real association: the SCP reopens the study and its work item, the next generation speaks."""
    (tmp_path / "sent").mkdir()
    association = associate(house, (ComputedRadiographyImageStorage, ExplicitVRLittleEndian))
    first, second = (radiograph(tmp_path / "sent", number) for number in (1, 2))
    worker = analyzer(TinyModel())

    assert association.send_c_store(first).Status == 0x0000
    complete(ledger, read_header(first))
    assert item(ledger).ready
    worker.run(STUDY, 1)
    assert study(ledger)[0] == StudyState.ANALYSED
    earlier = documents(ledger, tmp_path, 1)
    with ledger.write() as connection:
        for row in deliveries.claim(connection, STUDY, "folder", time.time(), LEASE):
            deliveries.record_sent(connection, row, "folder", "", time.time())

    assert association.send_c_store(second).Status == 0x0000
    assert study(ledger)[0] == StudyState.RECEIVING
    with ledger.read() as connection:
        (waiting,) = of_study(connection, STUDY)
    assert text(waiting.attributes, "InputReadinessState") == "INCOMPLETE"
    assert item(ledger).priority == Priority.HIGH  # what was found stays found
    complete(ledger, read_header(second))
    assert item(ledger).ready
    worker.run(STUDY, 2)

    assert study(ledger)[0] == StudyState.ANALYSED
    newer = documents(ledger, tmp_path, 2)
    (named,) = newer["statement"].PredecessorDocumentsSequence
    assert named.StudyInstanceUID == STUDY
    (series,) = named.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == earlier["statement"].SeriesInstanceUID
    (reference,) = series.ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == earlier["statement"].SOPInstanceUID
    assert reference.ReferencedSOPClassUID == earlier["statement"].SOPClassUID
    for kind in ("statement-2d", "report-text"):  # they stood by and went nowhere: nobody has what they would replace
        assert "PredecessorDocumentsSequence" not in newer[kind]
    for kind in ("regions", "regions-2d"):  # the first image's are what they were, the second's replace none of them
        with ledger.read() as connection:
            query = select(RESULT.c.sop_instance_uid).where(RESULT.c.generation == 2, RESULT.c.kind == kind)
            made = set(connection.execute(query).scalars())
        assert len(made) == 2
        assert earlier[kind].SOPInstanceUID in made
        assert "PredecessorDocumentsSequence" not in newer[kind]
    assert "PredecessorDocumentsSequence" not in earlier["statement"]
    kinds = {
        state: sorted({kind for _, kind, one in delivery_states(ledger) if one == state})
        for state in ("pending", "superseded")
    }
    assert kinds["pending"] == ["regions", "segmentation", "statement"]
    # The first image's Segmentation, regions and capture are still true.
    assert kinds["superseded"] == ["report-text", "statement", "statement-2d"]


def test_warming_up_opens_everything(analyzer: Analyze, queued: Ledger) -> None:
    with capture_logs() as logs:
        worker = analyzer(TinyModel())
        worker.warm()
        worker.close()
    assert [(log["event"], log["models"]) for log in logs] == [("worker ready", ["test-image"])]
    assert logs[0]["decoder"] == worker.decoder.pid is not None
