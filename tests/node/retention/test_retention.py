from __future__ import annotations

import os
import time

import pytest
from sqlalchemy import insert, select

from node.audit import Recorder
from node.commitment import availability
from node.commitment.messages import Reference, Request
from node.entities import JobKind, JobState, Part, StudyState
from node.ledger import deletion, jobs, studies
from node.ledger.jobs import NewJob
from node.ledger.tables import EVENT, FEEDBACK, FINDING, IMAGING_ORDER, JOB, PICTURE
from node.receiving.store import Incoming
from node.retention import deleting
from node.retention.deleting import Deleter
from node.settings import Retention
from tests.node.phantoms import PATIENT_ID
from tests.node.phantoms import STUDY as UID
from tests.node.retention.conftest import DAY, NOW, Pacs, Site

OTHER = "1.2.826.0.1.3680043.9.2"


def old(site: Site, uid: str = UID, images: int = 3, **how: object) -> None:
    """A study that is finished and delivered long ago."""
    for number in range(images):
        site.arrive(number, uid, NOW - 100 * DAY)
    site.analyse(uid, NOW - 100 * DAY, **how)  # type: ignore[arg-type]


def test_images_of_a_finished_and_delivered_study_go_after_their_days(site: Site) -> None:
    site.set(images_days=14, results_days=0, pictures_days=0)
    for number in range(3):
        site.arrive(number)
    site.analyse()
    site.now = NOW + 13.9 * DAY
    site.retention.pass_by_age()
    assert site.images() == 3
    site.now = NOW + 14.1 * DAY
    site.retention.pass_by_age()
    assert site.images() == 0
    assert not (site.data / "instances" / UID).exists()
    assert (site.data / "results" / UID / "2.25.1.dcm").exists()
    assert (site.study()["state"], site.study()["images_deleted_at"]) == (StudyState.ANALYSED, site.now)
    assert sum(step.files for step in site.deleted) == 3
    (message,) = site.messages()
    for part in ('EventActionCode="D"', "110103", UID, PATIENT_ID, 'NumberOfInstances="3"', "after 14 days"):
        assert part in message
    with site.ledger.read() as connection:
        (detail,) = connection.execute(select(EVENT.c.detail).where(EVENT.c.kind == "images deleted")).scalars()
    assert detail == "3 instances, by retention: after 14 days"
    site.retention.pass_by_age()  # twice is harmless
    assert len(site.messages()) == 1


def test_what_is_in_work_undelivered_pinned_or_committed_to_stays(site: Site) -> None:
    site.set(images_days=1, results_days=1, pictures_days=1)
    site.arrive(1, "1.2.1", NOW - 100 * DAY)  # still receives
    old(site, "1.2.2", waits=True)
    old(site, "1.2.3")
    old(site, "1.2.4")
    with site.ledger.write() as connection:
        assert deletion.set_pinned(connection, "1.2.3", pinned=True)
        deletion.protect(connection, ["1.2.4.1"], site.data, NOW - 1000 * DAY)
    site.free = 0  # also where space is short
    site.retention.step()
    assert [site.images(f"1.2.{number}") for number in range(1, 5)] == [1, 3, 3, 3]
    assert (site.data / "results" / "1.2.2" / "2.25.1.dcm").exists()
    with site.ledger.write() as connection:
        deletion.set_pinned(connection, "1.2.3", pinned=False)
        jobs.change(connection, JOB.c.study_instance_uid == "1.2.2", state=JobState.DELIVERED)
    site.retention.step()
    assert [site.images(f"1.2.{number}") for number in range(1, 5)] == [1, 0, 0, 3]


def test_where_the_pacs_can_be_asked_it_must_show_each_image(beside: Site, pacs: Pacs) -> None:
    beside.set(images_days=1, results_days=0, pictures_days=0, committed_days=30)
    old(beside)
    pacs.shows = {f"{UID}.0", f"{UID}.1"}
    beside.retention.pass_by_age()
    assert (beside.images(), pacs.asked) == (3, 1)
    pacs.shows.add(f"{UID}.2")
    beside.retention.pass_by_age()
    assert (beside.images(), pacs.asked) == (3, 1)  # not asked again so soon
    beside.now += 7 * 3600
    with beside.ledger.write() as connection:
        deletion.protect(connection, [f"{UID}.0"], beside.data, beside.now)
    beside.retention.pass_by_age()
    assert (beside.images(), pacs.asked) == (3, 1)  # a sender has it committed to
    beside.now += 31 * DAY
    beside.retention.pass_by_age()
    assert beside.images() == 0
    assert any("after 1 days, pacs shows each of them" in message for message in beside.messages())


