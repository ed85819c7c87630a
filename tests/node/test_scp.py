from __future__ import annotations

import logging
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from pydicom import dcmread
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
)
from pynetdicom import Association
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import UnifiedProcedureStepPull, UnifiedProcedureStepPush, Verification
from sqlalchemy import select
from structlog.testing import capture_logs

from node import scp
from node.entities import HIGH, LOW, MEDIUM
from node.errors import ConfigurationError
from node.ledger import studies
from node.ledger.engine import Ledger
from node.ledger.group_commit import GroupCommit
from node.ledger.tables import EVENT, INSTANCE, STUDY
from node.settings import Limits, Settings
from tests.conftest import need
from tests.node.conftest import House
from tests.node.phantoms import INSTANCE as UID_1
from tests.node.phantoms import PATIENT_ID, PATIENT_NAME, SERIES, encoded, image, save
from tests.node.phantoms import STUDY as STUDY_UID
from tests.node.worklist.scu import pushed
from tests.waiting import wait_until

Associate = Callable[..., Association]
CT = (CTImageStorage, ExplicitVRLittleEndian)
NOT_UIDS = ["../x", "1.2." + "3" * 61, ".1.2", "1.2.x"]
ODD_UIDS = ["1.2.03", "1..2", "1.2.3."]  # as devices send them

bad_uids_are_meant = pytest.mark.filterwarnings("ignore::UserWarning:pydicom", "ignore::UserWarning:pynetdicom")


def rows(ledger: Ledger) -> list[dict[str, object]]:
    with ledger.read() as connection:
        return [dict(row) for row in connection.execute(select(INSTANCE).order_by(INSTANCE.c.id)).mappings()]


def send(association: Association, path: Path) -> int | None:
    assert association.is_established
    status = association.send_c_store(path).get("Status")
    return None if status is None else int(status)


def compressed() -> bytes:
    """A Data Set with encapsulated pixels that nobody could decode: they are kept, not understood."""
    dataset = image(PixelData=None)
    fragment = b"\xff\x4f\xff\x51" + bytes(range(100))
    items = b"\xfe\xff\x00\xe0" + bytes(4) + b"\xfe\xff\x00\xe0" + len(fragment).to_bytes(4, "little") + fragment
    pixels = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff" + items + b"\xfe\xff\xdd\xe0" + bytes(4)
    return encoded(dataset) + pixels


def test_it_answers_c_echo(house: House, associate: Associate) -> None:
    assert associate(house, (Verification, ImplicitVRLittleEndian)).send_c_echo().Status == 0x0000


@pytest.mark.parametrize("attributes", [[], [0x00741000], [0x00741000, 0x00100020]])
def test_n_get_logs_no_exception_however_many_attributes_it_names(
    house: House, associate: Associate, caplog: pytest.LogCaptureFixture, attributes: list[int]
) -> None:
    association = associate(house, (UnifiedProcedureStepPull, ImplicitVRLittleEndian))
    with caplog.at_level(logging.INFO):
        status, _ = association.send_n_get(
            attributes, UnifiedProcedureStepPush, "1.2", meta_uid=UnifiedProcedureStepPull
        )
    assert status.Status == 0x0124  # its table has no right to read the worklist
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_associations_share_the_contexts_that_they_may_choose_from(house: House, associate: Associate) -> None:
    associate(house, CT), associate(house, CT)
    acceptors = [one for one in threading.enumerate() if isinstance(one, Association) and one.is_acceptor]
    first, second = (one.acceptor._contexts for one in acceptors)
    assert first is second


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_a_compressed_instance_is_kept_byte_for_byte(
    house: House, associate: Associate, ledger: Ledger, tmp_path: Path, syntax: UID
) -> None:
    path = save(tmp_path / "sent", compressed(), syntax)
    assert send(associate(house, (CTImageStorage, syntax)), path) == 0x0000
    (file,) = house.files
    assert file == tmp_path / "instances" / STUDY_UID / SERIES / f"{UID_1}.dcm"
    assert file.read_bytes().endswith(compressed())
    meta = dcmread(file, stop_before_pixels=True).file_meta
    assert (meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID) == (syntax, UID_1)
    (row,) = rows(ledger)
    assert (row["path"], row["transfer_syntax_uid"]) == (str(file.relative_to(tmp_path)), syntax)
    assert (row["calling_ae_title"], row["size"], row["conflict"]) == ("MODALITY", len(compressed()), False)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_each_plain_encoding_is_kept_as_sent(house: House, associate: Associate, tmp_path: Path, syntax: UID) -> None:
    path = save(tmp_path / "sent", dataset := encoded(image(), syntax), syntax)
    assert send(associate(house, (CTImageStorage, syntax)), path) == 0x0000
    assert house.files[0].read_bytes().endswith(dataset)
    assert dcmread(house.files[0]).PatientName == PATIENT_NAME


