"""Plays a case of `cases.py` on a raw socket."""

from __future__ import annotations

import socket
import struct

from node.upperlayer.socket_reader import read_exactly
from tests.fuzz import wire
from tests.fuzz.cases import Case

PATIENCE = 15.0  # seconds until the next PDU


class Caller:
    """A raw connection; `read` gives the words of `tests.fuzz.cases`."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> bool:
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def read(self) -> str:
        try:
            kind, length = struct.unpack(">BxL", read_exactly(self.sock.recv, 6))
            body = read_exactly(self.sock.recv, length)
        except (EOFError, ConnectionResetError):
            return "ended"
        if kind == wire.P_DATA:
            return f"0x{wire.status(body[6:]):04X}"
        return {wire.AC: "AC", wire.RJ: "RJ", wire.RELEASED: "RP", wire.ABORT: "ended"}[kind]


def play(port: int, case: Case) -> list[str]:
    """The words that a case is answered."""
    caller = Caller(port)
    with caller.sock:
        if case.established:
            caller.send(wire.association_request(case.contexts))
            assert caller.read() == "AC"
        for data in case.sends():
            if not caller.send(data):
                break
        words = [caller.read()]
        while len(words) < len(case.ends) and words[-1] != "ended":
            words.append(caller.read())
        if words[-1] == "AC":
            caller.send(wire.pdu(wire.RELEASE, bytes(4)))
            assert caller.read() == "RP"
    return words
