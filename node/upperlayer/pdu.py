"""Which PDUs may be acted on: what pynetdicom accepts and then fails over is invalid here."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import TRANSITION_TABLE, StateMachine

from node.upperlayer.pdata import HEADER, InvalidPDU

_OURS = frozenset({"Evt7", "Evt8", "Evt9", "Evt11", "Evt14", "Evt15"})  # requests of our side to send, PS3.8 9.2.2


def decoded(layer: DULServiceProvider, kind: int, body: bytes) -> tuple[object, str]:
    """A PDU as pynetdicom has it, and the state machine's event; InvalidPDU where it is none."""
    try:
        pdu, event = layer._decode_pdu(bytearray(HEADER.pack(kind, len(body)) + body))
    except Exception as error:  # pynetdicom raises whatever it met in the bytes; all of it means the same here
        raise InvalidPDU("a PDU cannot be decoded") from error
    return pdu, event


def put_layer(association: Association, layer: DULServiceProvider) -> None:
    """Give an association another upper layer."""
    association.dul = layer
    for name in ("acse_timeout", "dimse_timeout", "network_timeout"):  # they set timers of the layer
        setattr(association, name, getattr(association, name))


class AcceptorStateMachine(StateMachine):  # type: ignore[misc]
    """pynetdicom's state machine, for which a PDU that it cannot act on is an invalid one (PS3.8 9.2.2: Evt19)."""

    def do_action(self, event: str) -> None:
        """Do what an event means; one that fails ends the association and not this thread."""
        if event in _OURS and (event, self.current_state) not in TRANSITION_TABLE:
            with suppress(Empty):  # pynetdicom may have made two events of one response
                self.dul.to_provider_queue.get(block=False)  # one that is too late: the association has ended
            return
        try:
            super().do_action(event)
        except Exception:
            if event == "Evt19":
                raise
            self.dul._kill_thread = False  # the parent has set it
            self.dul.refuse("a message or a request cannot be understood", answered=event != "Evt16")
