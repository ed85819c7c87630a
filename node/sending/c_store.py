"""C-STORE requests whose Data Sets go from the file to the socket as they lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO

from pynetdicom.association import Association

from node.dicom.dimse import StoreRequest, read_store_response, store_request
from node.dicom.part10 import Part10
from node.errors import NothingAccepted, PeerError, UnreadableInstance
from node.upperlayer.pdata import COMMAND, LAST, LONGEST_COMMAND, P_DATA, InvalidPDU, capacity, cut, values
from node.upperlayer.requestor import AssociationEnded, PduChannel, exclusive_channel

BURST = 1 << 20  # bytes of a file that are in memory at once
_MOST_PIECES = 500  # of one burst; with what stands before each they stay below IOV_MAX, 1024
_LOW = 2  # Priority (0000,0700), PS3.7 9.1.1.1
_MOST_MESSAGE_IDS = 0xFFFF


@contextmanager
def outgoing(association: Association) -> Iterator[Outgoing]:
    """A sender over an established association; PeerError where the peer takes no PDU that could hold anything."""
    size = capacity(association.dimse.maximum_pdu_size)
    if not size:
        raise PeerError("the peer's Maximum Length Received leaves no room for a message")
    accepted = {
        (str(context.abstract_syntax), str(context.transfer_syntax[0])): int(context.context_id)
        for context in association.accepted_contexts
        if context.as_scu
    }
    with exclusive_channel(association) as channel:
        yield Outgoing(channel, accepted, size)


class Outgoing:
    """Sends instances one after the other, each when the one before was answered.

    Parameters
    ----------
    contexts
        Presentation context ID by SOP class and transfer syntax.
    size
        Most bytes of a message in one PDU.
    """

    def __init__(self, channel: PduChannel, contexts: dict[tuple[str, str], int], size: int) -> None:
        self._channel, self._context_ids, self._size = channel, contexts, size
        self._buffer = memoryview(bytearray(min(_MOST_PIECES, max(1, BURST // size)) * size))
        self._message_id = 0

    def store(self, file: Part10) -> int:
        """Send an instance; its answer's status (PS3.4 B.2.3).

        Raises
        ------
        NothingAccepted
            The peer accepted no presentation context for its SOP class and transfer syntax.
        UnreadableInstance
            The file cannot be read; nothing was sent.
        AssociationEnded
            The association is over.
        """
        if self._channel.over or self._channel.pending:
            raise self._ended_between()
        context_id = self._context_ids.get((file.sop_class_uid, file.transfer_syntax_uid))
        if context_id is None:
            raise NothingAccepted("no presentation context for its SOP class and transfer syntax")
        self._message_id = self._message_id % _MOST_MESSAGE_IDS + 1
        try:
            early = self._send(file, context_id)
            return self._answer(context_id, early)
        except InvalidPDU as error:
            raise self._channel.refuse() from error

    def _ended_between(self) -> AssociationEnded:
        """No request is open, so whatever the peer sends now ends the association."""
        if not self._channel.over:
            try:
                kind, body = self._channel.receive()
                if kind == P_DATA:
                    raise InvalidPDU("there is nothing to answer")
                self._channel.hand_over(kind, body)
            except InvalidPDU:
                self._channel.refuse()
            except AssociationEnded:
                pass
        return self._channel.end("the peer ended the association")

    def _send(self, file: Part10, context_id: int) -> list[bytes]:
        """Send the request; the bodies of PDUs in which the peer answered before it had everything."""
        request = StoreRequest(self._message_id, file.sop_class_uid, file.sop_instance_uid, _LOW)
        command, early = memoryview(store_request(request)), list[bytes]()
        parts = list(cut(command, context_id, self._size, COMMAND))
        for burst, last in self._bursts(file):
            parts += cut(burst, context_id, self._size, 0, ends=last)
            self._channel.send(parts)
            parts = []
            while not last and self._channel.pending:
                early.append(self._answering())
        return early

    def _bursts(self, file: Part10) -> Iterator[tuple[memoryview, bool]]:
        """The Data Set piece by piece in one buffer, and whether it is the last; at least one."""
        left = file.size
        try:
            with file.path.open("rb", buffering=0) as content:
                content.seek(file.dataset_at)
                while True:
                    piece = self._buffer[: min(left, len(self._buffer))]
                    _fill(piece, content)
                    left -= len(piece)
                    yield piece, not left
                    if not left:
                        return
        except (EOFError, OSError) as error:
            reason = "it became shorter" if isinstance(error, EOFError) else error.strerror
            if left == file.size:
                raise UnreadableInstance(reason) from error
            raise self._channel.end(f"the file could not be read to its end: {reason}") from error

    def _answer(self, context_id: int, early: list[bytes]) -> int:
        command = b""
        while len(command) < LONGEST_COMMAND:
            for number, control, data in values(early.pop(0) if early else self._answering()):
                if number != context_id or not control & COMMAND:
                    raise InvalidPDU("it is no answer")
                command += data
                if control & LAST:
                    return self._status(command)
        raise InvalidPDU("no command set is so long")

    def _answering(self) -> bytes:
        kind, body = self._channel.receive()
        if kind != P_DATA:
            raise self._channel.hand_over(kind, body)
        return body

    def _status(self, command: bytes) -> int:
        response = read_store_response(command)
        if response is None or response.responded_to != self._message_id:
            raise self._channel.end("the peer did not answer with the response to this C-STORE request")
        return response.status


def _fill(piece: memoryview, content: FileIO) -> None:
    at = 0
    while at < len(piece):
        count = content.readinto(piece[at:])
        if not count:
            raise EOFError
        at += count
