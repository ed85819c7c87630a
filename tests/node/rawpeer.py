"""A storage SCP made of raw bytes, to say what no library would."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import MaximumLengthNotification

from node.dicom.dimse import StoreRequest, read_store_request, store_response
from node.upperlayer.pdata import COMMAND, LAST, values
from node.upperlayer.requestor import RequestingAE
from node.upperlayer.socket_reader import read_exactly

P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 4, 5, 6, 7


class Said:
    """The peer's end of an association."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.longest = 0

    def whole(self, count: int) -> bytes:
        return read_exactly(self.sock.recv, count)

    def pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxL", self.whole(6))
        self.longest = max(self.longest, length) if kind == P_DATA else self.longest
        return kind, self.whole(length)

    def message(self) -> bytes:
        """The next message: a command set or a Data Set."""
        message = b""
        while True:
            kind, body = self.pdu()
            assert kind == P_DATA
            for _, control, data in values(body):
                message += data
                if control & LAST:
                    return message

    def request(self) -> StoreRequest:
        asked = read_store_request(self.message())
        assert asked is not None
        return asked

    def say(self, kind: int, body: bytes) -> None:
        self.sock.sendall(struct.pack(">BxL", kind, len(body)) + body)

    def answer(self, asked: StoreRequest, status: int = 0) -> None:
        self.say(P_DATA, item(store_response(asked, status)))

    def take(self) -> tuple[StoreRequest, bytes]:
        asked = self.request()
        dataset = self.message()
        self.answer(asked)
        return asked, dataset

    def released(self) -> None:
        assert self.pdu()[0] == RELEASE_RQ
        self.say(RELEASE_RP, bytes(4))

    def aborted(self) -> None:
        """What comes until the A-ABORT are whole PDUs."""
        while self.pdu()[0] != ABORT:
            pass


def item(data: bytes, control: int = COMMAND | LAST, context: int = 1) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context, control) + data


def accepting(body: bytes, maximum: int) -> bytes:
    """A-ASSOCIATE-AC of everything that the request asks for."""
    request = A_ASSOCIATE_RQ()
    request.decode(struct.pack(">BxL", 1, len(body)) + body)
    primitive = request.to_primitive()
    contexts = primitive.presentation_context_definition_list
    for context in contexts:
        context.result = 0
    primitive.presentation_context_definition_results_list = contexts
    for part in primitive.user_information:
        if isinstance(part, MaximumLengthNotification):
            part.maximum_length_received = maximum
    primitive.result = 0
    accepted = A_ASSOCIATE_AC()
    accepted.from_primitive(primitive)
    return bytes(accepted.encode())


@contextmanager
def called(peer: Callable[[Said], None], maximum: int = 16384, seconds: float = 20.0) -> Iterator[Association]:
    """An association with a peer that does after the negotiation what `peer` does; its failures are ours."""
    failed: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                sock, _ = listener.accept()
                with sock:
                    sock.settimeout(20)
                    said = Said(sock)
                    sock.sendall(accepting(said.pdu()[1], maximum))
                    peer(said)
            except BaseException as error:  # noqa: BLE001  # it fails the test, in the thread of the test
                failed.append(error)

        thread = Thread(target=serve)
        thread.start()
        ae = RequestingAE("US")
        ae.acse_timeout = ae.network_timeout = 20.0
        ae.dimse_timeout = seconds
        port = listener.getsockname()[1]
        association = ae.associate("127.0.0.1", port, [build_context(CTImageStorage, ExplicitVRLittleEndian)])
        assert association.is_established
        try:
            yield association
        finally:
            if association.is_established:
                association.release()
            thread.join(20)
        if failed:
            raise failed[0]
