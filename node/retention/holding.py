"""Whether a peer holds a study: it shows each of its instances when it is queried (C-FIND, level IMAGE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from pynetdicom import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind
from sqlalchemy import RowMapping, select

from node.audit import Recorder
from node.commitment.holdings import held
from node.errors import PeerError
from node.ledger.engine import Ledger
from node.ledger.tables import INSTANCE
from node.sending.scu import Requestor, associate, encoded_query
from node.settings import Peer, Settings

_log = structlog.get_logger(__name__)


class Holders:
    """The peers that may be asked (`query = true`)."""

    def __init__(self, settings: Settings, ledger: Ledger, audit: Recorder) -> None:
        self._peers = settings.peers_that(lambda peer: peer.query)
        self._requestor, self._ledger, self._audit = Requestor.of(settings), ledger, audit

    @property
    def can_be_asked(self) -> bool:
        """Whether there is one."""
        return bool(self._peers)

    def of(self, study_instance_uids: Sequence[str]) -> Mapping[str, str]:
        """The first peer that shows every instance that we have, by study; studies without one are left out.

        Raises
        ------
        PeerError
            No peer answered about all of them: nothing is proven, or disproven.
        """
        found: dict[str, str] = {}
        answered = False
        for name, peer in self._peers.items():
            left = [uid for uid in study_instance_uids if uid not in found]
            shown, whole = self._shown(name, peer, left) if left else ([], True)
            found |= dict.fromkeys(shown, name)
            answered |= whole
        if not answered:
            raise PeerError("no peer answers which images it has")
        return found

    def _shown(self, name: str, peer: Peer, study_instance_uids: Sequence[str]) -> tuple[list[str], bool]:
        """The studies that one peer shows, and whether it answered about all."""
        shown: list[str] = []
        try:
            contexts = [build_context(StudyRootQueryRetrieveInformationModelFind)]
            with associate(self._requestor, peer, contexts) as association:
                for uid in study_instance_uids:
                    rows = self._instances(uid)
                    there = held(association, rows, lambda query: self._audit.asked(peer, *encoded_query(query)))
                    if there.issuperset(row["sop_instance_uid"] for row in rows):
                        shown.append(uid)
        except PeerError as error:
            _log.warning("a peer did not answer which images it has", peer=name, reason=str(error))
            return shown, False
        return shown, True

    def _instances(self, study_instance_uid: str) -> Sequence[RowMapping]:
        columns = INSTANCE.c.study_instance_uid, INSTANCE.c.series_instance_uid, INSTANCE.c.sop_instance_uid
        query = select(*columns).where(INSTANCE.c.study_instance_uid == study_instance_uid)
        with self._ledger.read() as connection:
            return connection.execute(query).mappings().all()
