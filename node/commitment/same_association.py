"""Results over the association of the request, as long as the sender keeps it open (PS3.4 J.3.3.2).

pynetdicom's loop of an association serves one message after the other. This follows a request for commitment: the
response is sent by then, and messages that arrive meanwhile are served here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StorageCommitmentPushModel

from node.commitment.messages import INSTANCE, CommitmentResult, write_result
from node.upperlayer.acceptor import AcceptedAssociation, accepted_context

GRACE_SECONDS = 0.5  # a sender that releases after its request gets its result over another association
ANSWER_SECONDS = 10.0  # to answer the result
_LOOK = 0.005


@dataclass(frozen=True, slots=True)
class RequestAssociation:
    """An association that the peer opened."""

    association: AcceptedAssociation

    def send(self, make: Callable[[], CommitmentResult]) -> CommitmentResult | None:
        """Send a result; None where the peer left, or did not answer it with Success."""
        if self._receive(GRACE_SECONDS, lambda _message: False) is None:
            return None
        context_id = self._context_id()
        if context_id is None:
            return None
        result = make()
        self.association.dimse.send_msg(self._primitive(result, context_id), context_id)
        answer = self._receive(ANSWER_SECONDS, _is_answer)
        return result if answer and answer.Status is not None and answer.Status in _TAKEN else None

    def _receive(self, seconds: float, wanted: Callable[[Any], bool]) -> Any:
        """The first message that is wanted, False where none arrived in time, None where the peer left."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not self.association.is_established or self.association.dul.peek_next_pdu() is not None:
                return None  # it wants to release, or it has aborted: pynetdicom's loop sees to it
            context_id, message = self.association.dimse.get_msg(block=False)
            if message is None:
                time.sleep(_LOOK)
            elif wanted(message):
                return message
            else:
                self.association.serve(message, context_id)
        return False

    def _context_id(self) -> int | None:
        found = [one for one in self.association.accepted_contexts if one.abstract_syntax == StorageCommitmentPushModel]
        return found[0].context_id if found else None

    def _primitive(self, result: CommitmentResult, context_id: int) -> N_EVENT_REPORT:
        event_type, information = write_result(result)
        context = accepted_context(self.association, context_id)
        assert context is not None
        syntax = context.transfer_syntax[0]
        content = encode(information, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        assert content is not None
        primitive = N_EVENT_REPORT()
        primitive.MessageID = 1
        primitive.AffectedSOPClassUID = StorageCommitmentPushModel
        primitive.AffectedSOPInstanceUID = INSTANCE
        primitive.EventTypeID = event_type
        primitive.EventInformation = BytesIO(content)
        return primitive


_TAKEN = {0x0000}


def _is_answer(message: Any) -> bool:
    return isinstance(message, N_EVENT_REPORT) and message.MessageIDBeingRespondedTo is not None
