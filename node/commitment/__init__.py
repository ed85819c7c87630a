"""Storage commitment (PS3.4 Annex J): we request it of receivers for our results, and senders may request it of us.

A result is delivered only when its receiver has committed to it, or shows it when queried. Either side may send
its result on the association of the request or on one that it opens itself, later; both are in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from pynetdicom import build_context, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel

from node.commitment.result_sender import ResultSender
from node.commitment.scp import CommitmentScp
from node.commitment.scu import CommitmentScu
from node.dicom.contexts import COMMITMENT_SOP_CLASSES, PLAIN_TRANSFER_SYNTAXES
from node.ledger.engine import Ledger
from node.loops import running
from node.receiving.c_store import Receiver
from node.settings import Settings

__all__ = ["committing", "contexts", "handlers"]

Handler = tuple[Any, Callable[[Any], Any]]


def contexts() -> list[PresentationContext]:
    """What the SCP accepts: senders request as SCU (the default role), receivers answer as SCP (PS3.7 D.3.3.4)."""
    found = [build_context(sop_class, list(PLAIN_TRANSFER_SYNTAXES)) for sop_class in COMMITMENT_SOP_CLASSES]
    for context in found:
        context.scu_role = context.scp_role = True
    return found


def committing(settings: Settings, ledger: Ledger) -> AbstractContextManager[None]:
    """Request commitment of receivers, and send senders their results, while the body runs."""
    return running("commitment", CommitmentScu(settings, ledger), ResultSender(settings, ledger))


def handlers(receiver: Receiver, others: Sequence[Handler]) -> list[Handler]:
    """The handlers of storage commitment and of `others`, whose N-ACTION is theirs in other presentation contexts."""
    scp = CommitmentScp(receiver)
    act = dict(others)[evt.EVT_N_ACTION]

    def n_action(event: Any) -> Any:
        ours = event.context.abstract_syntax == StorageCommitmentPushModel
        return scp.n_action(event) if ours else act(event)

    return [
        *(one for one in others if one[0] != evt.EVT_N_ACTION),
        (evt.EVT_N_ACTION, n_action),
        (evt.EVT_N_EVENT_REPORT, scp.n_event_report),
    ]