def test_the_same_instance_twice_is_one_file(
    house: House, associate: Associate, ledger: Ledger, tmp_path: Path
) -> None:
    path, association = save(tmp_path / "sent", image()), associate(house, CT)
    assert [send(association, path), send(association, path)] == [0x0000, 0x0000]
    assert (len(house.files), len(rows(ledger))) == (1, 1)


def test_the_same_instance_at_the_same_instant_is_one_good_file(
    house: House, associate: Associate, ledger: Ledger, tmp_path: Path
) -> None:
    dataset = encoded(image()) + b"\xe1\x7f\x10\x10OB\x00\x00\x00\x00\x20\x00" + bytes(1 << 21)
    path, barrier, answers = save(tmp_path / "sent", dataset), threading.Barrier(4), []
    associations = [associate(house, CT) for _ in range(4)]

    def push(association: Association) -> None:
        barrier.wait(60)
        answers.append(send(association, path))

    threads = [threading.Thread(target=push, args=(association,)) for association in associations]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [0x0000] * 4
    (file,) = house.files
    assert file.read_bytes().endswith(dataset)
    assert [row["conflict"] for row in rows(ledger)] == [False]


def test_the_same_uid_with_other_content_is_kept_beside(
    house: House, associate: Associate, ledger: Ledger, tmp_path: Path
) -> None:
    association = associate(house, CT)
    first, second = save(tmp_path / "1", image()), save(tmp_path / "2", image(PatientName="Other^Secret"))
    assert send(association, first) == 0x0000
    kept = house.files[0].read_bytes()
    with capture_logs() as logs:
        assert [send(association, second), send(association, second), send(association, first)] == [0x0000] * 3
    plain = tmp_path / "instances" / STUDY_UID / SERIES / f"{UID_1}.dcm"
    assert plain.read_bytes() == kept
    assert len(house.files) == 2
    assert [row["conflict"] for row in rows(ledger)] == [False, True]
    assert dcmread(tmp_path / str(rows(ledger)[1]["path"])).PatientName == "Other^Secret"
    assert [log["instance"] for log in logs if log["event"] == "same UID with other content, kept beside"] == [
        UID_1
    ] * 2
    with ledger.read() as connection:
        assert "conflict" in connection.execute(select(EVENT.c.kind)).scalars().all()


def test_below_the_watermark_nothing_is_taken_and_nothing_stays(
    listen: Callable[[Settings], House], settings: Settings, associate: Associate, ledger: Ledger, tmp_path: Path
) -> None:
    full = shutil.disk_usage(tmp_path).total >> 20
    house = listen(settings.model_copy(update={"node": settings.node.model_copy(update={"min_free_mb": full + 1})}))
    with capture_logs() as logs:
        assert send(associate(house, CT), save(tmp_path / "sent", image())) == 0xA700
    assert list(house.receiver.store.root.iterdir()) == []
    assert rows(ledger) == []
    assert [(log["log_level"], log["status"]) for log in logs] == [("error", "0xA700")]