def test_a_pacs_that_does_not_answer_proves_nothing(beside: Site) -> None:
    peer = beside.settings.peers["pacs"].model_copy(update={"port": 1})
    beside.settings = beside.settings.model_copy(update={"peers": {"pacs": peer}})
    beside.set(images_days=1)
    old(beside)
    beside.retention.pass_by_age()
    assert beside.images() == 3
    assert beside.study()["checked_at"] is None


def test_failed_studies_keep_their_images_longer(site: Site) -> None:
    site.set(images_days=14, quarantine_days=120)
    old(site, state=StudyState.FAILED)
    site.retention.pass_by_age()
    assert site.images() == 3
    site.now += 21 * DAY
    site.retention.pass_by_age()
    assert site.images() == 0
    with site.ledger.write() as connection:
        assert not studies.retry(connection, UID, site.now)


def test_results_pictures_and_rows_go_in_their_time(site: Site) -> None:
    site.set(images_days=1, results_days=120, pictures_days=110, rows_days=200)
    old(site)
    site.now = NOW + 15 * DAY
    site.retention.pass_by_age()
    assert site.count(PICTURE) == 0
    assert not (site.data / "pictures" / UID).exists()
    assert (site.data / "results" / UID).exists()
    site.now = NOW + 25 * DAY
    site.retention.pass_by_age()
    assert not (site.data / "results" / UID).exists()
    assert site.study()
    site.now = NOW + 101 * DAY
    site.retention.pass_by_age()
    assert site.study() is None
    assert [site.count(table) for table in (EVENT, FINDING, FEEDBACK)] == [0, 0, 0]
    assert "110105" in site.messages()[-1]
    with site.ledger.read() as connection:
        assert {row["kind"] for row in jobs.find(connection)} == {JobKind.AUDIT_MESSAGE}


def test_short_of_space_images_go_first_and_only_as_many_as_needed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    uids = [f"1.2.{number}" for number in range(12)]
    for number, uid in enumerate(uids):
        site.arrive(1, uid, NOW - DAY + number)
        site.analyse(uid, NOW - DAY + number)
    retention = site.retention
    monkeypatch.setattr(retention, "_free", lambda: 0 if site.images(uids[4]) else 1 << 50)
    retention.step()
    assert [site.images(uid) for uid in uids] == [0] * 5 + [1] * 7  # five at a time, those that ended first
    assert all((site.data / "pictures" / uid).exists() for uid in uids)


def test_more_than_its_part_may_take_goes_before_its_time(site: Site) -> None:
    for number in range(12):
        site.arrive(1, f"1.2.{number}", NOW - DAY + number, bytes(1 << 16))
        site.analyse(f"1.2.{number}", NOW - DAY + number)
    site.set(images_gb=8.5 * (1 << 16) / 2**30)
    site.retention.pass_by_age()
    assert sum(site.images(f"1.2.{number}") for number in range(12)) == 7


def test_quarantined_objects_go(site: Site) -> None:
    old(site)
    for uid in (UID, OTHER):  # the second is no study that is known
        (site.data / "quarantine" / uid).mkdir(parents=True)
        (site.data / "quarantine" / uid / "2.25.5.dcm").write_bytes(b"fault")
    site.set(images_days=0, quarantine_days=101)
    site.retention.pass_by_age()
    assert (site.data / "quarantine" / UID).exists()
    site.now += 2 * DAY
    site.retention.pass_by_age()
    assert not (site.data / "quarantine" / UID).exists()
    assert (site.data / "quarantine" / OTHER).exists()


def test_disabled_it_only_finishes_what_a_person_asked_for(site: Site) -> None:
    assert not Retention().enabled  # by default
    site.set(enabled=False)
    old(site)
    old(site, OTHER)
    with site.ledger.write() as connection:
        assert deletion.begin(connection, UID, (Part.IMAGES, Part.RESULTS), "a person", "asked for", NOW)
    site.retention.step()
    assert (site.images(UID), site.images(OTHER)) == (0, 3)
    assert not (site.data / "results" / UID).exists()


