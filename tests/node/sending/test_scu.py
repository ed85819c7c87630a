from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ports import free_port
from pydicom import Dataset
from pydicom.uid import CTImageStorage, JPEG2000Lossless, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from node.errors import ConfigurationError, PeerError
from node.sending.scu import Requestor, SendResult, accepted, count_instances, echo, store
from node.settings import Limits, Peer, Settings
from tests.node.authority import Authority
from tests.node.conftest import House
from tests.node.phantoms import STUDY, image, save
from tests.node.rawpeer import accepting
from tests.node.slow_peers import (
    crawls,
    crawls_behind_the_handshake,
    crawls_in_the_handshake,
    dribbles,
    hanging,
    keeps_the_release,
    never_answers,
    takes_nothing_behind_the_handshake,
)
from tests.waiting import at_most

US = Requestor("MODALITY")
refusal_is_meant = pytest.mark.filterwarnings(  # pynetdicom does not close the socket of a refused connection
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
NOBODY = Peer(ae_title="NOBODY", host="127.0.0.1", port=free_port())


@pytest.fixture
def archive() -> Iterator[Callable[..., Peer]]:
    """Start an archive of pynetdicom's with one handler; it tells its address as a peer."""
    with ExitStack() as stack:

        def archive(sop_class: str, event: evt.EventType, handler: Callable[..., object]) -> Peer:
            ae = AE("ARCHIVE")
            ae.add_supported_context(sop_class)
            server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(event, handler)])
            stack.callback(ae.shutdown)
            return Peer(ae_title="ARCHIVE", host="127.0.0.1", port=server.server_address[1])

        yield archive


def test_echo_and_what_is_accepted(house: House) -> None:
    echo(US, house.peer)
    assert accepted(US, house.peer, [CTImageStorage, MRImageStorage]) >= {CTImageStorage, MRImageStorage}


@refusal_is_meant
def test_why_there_is_no_association_is_said(house: House) -> None:
    with pytest.raises(PeerError, match="cannot be reached"):
        echo(US, NOBODY)
    with pytest.raises(PeerError, match="rejected the association of STRANGER"):
        echo(Requestor("STRANGER"), house.peer)
    with pytest.raises(ConfigurationError, match="names no certificate"):
        echo(US, house.peer.model_copy(update={"tls": True}))


def test_files_go_out_as_they_are(house: House, tmp_path: Path) -> None:
    paths = [save(tmp_path / "1", image("1.1")), save(tmp_path / "2", image("1.2"), JPEG2000Lossless)]
    seen: list[SendResult] = []
    outcomes = store(US, house.peer, paths, seen.append)
    assert outcomes == tuple(seen) == tuple(SendResult(path, "") for path in paths)
    for file, path in zip(house.files, paths, strict=True):
        assert file.read_bytes()[-200:] == path.read_bytes()[-200:]


def test_a_refused_file_does_not_stop_the_others(house: House, tmp_path: Path) -> None:
    refused = save(tmp_path / "1", image("1.1"), sop_instance_uid="1.9")
    outcomes = store(US, house.peer, [refused, save(tmp_path / "2", image("1.2"))])
    assert [outcome.error for outcome in outcomes] == ["the peer refused it with status 0xA900", ""]


@refusal_is_meant
def test_an_unreachable_peer_is_an_outcome_of_each_file(tmp_path: Path) -> None:
    paths = [save(tmp_path / "1", image("1.1")), save(tmp_path / "2", image("1.2"))]
    outcomes = store(US, NOBODY, paths)
    assert [outcome.path for outcome in outcomes] == paths
    assert all("cannot be reached" in outcome.error for outcome in outcomes)


@pytest.mark.parametrize(
    ("status", "error"),
    [(0xB007, ""), (0xB100, ""), (0x0107, ""), (0xA700, "the peer refused it with status 0xA700")],
)
def test_a_warning_means_stored(archive: Callable[..., Peer], tmp_path: Path, status: int, error: str) -> None:
    peer = archive(CTImageStorage, evt.EVT_C_STORE, lambda _event: status)
    (outcome,) = store(US, peer, [save(tmp_path / "1", image())])
    assert outcome.error == error


