"""Storage commitment as SCU (PS3.4 Annex J): requested of receivers for what they took; one that cannot is queried.

The result may arrive on the association of the request, or on one that the peer opens, also after a restart: the
transaction is in the ledger before the request is sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby

import structlog
from pydicom.uid import UID, generate_uid
from pynetdicom import Association, build_context, evt
from pynetdicom.sop_class import StorageCommitmentPushModel
from sqlalchemy import RowMapping

from node.audit import Recorder
from node.commitment import uncommitted
from node.commitment.holdings import held
from node.commitment.messages import INSTANCE, REQUEST, Request, write_request
from node.commitment.result_receiver import receive_result
from node.dicom.contexts import COMMITMENT_SOP_CLASSES, PLAIN_TRANSFER_SYNTAXES, QUERY_SOP_CLASSES
from node.dicom.dimse import is_performed
from node.errors import NothingAccepted, PeerError
from node.ledger.engine import Ledger
from node.loops import LaneLoop
from node.sending.scu import Requestor, associate, encoded_query
from node.settings import Peer, Settings

_log = structlog.get_logger(__name__)
_ANSWER_SECONDS = 30.0  # to answer one message; nothing has to be done for it
_RELEASE_SECONDS = 3.0  # to answer a release, before the association is aborted: its result may cross it
_UNANSWERED = 60.0  # seconds until a peer that did not answer a request is queried
TICK = 0.25  # seconds between looks for peers that are due
_LOOK = 0.1  # seconds between looks whether the result arrived

Rows = Sequence[RowMapping]


class CommitmentScu(LaneLoop[str]):
    """Requests commitment of receivers; one thread a peer at a time.

    Parameters
    ----------
    clock
        Seconds since 1970 UTC.
    """

    def __init__(self, settings: Settings, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        super().__init__("commitment", "storage commitment waits", TICK, clock)
        self._settings, self._ledger = settings, ledger
        self._requestor = Requestor.of(settings)
        self._audit = Recorder(settings, ledger)

    def due(self, now: float) -> Iterable[str]:
        """The peers of which commitment is to be requested, or that are to be queried."""
        with self._ledger.read() as connection:
            return uncommitted.peers(connection, now)

    def serve(self, lane: str) -> None:
        """Request commitment of one peer, or query it, over one association."""
        with self._ledger.read() as connection:
            rows = uncommitted.due(connection, lane, self._clock())
        peer = self._settings.committers.get(lane)
        if peer is None:
            self._assume(lane, rows, "which is not asked any more whether it keeps them")
            return
        try:
            self._serve(lane, peer, rows)
        except NothingAccepted:
            self._assume(lane, rows, "which can neither commit to them nor be queried")
        except PeerError as error:
            self._postpone(rows, str(error))
            _log.warning("whether a peer keeps our objects is not known yet", peer=lane, reason=str(error))

    def _serve(self, name: str, peer: Peer, rows: Rows) -> None:
        sop_classes = (*COMMITMENT_SOP_CLASSES, *QUERY_SOP_CLASSES)
        contexts = [build_context(sop_class, list(PLAIN_TRANSFER_SYNTAXES)) for sop_class in sop_classes]
        handler = partial(receive_result, ledger=self._ledger, names=(name,), clock=self._clock)
        with associate(self._requestor, peer, contexts, handlers=[(evt.EVT_N_EVENT_REPORT, handler)]) as association:
            association.dimse_timeout = _ANSWER_SECONDS
            association.acse_timeout = _RELEASE_SECONDS
            commits = _accepts(association, COMMITMENT_SOP_CLASSES)
            shows = _accepts(association, QUERY_SOP_CLASSES)
            transactions = []
            for _study, of_study in groupby(rows, key=lambda row: row["study_instance_uid"]):
                new, overdue = _split(of_study, lambda row: row["transaction_uid"] and (shows or self._is_old(row)))
                transaction_uid = self._request(association, name, new) if new and commits else ""
                transactions += [transaction_uid] if transaction_uid else []
                self._query(association, name, overdue if transaction_uid else [*overdue, *new])
            self._stay(association, transactions)

    def _request(self, association: Association, name: str, rows: Rows) -> str:
        """Send a request; the Transaction UID, empty where the peer refused it."""
        transaction_uid = str(generate_uid(prefix=None))
        with self._ledger.write() as connection:
            request = uncommitted.begin(connection, rows, transaction_uid, self._clock() + _UNANSWERED)
        status = _n_action(association, request)
        with self._ledger.write() as connection:
            if status == 0:
                until = self._clock() + self._settings.commitment.answer_seconds
                uncommitted.requested(connection, transaction_uid, until)
            else:
                uncommitted.not_requested(connection, rows)
        log = _log.info if status == 0 else _log.warning
        about = {"peer": name, "objects": len(rows), "status": f"0x{status:04X}"}
        log("storage commitment requested", transaction=transaction_uid, **about)
        return transaction_uid if status == 0 else ""

    def _query(self, association: Association, name: str, rows: Rows) -> None:
        """Query whether the peer has the objects; what it took long ago and does not show is sent again."""
        if not rows:
            return
        if not _accepts(association, QUERY_SOP_CLASSES):
            self._give_up(name, rows, "it cannot be queried")
            return
        try:
            peer = self._settings.peers[name]
            shown = held(association, rows, lambda query: self._audit.asked(peer, *encoded_query(query)))
        except PeerError as error:
            if not association.is_established:
                raise
            self._give_up(name, rows, str(error))
            return
        missing, here = _split(rows, lambda row: row["sop_instance_uid"] in shown)
        not_requested, unanswered = _split(here, lambda row: row["transaction_uid"])
        self._deliver(name, not_requested, "a query shows them")
        self._deliver(name, unanswered, "no result arrived, a query shows them")
        young, lost = _split(missing, self._is_old)
        self._postpone(young, "the peer does not show it yet")
        with self._ledger.write() as connection:
            uncommitted.send_again(connection, lost, name, "the peer took it and does not show it", self._clock())

    def _is_old(self, row: RowMapping) -> bool:
        return bool(self._clock() - row["delivered_at"] >= self._settings.commitment.answer_seconds)

    def _give_up(self, name: str, rows: Rows, why: str) -> None:
        """Nothing is proven; what has waited long enough is assumed to be delivered, as where nobody is asked."""
        young, old = _split(rows, self._is_old)
        self._postpone(young, why)
        self._assume(name, old, f"which did not say whether it keeps them ({why})")

    def _assume(self, name: str, rows: Rows, how: str) -> None:
        if rows:
            _log.warning("assumed to be delivered", peer=name, objects=len(rows), reason=f"stored by {name}, {how}")
        self._deliver(name, rows, how)

    def _deliver(self, name: str, rows: Rows, how: str) -> None:
        if rows:
            with self._ledger.write() as connection:
                uncommitted.deliver(connection, rows, name, how, self._clock())

    def _postpone(self, rows: Rows, error: str) -> None:
        with self._ledger.write() as connection:
            uncommitted.postpone(connection, rows, error, self._clock())

    def _stay(self, association: Association, transactions: Sequence[str]) -> None:
        """Keep the association open for the results, unless they arrive over others."""
        until = time.monotonic() + self._settings.commitment.stay_seconds
        while transactions and association.is_established and time.monotonic() < until:
            with self._ledger.read() as connection:
                if not uncommitted.open_transactions(connection, transactions):
                    return
            if self._stopping.wait(_LOOK):
                return


def _n_action(association: Association, request: Request) -> int:
    if not association.is_established:
        raise PeerError("the peer ended the association")
    answer, _ = association.send_n_action(write_request(request), REQUEST, StorageCommitmentPushModel, INSTANCE)
    status = answer.get("Status")
    if status is None:
        association.abort()
        raise PeerError("the peer did not answer a request for storage commitment")
    return 0 if is_performed(status) else int(status)


def _accepts(association: Association, sop_classes: Iterable[UID]) -> bool:
    accepted = {context.abstract_syntax for context in association.accepted_contexts}
    return accepted.issuperset(sop_classes)


def _split(
    rows: Iterable[RowMapping], holds: Callable[[RowMapping], object]
) -> tuple[list[RowMapping], list[RowMapping]]:
    """Those for which it does not hold, and those for which it does."""
    found: tuple[list[RowMapping], list[RowMapping]] = ([], [])
    for row in rows:
        found[bool(holds(row))].append(row)
    return found