def test_notices_orders_reports_and_audit_files_end(site: Site) -> None:
    with site.ledger.write() as connection:
        for number, state in enumerate((JobState.DELIVERED, JobState.PENDING, JobState.REJECTED)):
            jobs.put(connection, NewJob(JobKind.NOTICE, "hl7", str(number), state=state), NOW - 91 * DAY)
        jobs.put(connection, NewJob(JobKind.NOTICE, "hl7", "young", state=JobState.DELIVERED), NOW - 89 * DAY)
        for at in (NOW - 91 * DAY, NOW - 89 * DAY):
            connection.execute(
                insert(IMAGING_ORDER).values(
                    placer_number=str(at), filler_number="", accession_number="A1", study_instance_uid="",
                    priority="HIGH", ordered_as="S", canceled=False, sender="", control_id="", received_at=at,
                    updated_at=at,
                )
            )  # fmt: skip
    (site.data / "audit").mkdir()
    for name, age in (("audit.log", 3000), ("audit-20200101T000000Z-0.log", 3000), ("audit-20250101T000000Z-0.log", 1)):
        file = site.data / "audit" / name
        file.touch()
        os.utime(file, (time.time() - age * DAY,) * 2)
    site.retention.pass_by_age()
    with site.ledger.read() as connection:
        assert [row["key"] for row in jobs.find(connection)] == ["1", "young"]
    assert site.count(IMAGING_ORDER) == 1
    assert sorted(path.name for path in (site.data / "audit").iterdir()) == [
        "audit-20250101T000000Z-0.log",
        "audit.log",
    ]


def begun(site: Site, monkeypatch: pytest.MonkeyPatch) -> Deleter:
    """A study of three instances of which the first is deleted."""
    monkeypatch.setattr(deleting, "BATCH", 1)
    old(site)
    with site.ledger.write() as connection:
        assert deletion.begin(connection, UID, (Part.IMAGES,), "retention", "after 1 days", NOW, ("P1",))
    deleter = Deleter(site.ledger, site.data, Recorder(site.settings, site.ledger))
    assert deleter.step(UID)
    assert site.images() == 2
    return deleter


@pytest.mark.parametrize("number", [0, 2, 7])  # one that is gone, one that is still there, a new one
def test_an_image_that_arrives_while_its_study_is_deleted_is_kept_with_the_rest(
    site: Site, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    deleter = begun(site, monkeypatch)
    path = site.arrive(number)
    assert deleter.step(UID) is None
    assert path.exists()
    assert site.images() == (2 if number == 2 else 3)
    assert site.study()["generation"] == (1 if number == 2 else 2)
    assert site.study()["deleting"] == ""
    assert len(site.messages()) == 1  # of the one that was deleted
    site.arrive(0)
    assert site.images() == 3 + (number == 7)


def test_a_step_that_was_killed_before_its_commit_is_made_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    deleter = begun(site, monkeypatch)
    next((site.data / "instances" / UID).rglob("*.dcm")).unlink()  # its row is still there
    while deleter.step(UID):
        pass
    assert site.images() == 0
    (message,) = site.messages()
    assert 'NumberOfInstances="3"' in message


def test_a_row_whose_file_a_killed_step_removed_is_dropped_when_the_deletion_is_stopped(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(site, monkeypatch)
    next((site.data / "instances" / UID).rglob("*.dcm")).unlink()
    with site.ledger.write() as connection:
        deletion.protect(connection, [f"{UID}.2"], site.data, NOW)
    assert site.images() == 1


def test_a_file_deleted_between_its_naming_and_its_row_is_named_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleter, kept = begun(site, monkeypatch), Incoming.kept

    def late(self: Incoming, stored: object) -> object:
        (site.data / stored.path).unlink()  # type: ignore[attr-defined]
        return kept(self, stored)  # type: ignore[arg-type]

    monkeypatch.setattr(Incoming, "kept", late)
    assert site.arrive(0).exists()
    assert deleter.step(UID) is None


def test_commitment_is_not_given_to_what_is_deleted(site: Site) -> None:
    site.set(images_days=1)
    old(site)
    site.retention.pass_by_age()
    request = Request("2.25.7", (Reference("1.2.840.10008.5.1.4.1.1.2", f"{UID}.0"),))
    assert len(availability.result_of(site.ledger, site.data, request).failed) == 1


def test_the_ledger_finds_what_is_due_by_an_index(site: Site) -> None:
    with site.ledger.read() as connection:
        for part in ("images", "results", "pictures"):
            column = f"{part}_deleted_at"
            plan = connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN SELECT study_instance_uid FROM study WHERE {column} IS NULL AND finished_at < 1 "
                "ORDER BY finished_at LIMIT 5"
            ).all()
            assert f"ix_study_{column}_finished_at" in str(plan)


def test_a_study_that_grew_again_begins_its_days_anew(site: Site) -> None:
    site.set(images_days=14)
    old(site)
    site.arrive(9, at=NOW)
    site.retention.pass_by_age()
    assert site.images() == 4
    site.analyse(at=NOW)
    site.retention.pass_by_age()
    assert site.images() == 4
