"""Fallbacks with real peers: DCMTK's storescp and pynetdicom, each set to the SOP classes that it takes."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
from ports import free_port
from pydicom import Dataset, dcmread
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt
from sqlalchemy import select
from typer.testing import CliRunner

from node.admin.retry import retry
from node.admin.study_view import study_view
from node.cli import app
from node.dicom.headers import read_header
from node.ledger import jobs
from node.ledger.engine import Ledger
from node.ledger.tables import EVENT, RESULT
from node.sending import deliveries
from node.sending.deliveries import DELIVERY
from node.settings import Peer, Settings
from tests.workers.study_phantoms import STUDY, TinyModel
from tests.workers.test_analyze import close, complete, receive, with_packages
from workers.analyze import Analyzer
from workers.delivery.deliver import Deliverer
from workers.gate import rules
from workers.gate.rules import Requirement

STORESCP = Path("/usr/bin/storescp")  # DCMTK's; pynetdicom has a program of the same name
ALL = (
    SegmentationStorage, Comprehensive3DSRStorage, ComprehensiveSRStorage, BasicTextSRStorage,
    SecondaryCaptureImageStorage,
)  # fmt: skip
refusal_is_meant = pytest.mark.filterwarnings(  # pynetdicom does not close the socket of a refused connection
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


@dataclass
class Pacs:
    """A storage SCP that takes these SOP classes."""

    takes: tuple[str, ...]
    answer: Callable[[evt.Event], int] = lambda _event: 0x0000
    came: list[str] = field(default_factory=list)  # SOP Class UIDs of what it stored

    def on_store(self, event: evt.Event) -> int:
        status = self.answer(event)
        if status == 0x0000:
            self.came.append(str(event.request.AffectedSOPClassUID))
        return status


@pytest.fixture
def start() -> Iterator[Callable[[Pacs], Peer]]:
    with ExitStack() as stack:

        def start(pacs: Pacs) -> Peer:
            ae = AE("PACS")
            for uid in pacs.takes:
                ae.add_supported_context(uid, ExplicitVRLittleEndian)
            server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, pacs.on_store)])
            stack.callback(ae.shutdown)
            port = server.server_address[1]
            return Peer(ae_title="PACS", host="127.0.0.1", port=port, receive=("results",))

        yield start


@dataclass
class House:
    """A node's ledger with one analysed radiograph, and the worker that delivers."""

    ledger: Ledger
    data: Path
    deliverer: Deliverer
    analyzer: Analyzer

    def analyse_again(self, model: TinyModel | None = None) -> None:
        """As the worker does when it is notified of the study."""
        if model:
            self.analyzer.models.loaded[model.card.name] = model
        self.analyzer.run(STUDY, 1)

    def deliver(self, *, at_most: int = 10) -> None:
        """As the node's rounds do: while something is due, ring; what failed waits longer than this test lasts."""
        for _ in range(at_most):
            with self.ledger.read() as connection:
                due = deliveries.due(connection, time.time(), time.time())
            if not due:
                return
            for uid, peer in due:
                self.deliverer.run(uid, peer)
        raise AssertionError("it never comes to rest")

    def states(self) -> dict[str, str]:
        """Kind to state."""
        query = select(RESULT.c.kind, DELIVERY.c.state).order_by(DELIVERY.c.id)
        query = query.join(DELIVERY, RESULT.c.sop_instance_uid == DELIVERY.c.sop_instance_uid)
        with self.ledger.read() as connection:
            return {row.kind: row.state for row in connection.execute(query)}

    def events(self, kind: str) -> list[str]:
        with self.ledger.read() as connection:
            query = select(EVENT.c.detail).where(EVENT.c.kind == kind).order_by(EVENT.c.id)
            return list(connection.execute(query).scalars())


class Analysed(Protocol):
    """Of a study of so many radiographs."""

    def __call__(self, peer: Peer, images: int = 1) -> House: ...


Start = Callable[[Pacs], Peer]


