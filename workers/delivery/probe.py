"""What peers take of our results: the SOP classes are proposed, and each kind's way down the ladder is told."""

from __future__ import annotations

from collections.abc import Iterator

from node.dicom.contexts import RESULT_SOP_CLASSES
from node.errors import PeerError
from node.sending import scu
from node.sending.scu import Requestor
from node.settings import Peer, Settings
from workers.delivery.profiles import SOP_CLASSES, Kind, below, kinds_for


def lines(settings: Settings) -> Iterator[tuple[bool, str, str]]:
    """(all right?, "peer NAME", detail) of each node that gets results; nothing of one that cannot be called.

    `readfirst check` has then told why it cannot.
    """
    requestor = Requestor(settings.node.ae_title, settings.node.tls)
    for name, peer in settings.receivers.items():
        if peer.folder:
            continue
        try:
            accepted = scu.accepted(requestor, peer, RESULT_SOP_CLASSES)
        except PeerError:
            continue
        for ok, detail in _kinds(peer, accepted, settings.results.fallback):
            yield ok, f"peer {name}", detail
        refused = [uid.name for uid in RESULT_SOP_CLASSES if uid not in accepted]
        if refused:
            taken = len(RESULT_SOP_CLASSES) - len(refused)
            detail = f"takes {taken} of our {len(RESULT_SOP_CLASSES)} SOP classes, not {', '.join(refused)}"
            yield True, f"peer {name}", detail


def _kinds(peer: Peer, accepted: frozenset[str], fallback: bool) -> Iterator[tuple[bool, str]]:
    """A line a kind that the peer's profile names."""
    for kind in kinds_for(peer):
        sop_class = SOP_CLASSES[kind]
        if sop_class in accepted:
            yield True, f"accepts {sop_class.name} ({kind})"
            continue
        rung = _rung(kind, accepted) if fallback else None
        if rung is None:
            yield False, f"does NOT accept {sop_class.name} ({kind}), nor what could stand in for it: it will wait"
        else:
            yield True, f"does not accept {sop_class.name} ({kind}): gets {SOP_CLASSES[rung].name} ({rung}) instead"


def _rung(kind: Kind, accepted: frozenset[str]) -> Kind | None:
    return next((rung for rung in below(kind) if SOP_CLASSES[rung] in accepted), None)
