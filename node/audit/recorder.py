"""The recorder: what the node's parts do becomes audit messages, jobs in the ledger. It never hinders them."""

from __future__ import annotations

import functools
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Concatenate, ParamSpec

import structlog
from sqlalchemy import Connection

from node.admission.associations import StoreCounts, StudyCounts
from node.admission.policy import Caller
from node.audit import events, unaudited
from node.audit.alarms import Alarm, Alarms
from node.audit.codes import NODE_AUTHENTICATION, RESTRICTED_FUNCTION, Action, Code, EventOutcome
from node.audit.message import Message, Participant, Source, as_xml
from node.audit.patients import UNKNOWN, WITHHELD, patient_ids
from node.audit.viewings import Viewings
from node.entities import JobKind
from node.errors import ReadFirstError
from node.ledger import jobs
from node.ledger.engine import Ledger
from node.ledger.jobs import NewJob
from node.settings import Peer, Settings

_log = structlog.get_logger(__name__)
_MOST_UNKEPT = 10_000  # messages in memory while the ledger takes none
_KILLED = "the node ended before the association did; counted from what is kept"

_Arguments = ParamSpec("_Arguments")
_Messages = Iterable[Message]


def _recorded(
    method: Callable[Concatenate[Recorder, _Arguments], _Messages],
) -> Callable[Concatenate[Recorder, _Arguments], None]:
    """The method's messages are kept; where none are wanted it is not called."""

    @functools.wraps(method)
    def record(self: Recorder, /, *arguments: _Arguments.args, **more: _Arguments.kwargs) -> None:
        if not self.sinks:
            return
        try:
            self.keep(method(self, *arguments, **more))
        except Exception:  # noqa: BLE001  # outermost: a bug of ours must not hinder what is recorded
            _log.exception("an audit message could not be made", of=method.__name__)

    return record