def test_a_class_that_the_peer_does_not_take_is_an_outcome(archive: Callable[..., Peer], tmp_path: Path) -> None:
    peer = archive(CTImageStorage, evt.EVT_C_STORE, lambda _event: 0x0000)
    other = save(tmp_path / "2", image("1.2", SOPClassUID=MRImageStorage), sop_class_uid=MRImageStorage)
    outcomes = store(US, peer, [save(tmp_path / "1", image()), other])
    assert [outcome.error.partition(":")[0] for outcome in outcomes] == ["", "the peer does not accept it"]


@pytest.mark.parametrize("count", [7, None])
def test_a_peer_counts_a_study(archive: Callable[..., Peer], count: int | None) -> None:
    asked: list[str] = []

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked.append(event.identifier.StudyInstanceUID)
        answer = Dataset()
        answer.QueryRetrieveLevel = "STUDY"
        answer.StudyInstanceUID = STUDY
        if count is not None:
            answer.NumberOfStudyRelatedInstances = count
        yield 0xFF00, answer

    peer = archive(StudyRootQueryRetrieveInformationModelFind, evt.EVT_C_FIND, find)
    assert count_instances(US, peer, STUDY) == count
    assert asked == [STUDY]


@pytest.mark.parametrize("behaviour", [crawls, dribbles, never_answers], ids=lambda one: one.__name__)
def test_a_peer_that_hangs_is_cut_off_when_the_associations_time_is_over(
    tmp_path: Path, behaviour: Callable[..., None]
) -> None:
    paths = [save(tmp_path / "1", image("1.1", PixelData=bytes(8 << 20))), save(tmp_path / "2", image("1.2"))]
    before = time.monotonic()
    with hanging(behaviour) as peer:
        outcomes = store(Requestor("US", seconds=1.0), peer, paths)
    assert 1.0 <= time.monotonic() - before < at_most(5)
    assert [outcome.path for outcome in outcomes] == paths
    assert all(outcome.peer_failed for outcome in outcomes)
    assert "the association took longer than the 1 s that it may take" in outcomes[0].error


@pytest.mark.parametrize("where", ["in the handshake", "in its answer", "in what it takes"])
def test_over_tls_it_is_cut_off_at_the_same_time(tmp_path: Path, where: str) -> None:
    authority = Authority(tmp_path / "pki")
    ours, theirs = authority.issue("node"), authority.issue("pacs")
    behaviour = {
        "in the handshake": crawls_in_the_handshake(theirs),
        "in its answer": crawls_behind_the_handshake(theirs, accept),
        "in what it takes": takes_nothing_behind_the_handshake(theirs, accept),
    }[where]
    paths = [save(tmp_path / "1", image("1.1", PixelData=bytes(8 << 20))), save(tmp_path / "2", image("1.2"))]
    before = time.monotonic()
    with hanging(behaviour) as peer:
        secured = peer.model_copy(update={"tls": True})
        outcomes = store(Requestor("US", tls=ours, seconds=2.0), secured, paths)
    assert 2.0 <= time.monotonic() - before < at_most(8)
    assert [(outcome.path, outcome.peer_failed) for outcome in outcomes] == [(path, True) for path in paths]
    assert "the association took longer than the 2 s that it may take" in outcomes[0].error


def accept(request: bytes) -> bytes:
    return accepting(request[6:], 16384)


def test_a_release_that_is_not_answered_takes_nothing_back(tmp_path: Path) -> None:
    paths = [save(tmp_path / "1", image("1.1")), save(tmp_path / "2", image("1.2"))]
    before = time.monotonic()
    with hanging(keeps_the_release) as peer:
        outcomes = store(Requestor("US", seconds=1.0), peer, paths)
    assert time.monotonic() - before < at_most(5)
    assert outcomes == tuple(SendResult(path, "") for path in paths)


def test_the_nodes_own_associations_have_the_time_of_the_settings() -> None:
    assert Requestor.of(Settings(limits=Limits(requested_minutes=0.5))).seconds == 30.0