@pytest.fixture
def analysed(settings: Settings, ledger: Ledger, tmp_path: Path) -> Iterator[Analysed]:
    """Analyse a radiograph with a finding for this peer, by the real worker; nothing is delivered yet."""
    with ExitStack() as stack:

        def analysed(peer: Peer, images: int = 1) -> House:
            with_peer = settings.model_copy(update={"peers": {"pacs": peer}})
            came = [receive(ledger, tmp_path, number) for number in range(1, images + 1)]
            complete(ledger, read_header(came[0]))
            model = TinyModel()
            analyzer = Analyzer(with_packages(with_peer, model.card.name))
            analyzer.models.loaded[model.card.name] = model
            stack.callback(lambda: close(analyzer))
            analyzer.run(STUDY, 1)
            deliverer = Deliverer(with_peer)
            stack.callback(deliverer.ledger.close)
            return House(ledger, tmp_path, deliverer, analyzer)

        yield analysed


@pytest.mark.parametrize(
    ("takes", "came"),
    [
        (ALL, [SegmentationStorage, Comprehensive3DSRStorage, Comprehensive3DSRStorage]),
        (
            (Comprehensive3DSRStorage, SecondaryCaptureImageStorage),
            [Comprehensive3DSRStorage, Comprehensive3DSRStorage, SecondaryCaptureImageStorage],
        ),
        (
            (SegmentationStorage, ComprehensiveSRStorage),
            [SegmentationStorage, ComprehensiveSRStorage, ComprehensiveSRStorage],
        ),
        (
            (SegmentationStorage, BasicTextSRStorage, SecondaryCaptureImageStorage),
            [SegmentationStorage, BasicTextSRStorage, SecondaryCaptureImageStorage],
        ),
        ((SecondaryCaptureImageStorage,), [SecondaryCaptureImageStorage]),
    ],
    ids=["everything", "no SEG", "no 3D SR", "text alone", "captures alone"],
)
@refusal_is_meant
def test_a_peer_gets_the_best_that_it_takes(
    analysed: Analysed, start: Start, takes: tuple[str, ...], came: list[str]
) -> None:
    pacs = Pacs(takes)
    house = analysed(start(pacs))
    house.deliver()
    assert sorted(pacs.came) == sorted(came)
    states = house.states()
    assert "pending" not in states.values()
    assert [state for kind, state in states.items() if kind in ("segmentation", "regions", "statement")] == [
        "delivered" if uid in takes else "refused"
        for uid in (SegmentationStorage, Comprehensive3DSRStorage, Comprehensive3DSRStorage)
    ]
    assert len([state for state in states.values() if state == "delivered"]) == len(came)


@refusal_is_meant
def test_what_has_no_rung_left_waits_and_goes_when_the_peer_has_learnt(analysed: Analysed, start: Start) -> None:
    pacs = Pacs((Comprehensive3DSRStorage,))
    house = analysed(start(pacs))
    house.deliver()
    states = house.states()
    assert (states["segmentation"], states["capture"]) == ("refused", "pending")
    assert (states["regions"], states["statement"]) == ("delivered", "delivered")
    learnt = Pacs(ALL)
    house.deliverer.settings.peers["pacs"] = start(learnt)
    with house.ledger.write() as connection:
        assert jobs.retry(connection, STUDY, time.time()) == 2
    house.deliver()
    assert sorted(learnt.came) == sorted([SegmentationStorage, SecondaryCaptureImageStorage])
    assert house.states()["segmentation"] == "delivered"


def test_a_class_that_is_refused_by_its_status_is_refused_too(analysed: Analysed, start: Start) -> None:
    pacs = Pacs(ALL)
    pacs.answer = lambda event: 0x0122 if event.request.AffectedSOPClassUID == SegmentationStorage else 0x0000
    house = analysed(start(pacs))
    house.deliver()
    assert (house.states()["segmentation"], house.states()["capture"]) == ("refused", "delivered")
    assert house.events("fallback") == ["capture goes to pacs instead"]
    (refused,) = house.events("refused")
    assert refused == "segmentation by pacs: the peer refused it with status 0x0122"