def assert_refused_then_goes_on(
    house: House, association: Association, tmp_path: Path, refused: Path, status: int
) -> None:
    """The refused instance leaves nothing, and the same association goes on and stores a good one."""
    before = house.files
    with capture_logs() as logs:
        assert send(association, refused) == status
    assert house.files == before
    assert [log["status"] for log in logs if log["event"] == "instance refused"] == [f"0x{status:04X}"]
    assert send(association, save(tmp_path / "good", image())) == 0x0000
    assert [file.name for file in house.files] == [f"{UID_1}.dcm"]


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@bad_uids_are_meant
def test_what_is_no_uid_never_touches_a_path(house: House, associate: Associate, tmp_path: Path, keyword: str) -> None:
    association = associate(house, CT)
    for value in NOT_UIDS:
        refused = save(tmp_path / "bad", image(**{keyword: value}), sop_instance_uid=UID_1)
        assert_refused_then_goes_on(house, association, tmp_path, refused, 0xC000)


@bad_uids_are_meant
def test_a_path_as_uid_in_command_and_data_set_is_refused(house: House, associate: Associate, tmp_path: Path) -> None:
    association = associate(house, CT)
    for value in ("../x", "../../../../tmp/x", ".."):
        refused = save(tmp_path / "bad", image(value))
        assert_refused_then_goes_on(house, association, tmp_path, refused, 0xC000)
    assert not (tmp_path / "instances" / STUDY_UID / "x.dcm").exists()


@pytest.mark.parametrize("value", ODD_UIDS)
@bad_uids_are_meant
def test_leading_zeros_and_empty_components_are_kept_as_sent(
    house: House, associate: Associate, ledger: Ledger, tmp_path: Path, value: str
) -> None:
    sent = image(value, StudyInstanceUID=value, SeriesInstanceUID=value)
    assert send(associate(house, CT), save(tmp_path / "odd", sent)) == 0x0000
    (file,), (row,) = house.files, rows(ledger)
    assert file == tmp_path / "instances" / value / value / f"{value}.dcm"
    assert (row["study_instance_uid"], row["sop_instance_uid"]) == (value, value)
    assert dcmread(file).file_meta.MediaStorageSOPInstanceUID == value


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_a_missing_uid_is_not_understood(house: House, associate: Associate, tmp_path: Path, keyword: str) -> None:
    refused = save(tmp_path / "bad", image(**{keyword: None}))
    assert_refused_then_goes_on(house, associate(house, CT), tmp_path, refused, 0xC000)


@pytest.mark.parametrize("dataset", [b"", b"\x08\x00", b"\xff" * 64, bytes(1000)], ids=len)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_bytes_that_are_no_data_set_are_refused(
    house: House, associate: Associate, tmp_path: Path, dataset: bytes
) -> None:
    refused = save(tmp_path / "bad", dataset)
    assert_refused_then_goes_on(house, associate(house, CT), tmp_path, refused, 0xC000)


def test_a_command_unlike_the_data_set_is_a_mismatch(house: House, associate: Associate, tmp_path: Path) -> None:
    association = associate(house, CT, (MRImageStorage, ExplicitVRLittleEndian))
    other_instance = save(tmp_path / "bad", image(), sop_instance_uid="1.2.3")
    assert_refused_then_goes_on(house, association, tmp_path, other_instance, 0xA900)
    other_class = save(tmp_path / "bad", image(), sop_class_uid=MRImageStorage)
    assert_refused_then_goes_on(house, association, tmp_path, other_class, 0xA900)


