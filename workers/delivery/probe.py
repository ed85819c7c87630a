"""What peers take of our results: which SOP classes they accept, and each refused kind's fallback."""

from __future__ import annotations

from collections.abc import Iterator

from node.dicom.contexts import RESULT_SOP_CLASSES
from node.errors import PeerError
from node.sending import scu
from node.sending.scu import Requestor
from node.settings import Peer, Settings
from workers.delivery.profiles import kinds_for
from workers.results.registry import fallbacks, kinds


def lines(settings: Settings) -> Iterator[tuple[bool, str, str]]:
    """(all right?, "peer NAME", detail) of each node that gets results; nothing of one that cannot be reached.

    `readfirst check` names the reason elsewhere.
    """
    requestor = Requestor.of(settings)
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
        if kinds()[kind].sop_class_uid in accepted:
            yield True, f"accepts {_name(kind)}"
            continue
        other = next((one for one in fallbacks(kind) if fallback and kinds()[one].sop_class_uid in accepted), None)
        if other is None:
            yield False, f"does NOT accept {_name(kind)}, nor a fallback of it: it will wait"
        else:
            yield True, f"does not accept {_name(kind)}: gets {_name(other)} instead"


def _name(kind: str) -> str:
    return f"{kinds()[kind].sop_class_uid.name} ({kind})"
