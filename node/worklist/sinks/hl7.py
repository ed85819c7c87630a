"""The sink `hl7`: one message over MLLP, its acknowledgement awaited (HL7 v2 chapter 2, original mode)."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import partial

from node.errors import NotAccepted, NotTaken, SinkUnreachable
from node.hl7.charsets import codec
from node.hl7.er7 import Message, NotHl7
from node.hl7.mllp import Blocks, block
from node.settings import Hl7Sink, Settings, Tls
from node.settings.base import tls_of
from node.tls.renewal import renewed_client_context
from node.upperlayer.socket_reader import Deadline, receive
from node.worklist.items.priority import Priority
from node.worklist.sinks import OnQuery, register
from node.worklist.sinks.facts import FINDING, Notice, facts
from node.worklist.sinks.template import Template

PRIORITIES = {"HIGH": "S", "MEDIUM": "R", "LOW": "R"}  # HL7 table 0485
_SAMPLE = Notice("0" * 20, "2.25.1", "2.25.2", "HIGH", "a sample", 0.0, {"attributes": {}, "findings": [FINDING]})
_MOST = 1 << 20  # bytes of an acknowledgement


# MSA-1, HL7 table 0008, also of the enhanced mode; after all others (AE, CE) the message is sent again
ACCEPTED, REFUSED = ("AA", "CA"), ("AR", "CR")


@dataclass(frozen=True, slots=True)
class Hl7:
    """One receiver and the messages that it is sent."""

    table: Hl7Sink
    tls: Tls | None
    template: Template

    @property
    def where(self) -> str:
        """Where messages go, for people."""
        return f"MLLP {self.table.host}:{self.table.port}"

    @property
    def longest(self) -> float:
        """Seconds that `send` may take."""
        return 2 * self.table.timeout

    @property
    def least(self) -> Priority:
        """HIGH: a message of routine would take the urgency from an order that a person had made."""
        return Priority.HIGH

    def reach(self) -> str:
        """Connect and leave."""
        self._connect().close()
        return f"{self.where} accepts connections"

    def preview(self, notice: Notice) -> str:
        """The message, a line a segment."""
        return self._message(notice).replace("\r", "\n")

    def send(self, notice: Notice) -> str:
        """Send the message and wait for its acknowledgement; what was acknowledged."""
        message = block(self._message(notice).encode(codec(self.table.encoding), "replace"))
        deadline = Deadline(self.table.timeout)
        with self._connect() as connection:
            try:
                connection.settimeout(deadline.seconds_left)
                connection.sendall(message)
                return self._await(connection, deadline, notice.control_id)
            except TimeoutError as error:
                raise SinkUnreachable(f"no acknowledgement within {self.table.timeout:g} s") from error
            except OSError as error:
                raise NotTaken(f"the connection broke before the acknowledgement: {error.strerror or error}") from error

    def _message(self, notice: Notice) -> str:
        table = self.table
        names = facts(notice) | {
            "sender": {"application": table.sending_application, "facility": table.sending_facility},
            "receiver": {"application": table.receiving_application, "facility": table.receiving_facility},
            "processing_id": table.processing_id,
            "character_set": table.encoding,
            "priority_code": (PRIORITIES | table.priorities)[notice.priority],
        }
        return self.template.render(names)

    def _connect(self) -> socket.socket:
        try:
            plain = socket.create_connection((self.table.host, self.table.port), self.table.timeout)
            return self._secured(plain) if self.tls else plain
        except OSError as error:
            raise SinkUnreachable(f"{self.where} cannot be reached: {error.strerror or error}") from error

    def _secured(self, plain: socket.socket) -> socket.socket:
        assert self.tls is not None
        try:
            return renewed_client_context(self.tls).context().wrap_socket(plain, server_hostname=self.table.host)
        except BaseException:
            plain.close()
            raise

    def _await(self, connection: socket.socket, deadline: Deadline, control_id: str) -> str:
        """Acknowledgements of other messages are ignored: ours may follow."""
        blocks, other = Blocks(partial(receive, connection, deadline), _MOST), ""
        while (content := blocks.read()) is not None:
            acknowledgement = _read(content, self.table.encoding)
            if acknowledgement.control_id == control_id:
                return acknowledgement.settle()
            other = ", it acknowledged another message"
        raise NotTaken(f"the receiver ended the connection without an acknowledgement{other}")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """MSA-1, MSA-2 and the code of the first error; free text, which may name a patient, is left where it is."""

    code: str
    control_id: str
    error: str

    def settle(self) -> str:
        """What was acknowledged, or the error that it means."""
        acknowledged = f"MSA {self.code[:2]!r}" + (f", error {self.error}" if self.error else "")
        if self.code in ACCEPTED:
            return f"MSA {self.code} for {self.control_id}"
        if self.code in REFUSED:
            raise NotAccepted(f"the receiver refused the message: {acknowledged}")
        raise NotTaken(f"the receiver did not take the message: {acknowledged}")


def _read(content: bytes, default: str) -> Acknowledgement:
    try:
        message = Message(content, default)
    except NotHl7 as error:
        raise NotTaken(f"the acknowledgement cannot be read: {error}") from error
    acknowledgement, fault = message.first("MSA"), message.first("ERR")
    code = fault.value(3) or fault.value(1, 4)  # ERR-3 since 2.5, before that ERR-1.4; HL7 table 0357
    return Acknowledgement(
        acknowledgement.value(1), acknowledgement.value(2), code if code.isalnum() and len(code) <= 8 else ""
    )


@register("hl7", Hl7Sink)
def make(table: Hl7Sink, settings: Settings, _on_query: OnQuery) -> Hl7:
    """The sink of `[worklist.hl7]`; ConfigurationError where its template cannot be used."""
    sink = Hl7(table, tls_of(table.tls, settings.node.tls), Template(table.message, table.template))
    sink.preview(_SAMPLE)  # an unknown name is found now, and not with the first urgent study
    return sink