def test_no_patient_attribute_reaches_the_logs(
    house: House, associate: Associate, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    association = associate(house, CT)
    with capture_logs() as logs:
        send(association, save(tmp_path / "1", image()))
        send(association, save(tmp_path / "2", image(PatientComments="again")))
        send(association, save(tmp_path / "3", image(StudyInstanceUID=None)))
        send(association, save(tmp_path / "4", image(), sop_instance_uid="1.2.3"))
        association.release()
    assert len(logs) == 4
    said = repr(logs) + "".join(capfd.readouterr())
    assert not [word for word in (*PATIENT_NAME.split("^"), PATIENT_ID, "20260101", "again") if word in said]


def test_an_unknown_caller_is_rejected_and_named(house: House, associate: Associate) -> None:
    with capture_logs() as logs:
        association = associate(house, CT, calling="STRANGER")
        assert association.is_rejected
        wait_until(lambda: bool(logs))
    assert [(log["event"], log["peer"]) for log in logs] == [("association rejected", "STRANGER")]


def test_who_calls_us_by_another_name_is_rejected(house: House, associate: Associate) -> None:
    assert associate(house, CT, called="SOMEBODY").is_rejected


def test_without_peers_nobody_is_let_in(
    listen: Callable[[Settings], House], settings: Settings, associate: Associate
) -> None:
    house = listen(settings.model_copy(update={"peers": {}}))
    assert associate(house, CT, calling="ANY").is_rejected
    assert associate(house, CT, calling="MODALITY").is_rejected


def test_accept_unknown_lets_in_whom_no_table_names(
    listen: Callable[[Settings], House], settings: Settings, associate: Associate, tmp_path: Path
) -> None:
    house = listen(settings.model_copy(update={"node": settings.node.model_copy(update={"accept_unknown": True})}))
    path = save(tmp_path / "sent", image())
    assert send(associate(house, CT, calling="READER"), path) == 0x0124  # a table names it, and not as a sender
    assert send(associate(house, CT, calling="STRANGER"), path) == 0x0000


def test_a_peer_that_may_not_send_images_is_refused(house: House, associate: Associate, tmp_path: Path) -> None:
    assert send(associate(house, CT, calling="READER"), save(tmp_path / "sent", image())) == 0x0124
    assert house.files == []


def test_every_storage_class_that_pynetdicom_knows_is_accepted(house: House, associate: Associate) -> None:
    known = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    for start in range(0, len(known), 128):
        part = known[start : start + 128]
        association = associate(house, *((uid, JPEG2000Lossless) for uid in part))
        assert sorted(str(context.abstract_syntax) for context in association.accepted_contexts) == sorted(part)


def test_an_open_association_counts_as_sending_until_it_ends(
    house: House, associate: Associate, ledger: Ledger, tmp_path: Path
) -> None:
    first, second = associate(house, CT), associate(house, CT)
    for association in (first, second):
        send(association, save(tmp_path / "sent", image()))
    first.release()
    wait_until(lambda: len(house.released) == 1)
    assert house.receiver.associations.is_sending(STUDY_UID)
    second.abort()
    wait_until(lambda: len(house.released) == 2)
    assert not house.receiver.associations.is_sending(STUDY_UID)
    assert house.released == [frozenset({STUDY_UID})] * 2
    with ledger.read() as connection:
        assert connection.execute(select(STUDY.c.state)).scalars().all() == ["receiving"]


def test_a_bug_of_ours_is_no_success_and_the_association_goes_on(
    house: House, associate: Associate, ledger: Ledger, tmp_path: Path
) -> None:
    def break_down() -> NoReturn:
        raise ZeroDivisionError(PATIENT_NAME)

    association, path = associate(house, CT), save(tmp_path / "sent", image())
    with pytest.MonkeyPatch.context() as bug, capture_logs() as logs:
        bug.setattr(house.receiver.ledger, "grouped", GroupCommit(break_down))
        assert [send(association, path), send(association, path)] == [0x0110] * 2
    assert [(log["event"], log["log_level"], log["status"], log["exc_info"]) for log in logs] == [
        ("instance refused", "error", "0x0110", True)
    ] * 2
    assert PATIENT_NAME not in repr(logs)
    assert rows(ledger) == []
    assert send(association, path) == 0x0000  # the bug is gone: the same association, the same instance
    assert [row["sop_instance_uid"] for row in rows(ledger)] == [UID_1]


def test_the_same_uid_in_another_study_is_kept_and_analysed_in_both(
    house: House, associate: Associate, ledger: Ledger, tmp_path: Path
) -> None:
    association, other = associate(house, CT), "1.2.826.0.1.3680043.9.2"
    first, second = save(tmp_path / "1", image()), save(tmp_path / "2", image(StudyInstanceUID=other))
    assert send(association, first) == 0x0000
    with capture_logs() as logs:
        assert send(association, second) == 0x0000
    assert [file.parts[-3:] for file in house.files] == [
        (STUDY_UID, SERIES, f"{UID_1}.dcm"), (other, SERIES, f"{UID_1}.dcm")
    ]  # fmt: skip
    assert [(row["study_instance_uid"], row["conflict"]) for row in rows(ledger)] == [
        (STUDY_UID, False), (other, False)
    ]  # fmt: skip
    assert [(log["log_level"], log["study"], log["instance"]) for log in logs] == [("warning", other, UID_1)]
    with ledger.read() as connection:
        for study in (STUDY_UID, other):
            assert [row["study_instance_uid"] for row in studies.inputs(connection, study)] == [study]
        told = connection.execute(select(EVENT.c.study_instance_uid).where(EVENT.c.kind == "same UID elsewhere"))
        assert told.scalars().all() == [other]


def with_node(settings: Settings, **values: object) -> Settings:
    return settings.model_copy(update={"node": settings.node.model_copy(update=values)})


def test_one_association_too_many_is_rejected_and_the_log_says_how_many_there_may_be(
    listen: Callable[[Settings], House], settings: Settings, associate: Associate, tmp_path: Path
) -> None:
    house = listen(with_node(settings, max_associations=2))
    first, second = associate(house, CT), associate(house, CT)
    assert first.is_established and second.is_established
    with capture_logs() as logs:
        third = associate(house, CT)
        assert third.is_rejected
        wait_until(lambda: bool(logs))
    answer = third.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)  # PS3.8 9.3.4: transient, limit
    (log,) = logs
    assert (log["event"], log["peer"]) == ("association rejected", "MODALITY")
    assert "node.max_associations = 2" in log["hint"]
    assert send(first, save(tmp_path / "sent", image())) == 0x0000  # those that are open are not disturbed