def test_a_failure_that_is_not_about_the_class_leads_nowhere_down(analysed: Analysed, start: Start) -> None:
    pacs = Pacs(ALL)
    pacs.answer = lambda event: 0xA700 if event.request.AffectedSOPClassUID == SegmentationStorage else 0x0000
    house = analysed(start(pacs))
    house.deliver()
    assert (house.states()["segmentation"], house.states()["capture"]) == ("pending", "standby")


def test_without_fallback_nothing_stands_by(
    analysed: Analysed, start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(settings), "results", settings.results.model_copy(update={"fallback": False}))
    house = analysed(start(Pacs(ALL)))
    assert house.states() == {"segmentation": "pending", "regions": "pending", "statement": "pending"}


def test_for_what_our_own_checks_keep_back_the_next_rung_is_sent(
    analysed: Analysed, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Requirement(SegmentationStorage, lambda _dataset: False, "A rule that no Segmentation keeps.")
    monkeypatch.setattr(rules, "RULES", (*rules.RULES, broken))
    pacs = Pacs(ALL)
    house = analysed(start(pacs))
    house.deliver()
    assert SegmentationStorage not in pacs.came
    assert (house.states()["segmentation"], house.states()["capture"]) == ("quarantined", "delivered")
    (told,) = house.events("quarantined")
    assert told.startswith("segmentation in quarantine/")
    assert told.endswith(broken.reason)
    assert (house.data / told.split()[2].rstrip(":")).is_file()
    with house.ledger.read() as connection:
        story = study_view(connection, STUDY).as_json()
    assert story is not None
    assert (story["objects_quarantined"], story["objects_delivered"]) == (1, 3)
    (row,) = [row for row in story["deliveries"] if row["state"] == "quarantined"]
    assert (row["kind"], row["delivered_at"], row["last_error"]) == ("segmentation", None, broken.reason)


def test_after_a_repair_a_retry_sends_what_was_kept_back(
    analysed: Analysed, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    pacs = Pacs(ALL)
    with monkeypatch.context() as before:
        broken = Requirement(SegmentationStorage, lambda _dataset: False, "A rule that no Segmentation keeps.")
        before.setattr(rules, "RULES", (*rules.RULES, broken))
        house = analysed(start(pacs))
        house.deliver()
    came = len(pacs.came)
    with house.ledger.write() as connection:
        assert retry(connection, STUDY, time.time()) == (True, 0)
        assert retry(connection, STUDY, time.time()) == (False, 0)
    house.analyse_again()
    house.deliver()
    assert pacs.came[came:] == [SegmentationStorage]  # what the peer has is not sent again
    assert house.states()["segmentation"] == "delivered"
    with house.ledger.read() as connection:
        assert study_view(connection, STUDY).as_json()["objects_quarantined"] == 0
    with house.ledger.write() as connection:
        assert retry(connection, STUDY, time.time()) == (False, 0)


def test_what_a_repaired_package_makes_no_more_is_kept_back_no_longer(
    analysed: Analysed, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        broken = Requirement(SegmentationStorage, lambda _dataset: False, "A rule that no Segmentation keeps.")
        before.setattr(rules, "RULES", (*rules.RULES, broken))
        house = analysed(start(Pacs(ALL)))
    with house.ledger.write() as connection:
        assert retry(connection, STUDY, time.time())[0]
    house.analyse_again(TinyModel(digest="f" * 64))  # other weights: every result has another UID
    with house.ledger.read() as connection:
        assert study_view(connection, STUDY).as_json()["objects_quarantined"] == 0
        states = connection.execute(select(DELIVERY.c.state)).scalars().all()
    assert "quarantined" not in states and "superseded" in states


def test_for_what_could_not_be_made_the_next_rung_is_sent(
    analysed: Analysed, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_study: object) -> Iterable[Dataset | None]:
        raise ZeroDivisionError

    monkeypatch.setattr("workers.results.seg.segmentations", fails)
    house = analysed(start(Pacs(ALL)))
    house.deliver()
    assert (house.states()["segmentation"], house.states()["capture"]) == ("quarantined", "delivered")


@refusal_is_meant
def test_one_rung_that_was_kept_back_does_not_hold_the_others(
    analysed: Analysed, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def holds(capture: Dataset) -> bool:
        return not str(capture.SourceImageSequence[0].ReferencedSOPInstanceUID).endswith(".1")

    broken = Requirement(SecondaryCaptureImageStorage, holds, "A rule that the first image's picture breaks.")
    monkeypatch.setattr(rules, "RULES", (*rules.RULES, broken))
    pacs = Pacs((Comprehensive3DSRStorage, SecondaryCaptureImageStorage))
    house = analysed(start(pacs), images=2)
    house.deliver()
    assert pacs.came.count(SecondaryCaptureImageStorage) == 1
    assert house.events("fallback") == ["capture goes to pacs instead"]


def test_the_command_study_shows_what_was_kept_back(
    analysed: Analysed, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = Requirement(SegmentationStorage, lambda _dataset: False, "A rule that no Segmentation keeps.")
    monkeypatch.setattr(rules, "RULES", (*rules.RULES, broken))
    analysed(start(Pacs(ALL)))
    config = tmp_path / "readfirst.toml"
    config.write_text(f'[node]\ndata = "{tmp_path}"\n')
    shown = CliRunner().invoke(app, ["study", STUDY, "--config", str(config)])
    assert shown.exit_code == 0
    assert "1 object kept back: our own checks found a fault" in shown.stdout
    assert broken.reason in shown.stdout
    status = CliRunner().invoke(app, ["status", "--config", str(config)])
    assert "kept back" in status.stdout


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[Callable[[Sequence[str]], tuple[Peer, Path]]]:
    """Start DCMTK's storescp with a profile that takes only these SOP classes, by DCMTK's names."""
    if not STORESCP.exists() and "CI" not in os.environ:
        pytest.skip("DCMTK (Debian dcmtk) is not installed")
    with ExitStack() as stack:

        def storescp(takes: Sequence[str]) -> tuple[Peer, Path]:
            folder, port = tmp_path / "storescp", free_port()
            folder.mkdir()
            contexts = "\n".join(rf"PresentationContext{i} = {name}\Plain" for i, name in enumerate(takes, 1))
            (tmp_path / "storescp.cfg").write_text(
                "[[TransferSyntaxes]]\n[Plain]\nTransferSyntax1 = LittleEndianExplicit\n"
                f"[[PresentationContexts]]\n[Some]\n{contexts}\n[[Profiles]]\n[Some]\nPresentationContexts = Some\n"
            )
            command = [str(STORESCP), "-xf", str(tmp_path / "storescp.cfg"), "Some", "-od", str(folder), str(port)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                assert process.poll() is None, "storescp ended"
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
            return Peer(ae_title="DCMTK", host="127.0.0.1", port=port, receive=("results",)), folder

        yield storescp


@pytest.mark.parametrize(
    ("takes", "came"),
    [
        (("SecondaryCaptureImageStorage",), ["Secondary Capture Image Storage"]),
        (
            ("SegmentationStorage", "ComprehensiveSRStorage"),
            ["Comprehensive SR Storage", "Comprehensive SR Storage", "Segmentation Storage"],
        ),
    ],
    ids=["captures alone", "SEG and Comprehensive SR"],
)
@refusal_is_meant
def test_dcmtk_gets_the_best_that_it_takes(
    analysed: Analysed,
    storescp: Callable[[Sequence[str]], tuple[Peer, Path]],
    takes: tuple[str, ...],
    came: list[str],
) -> None:
    peer, folder = storescp(("VerificationSOPClass", *takes))
    house = analysed(peer)
    house.deliver()
    held = [dcmread(path) for path in folder.iterdir()]
    assert sorted(one.SOPClassUID.name for one in held) == came
    assert {str(one.StudyInstanceUID) for one in held} == {STUDY}
    assert "pending" not in house.states().values()