class Recorder:
    """Makes the messages of PS3.15 A.5.3; safe to use from many threads.

    Parameters
    ----------
    clock
        Seconds since 1970 UTC.
    """

    def __init__(self, settings: Settings, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        ae_title, keys = settings.node.ae_title, settings.audit
        self.sinks = keys.sinks
        self._settings, self._ledger, self._clock = settings, ledger, clock
        self._us = Participant(ae_title, ae_title=ae_title, name="readfirst", address=socket.gethostname())
        self._source = Source(keys.source or ae_title, keys.site)
        self._alarms, self._viewings, self._lock = Alarms(), Viewings(), threading.Lock()
        self._unkept: deque[tuple[float, str, bool]] = deque(maxlen=_MOST_UNKEPT)
        self._troubled = False

    def started(self) -> None:
        """The application starts; what it was killed before it could record is recorded, in counted attempts."""
        self._starts()
        attempts: list[int] = []
        self._remember(lambda connection: attempts.append(unaudited.begin_recovery(connection, self._clock())))
        if attempts and attempts[-1] <= unaudited.MOST_ATTEMPTS:
            self._recovered()
        elif attempts:
            _log.error("no audit message names what was received before the start", attempts=unaudited.MOST_ATTEMPTS)
        self._remember(lambda connection: unaudited.begin(connection, self._clock()))

    @_recorded
    def _starts(self) -> _Messages:
        yield events.activity(self._us, self._clock(), starts=True)

    @_recorded
    def _recovered(self) -> _Messages:
        now = self._clock()
        with self._ledger.read() as connection:
            left = unaudited.find(connection)
        for one in left:
            peer, study = _node(one.calling_ae_title), one.study_instance_uid
            patient = self._patient(study, one.patient_id)
            yield events.transferred(
                peer, self._us, now, study, patient, one.counts, Action.CREATE, description=_KILLED
            )

    @_recorded
    def stopped(self) -> _Messages:
        """The application ends."""
        yield from self._alerts(self._alarms.due(self._clock(), all_of_them=True))
        yield events.activity(self._us, self._clock(), starts=False)

    @_recorded
    def rejected(self, ae_title: str, address: str, reason: str) -> _Messages:
        """An association was not accepted, or TLS not established (then without an AE title)."""
        yield from self._alert(NODE_AUTHENTICATION, _node(ae_title, address), reason)

    @_recorded
    def forbidden(self, caller: Caller, reason: str) -> _Messages:
        """A peer asked for what it may not do."""
        yield from self._alert(RESTRICTED_FUNCTION, _node(caller.ae_title, caller.address), reason)

    @_recorded
    def logged(self, address: str, *, comes: bool, known: bool = True) -> _Messages:
        """Somebody logged in at the page, tried to with a wrong token, or logged out."""
        yield events.authentication(self._us, _person(address), self._clock(), comes=comes, known=known)

    def received(self, caller: Caller, studies: Mapping[str, StudyCounts]) -> None:
        """An association ended that sent instances; a study whose first instance is not answered yet is left out."""
        now, answered = self._clock(), {uid: counts for uid, counts in studies.items() if counts}
        if answered:
            self._received(_node(caller.ae_title, caller.address), answered, now)
            self._remember(lambda connection: unaudited.covered(connection, answered, caller.ae_title, now))

    @_recorded
    def _received(self, peer: Participant, studies: Mapping[str, StudyCounts], now: float) -> _Messages:
        """A message a study and patient, and a further one for what did not succeed (A.5.2)."""
        for study, patient_id, counts in _by_patient(studies):
            patient = self._patient(study, patient_id)
            refused = ", ".join(f"{count} with 0x{status:04X}" for status, count in sorted(counts.statuses.items()))
            outcomes = (
                (counts.new, Action.CREATE, EventOutcome.SUCCESS, ""),
                (counts.duplicate, Action.READ, EventOutcome.SUCCESS, ""),
                (counts.refused, Action.CREATE, EventOutcome.MINOR, f"refused: {refused}"),
            )
            for which, action, outcome, why in outcomes:
                if which:
                    yield events.transferred(peer, self._us, now, study, patient, which, action, outcome, why)

    @_recorded
    def sending(self, peer: Peer, study: str, counts: events.Counts, patient_id: str = "") -> _Messages:
        """We are about to send instances of a study and patient."""
        patient = self._patient(study, patient_id)
        yield events.transfer_begins(self._us, _peer(peer), self._clock(), study, patient, counts)

    @_recorded
    def sent(
        self, peer: Peer, study: str, stored: events.Counts, failed: events.Counts, reason: str, patient_id: str = ""
    ) -> _Messages:
        """We sent; what the peer took and what it did not are a message each (A.5.2)."""
        us, there, now = self._us, _peer(peer), self._clock()
        patient = self._patient(study, patient_id)
        outcomes = ((stored, EventOutcome.SUCCESS, ""), (failed, EventOutcome.MINOR, reason))
        for counts, outcome, detail in outcomes:
            if counts:
                yield events.transferred(us, there, now, study, patient, counts, Action.READ, outcome, detail)

    @_recorded
    def shown(self, address: str, study_instance_uid: str, *, part: bool = False) -> _Messages:
        """Somebody looks at a study on the page, or (`part`) gets one of its pictures, which belongs to that."""
        if not self._viewings.is_new(address, study_instance_uid, self._clock()) and part:
            return
        for patient in self._patients(study_instance_uid):
            yield events.accessed(self._us, _person(address), self._clock(), study_instance_uid, patient)

    @_recorded
    def was_asked(self, caller: Caller, sop_class_uid: str, keys: bytes, syntax: str) -> _Messages:
        """A peer asked us by C-FIND."""
        peer = _node(caller.ae_title, caller.address)
        yield events.query(peer, self._us, self._clock(), sop_class_uid, self._allowed(keys), syntax)

    @_recorded
    def asked(self, peer: Peer, sop_class_uid: str, keys: bytes, syntax: str) -> _Messages:
        """We asked a peer by C-FIND."""
        yield events.query(self._us, _peer(peer), self._clock(), sop_class_uid, self._allowed(keys), syntax)

    @_recorded
    def searched(self, address: str, path: str, query: str, *, part: bool = False) -> _Messages:
        """Somebody, or a program, asked for the worklist by HTTP; `part`: a page that asks again by itself."""
        if not self._viewings.is_new(address, f"{path}?{query}", self._clock()) and part:
            return
        keys = self._allowed(query.encode())
        yield events.search(_person(address), self._us, self._clock(), path, keys)

    def deleted(
        self, connection: Connection, study: str, counts: events.Counts, patients: Iterable[str], person: str, why: str,
        *, whole: bool,
    ) -> None:  # fmt: skip
        """A part of a study, or all of it, was deleted: the messages are part of the caller's transaction.

        Parameters
        ----------
        person
            Who asked for it at this machine; empty: the node did it by itself.
        """
        now, host = self._clock(), self._us.address
        who = Participant(person, address=host) if person else None
        known = tuple(patients) if self._settings.audit.patients else (WITHHELD,)
        for patient in known or (UNKNOWN,):
            message = events.deleted(self._us, who, now, study, patient, counts, why, whole=whole)
            payload = {"at": now, "message": as_xml(message, self._source), "warning": False}
            made = [NewJob(JobKind.AUDIT_MESSAGE, sink, payload=payload) for sink in self.sinks]
            jobs.put_all(connection, made, now)

    def keep(self, messages: _Messages) -> None:
        """Put messages into the ledger, with those that it did not take before."""
        made = [
            (message.at, as_xml(message, self._source), message.outcome is not EventOutcome.SUCCESS)
            for message in messages
        ]
        if not made and not self._unkept:
            return
        with self._lock:
            self._unkept.extend(made)
            try:
                with self._ledger.write(adds=True) as connection:
                    jobs.put_all(connection, self._jobs(), self._clock())
            except ReadFirstError as error:
                self._warn_once(error)
                return
            self._unkept.clear()
            self._troubled = False

    def _jobs(self) -> Iterator[NewJob]:
        for at, xml, warning in self._unkept:
            payload = {"at": at, "message": xml, "warning": warning}
            yield from (NewJob(JobKind.AUDIT_MESSAGE, sink, payload=payload) for sink in self.sinks)

    def flush(self) -> None:
        """Keep what is left over: repeated alerts whose time is over, and messages that the ledger did not take."""
        self.keep(self._alerts(self._alarms.due(self._clock())))

    def _remember(self, work: Callable[[Connection], None]) -> None:
        """Once messages are kept, what they cover; killed before, they are made again."""
        if not self.sinks or self._unkept:
            return
        try:
            with self._ledger.write() as connection:
                work(connection)
        except ReadFirstError as error:
            self._warn_once(error)

    def _warn_once(self, error: ReadFirstError) -> None:
        if not self._troubled:
            _log.error(
                "audit messages are in memory only until the ledger takes them", most=_MOST_UNKEPT, reason=str(error)
            )
        self._troubled = True

    def _alert(self, kind: Code, peer: Participant, reason: str) -> _Messages:
        return self._alerts(self._alarms.add(Alarm(kind, peer, reason), self._clock()))

    def _alerts(self, alarms: Iterable[Alarm]) -> _Messages:
        for alarm in alarms:
            yield events.alert(self._us, alarm.peer, self._clock(), alarm.kind, alarm.description)

    def _allowed(self, keys: bytes) -> bytes:
        """Keys of a query may be a patient's."""
        return keys if self._settings.audit.patients else b""

    def _patient(self, study_instance_uid: str, sent: str) -> str:
        """The Patient ID that instances were sent with, else the study's first."""
        return sent if sent and self._settings.audit.patients else self._patients(study_instance_uid)[0]

    def _patients(self, study_instance_uid: str) -> tuple[str, ...]:
        if not self._settings.audit.patients:
            return (WITHHELD,)
        try:
            with self._ledger.read() as connection:
                return patient_ids(connection, study_instance_uid)
        except ReadFirstError:  # the message is worth more than the patient in it
            return (UNKNOWN,)


def _by_patient(studies: Mapping[str, StudyCounts]) -> Iterator[tuple[str, str, StoreCounts]]:
    """Study Instance UID, Patient ID as sent, and the counts of both."""
    return (
        (study, patient_id, counts) for study, patients in studies.items() for patient_id, counts in patients.items()
    )


def _node(ae_title: str, address: str = "") -> Participant:
    return Participant(ae_title or address, ae_title=ae_title, address=address)


def _peer(peer: Peer) -> Participant:
    """A folder has no AE title: it is named by its path."""
    return Participant(str(peer.folder), name="folder") if peer.folder else _node(peer.ae_title, peer.host)


def _person(address: str) -> Participant:
    return Participant(address, address=address)