@pytest.mark.parametrize("max_pdu", [16384, 262144])
def test_the_longest_pdu_that_we_announce_is_the_one_set(
    listen: Callable[[Settings], House], settings: Settings, associate: Associate, max_pdu: int
) -> None:
    association = associate(listen(with_node(settings, max_pdu=max_pdu)), CT)
    assert association.acceptor.maximum_length == max_pdu


def test_storescu_of_dcmtk_is_taken(house: House, tmp_path: Path, ledger: Ledger) -> None:
    storescu = need("storescu", "dcmtk")
    host, port = house.address
    path = save(tmp_path / "sent.dcm", image())
    command = [storescu, "-aet", "MODALITY", "-aec", "READFIRST", host, str(port), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert dcmread(house.files[0]).PatientName == PATIENT_NAME
    assert [row["sop_instance_uid"] for row in rows(ledger)] == [UID_1]


def test_an_address_in_use_is_a_sentence(house: House) -> None:
    with pytest.raises(ConfigurationError, match=r"node\.host and node\.port: .* cannot be listened on"):
        scp.start(house.receiver)


@pytest.mark.parametrize(("priority", "rank"), [(1, HIGH), (0, MEDIUM), (2, LOW)])
def test_the_priority_that_a_study_is_sent_with_is_known(
    house: House, associate: Associate, tmp_path: Path, priority: int, rank: int
) -> None:
    path = save(tmp_path / "a.dcm", image())
    association = associate(house, (CTImageStorage, ExplicitVRLittleEndian))
    assert association.send_c_store(path, priority=priority).Status == 0x0000
    with house.receiver.ledger.read() as connection:
        assert connection.execute(select(STUDY.c.sent_rank)).scalar_one() == rank


def test_the_quota_of_work_items_is_that_of_the_settings(
    listen: Callable[[Settings], House], settings: Settings, associate: Associate
) -> None:
    peers = {"modality": settings.peers["modality"].model_copy(update={"worklist": ("read", "change")})}
    house = listen(settings.model_copy(update={"limits": Limits(work_items_per_peer=1), "peers": peers}))
    association = associate(house, (UnifiedProcedureStepPush, ImplicitVRLittleEndian))
    uids = f"{UID_1}.1", f"{UID_1}.2"
    statuses = [association.send_n_create(pushed(), UnifiedProcedureStepPush, uid)[0].Status for uid in uids]
    assert statuses == [0x0000, 0x0213]
