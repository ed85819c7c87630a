"""Storage commitment (PS3.4 Annex J): receivers are asked whether they keep our results, and senders may ask us.

A result is delivered only when its receiver has committed to it, or shows it when queried. Either side may report on
the association of the question or on one that it opens itself, later; questions and transactions are in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pynetdicom import build_context, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel

from node.commitment.loop import Loop, keeping_promises
from node.commitment.provider import Provider
from node.dicom.contexts import COMMITMENT_SOP_CLASSES, PLAIN_TRANSFER_SYNTAXES
from node.receiving.c_store import Receiver

__all__ = ["Loop", "contexts", "handlers", "keeping_promises"]

Handler = tuple[Any, Callable[[Any], Any]]


def contexts() -> list[PresentationContext]:
    """What the SCP accepts: a sender asks as SCU (the default role), a receiver reports as SCP (PS3.7 D.3.3.4)."""
    found = [build_context(sop_class, list(PLAIN_TRANSFER_SYNTAXES)) for sop_class in COMMITMENT_SOP_CLASSES]
    for context in found:
        context.scu_role = context.scp_role = True
    return found


def handlers(receiver: Receiver, others: Sequence[Handler]) -> list[Handler]:
    """The handlers of storage commitment and of `others`, whose N-ACTION is theirs in other presentation contexts."""
    provider = Provider(receiver)
    act = dict(others)[evt.EVT_N_ACTION]

    def n_action(event: Any) -> Any:
        ours = event.context.abstract_syntax == StorageCommitmentPushModel
        return provider.n_action(event) if ours else act(event)

    return [
        *(one for one in others if one[0] != evt.EVT_N_ACTION),
        (evt.EVT_N_ACTION, n_action),
        (evt.EVT_N_EVENT_REPORT, provider.n_event_report),
    ]
