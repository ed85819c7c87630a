"""pynetdicom's private parts: only node.upperlayer uses them, its list is complete, and each is what we take it for."""

from __future__ import annotations

import ast
import inspect
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pynetdicom
import pytest
from pynetdicom import AE, _config, acse, ae, association, dimse, dul, events, fsm, transport
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import TRANSITION_TABLE
from pynetdicom.pdu import A_RELEASE_RQ
from pynetdicom.sop_class import Verification
from pynetdicom.transport import AssociationSocket

from node import upperlayer
from node.upperlayer.acceptor import AcceptedAssociation, accepted_context
from node.upperlayer.pdu import AcceptorStateMachine
from node.upperlayer.requestor import RequestedAssociation
from tests.node.conftest import House
from tests.node.pdus import pdu
from tests.node.test_scp import CT
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]
MODULES = (acse, ae, association, dimse, dul, events, fsm, transport)
RELEASE = pdu(5, bytes(4))
Associate = Callable[..., Association]


def private(tree: ast.AST, *, ours: bool) -> Iterator[str]:
    """Private names that a module defines or reads; without `ours` only those of other objects than itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (ours or ast.unparse(node.value) not in ("self", "cls")):
            name = node.attr
        elif isinstance(node, ast.FunctionDef) and ours:
            name = node.name
        elif isinstance(node, ast.alias):
            name = node.name.rpartition(".")[2]
        else:
            continue
        if name.startswith("_") and not name.startswith("__"):
            yield name


PYNETDICOMS = {"_config"}.union(*(private(ast.parse(inspect.getsource(module)), ours=True) for module in MODULES))


def used(path: Path, *, ours: bool) -> set[str]:
    return PYNETDICOMS.intersection(private(ast.parse(path.read_text()), ours=ours))


def listed() -> list[tuple[str, set[str], str]]:
    """Name, files and contract test of each row of the list."""
    _, _, rows, _ = [part.strip("\n") for part in (upperlayer.__doc__ or "").split("=\n")]
    columns = [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in rows.splitlines()[:-1]]
    return [(name, set(files.split(", ")), test) for name, files, _why, test in columns]


def test_the_list_is_what_the_code_uses() -> None:
    found = {path.stem: used(path, ours=True) for path in (ROOT / "node" / "upperlayer").glob("*.py")}
    assert {name: files for name, files, _ in listed()} == {
        name: {stem for stem, names in found.items() if name in names} for name in set().union(*found.values())
    }
    assert {test for _, _, test in listed()} <= globals().keys()


def test_nobody_else_uses_any() -> None:
    paths = [path for top in ("node", "workers", "models") for path in (ROOT / top).rglob("*.py")]
    elsewhere = [path for path in paths if path.parent.name != "upperlayer"]
    assert len(elsewhere) > 200
    assert {path: names for path in elsewhere if (names := used(path, ours=False))} == {}


def test_this_is_the_pynetdicom_that_was_read() -> None:
    """Look at a new version before its number is changed; `node.upperlayer` lists its parts that we use."""
    assert pynetdicom.__version__ == "3.0.4"
    assert {("Evt19", f"Sta{number}") for number in range(2, 14)} <= TRANSITION_TABLE.keys() | {("Evt19", "Sta4")}


@pytest.fixture
def layer() -> Iterator[tuple[DULServiceProvider, socket.socket]]:
    """pynetdicom's own layer of an acceptor, and the other end of its connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        plain = Association(AE("X"), "acceptor")
        plain.set_socket(AssociationSocket(plain, client_socket=ours))
        plain.dul.socket.select_timeout = 0
        plain.dul.event_queue.get()
        yield plain.dul, theirs


def test_configuration() -> None:
    assert (_config.LOG_REQUEST_IDENTIFIERS, _config.LOG_RESPONSE_IDENTIFIERS) == (False, False)
    assert (_config.LOG_HANDLER_LEVEL, _config.STORE_SEND_CHUNKED_DATASET) == ("none", True)


def accepted(house: House, associate: Associate) -> AcceptedAssociation:
    associate(house, CT)
    (found,) = (one for one in threading.enumerate() if isinstance(one, AcceptedAssociation))
    return found


def test_servers(house: House, associate: Associate) -> None:
    server = accepted(house, associate)._server
    assert server.ae._servers == [server]
    server.ae.shutdown()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(house.address)


def test_server(house: House, associate: Associate) -> None:
    one = accepted(house, associate)
    assert one._server.active_associations == [one]


def test_accepted_contexts(house: House, associate: Associate) -> None:
    one = accepted(house, associate)
    assert list(one._accepted_cx.values()) == one.accepted_contexts
    assert accepted_context(one, 1) is one.accepted_contexts[0]
    assert accepted_context(one, 3) is None


def test_serving(monkeypatch: pytest.MonkeyPatch, house: House, associate: Associate) -> None:
    """Follow-ups run behind the response, also those of messages that they serve; a report leaves a pause alone."""
    assert "target=make_target(self.assoc._serve_request)" in inspect.getsource(dimse)
    done = list[str]()

    def serve(one: Association, message: str, _context_id: int) -> None:
        done.append(message)
        one._is_paused = False  # as pynetdicom's ends

    accepting, requesting = accepted(house, associate), RequestedAssociation(AE("X"))
    monkeypatch.setattr(Association, "_serve_request", serve)
    accepting.follow_up(lambda: (accepting.follow_up(lambda: done.append("last")), accepting.serve("nested", 1)))
    accepting._serve_request("first", 1)
    assert done == ["first", "nested", "last"]
    requesting._serve_request("report", 1)
    assert not requesting._is_paused
    requesting._reactor_checkpoint.clear()
    requesting._serve_request("report", 1)
    assert requesting._is_paused


def test_decoding(layer: tuple[DULServiceProvider, socket.socket]) -> None:
    decoded, event = layer[0]._decode_pdu(bytearray(RELEASE))
    assert (type(decoded), event) == (A_RELEASE_RQ, "Evt12")
    with pytest.raises(KeyError):
        layer[0]._decode_pdu(bytearray(b"\x63"))


def test_kill_thread(layer: tuple[DULServiceProvider, socket.socket]) -> None:
    layer[0].state_machine.current_state = "Sta6"
    with pytest.raises(queue.Empty):
        layer[0].state_machine.do_action("Evt9")  # there is no primitive to send
    assert layer[0]._kill_thread


def test_an_event_whose_response_is_gone_ends_no_thread(layer: tuple[DULServiceProvider, socket.socket]) -> None:
    """pynetdicom's reactor makes one for what is in the queue at each look, and the first drops the response."""
    AcceptorStateMachine(layer[0]).do_action("Evt9")


def test_reading(layer: tuple[DULServiceProvider, socket.socket]) -> None:
    plain, theirs = layer
    plain.state_machine.current_state = "Sta6"
    assert not plain._is_transport_event()
    theirs.sendall(RELEASE)
    assert plain._is_transport_event()
    assert (plain.event_queue.get(block=False), type(plain._recv_pdu.get(block=False))) == ("Evt12", A_RELEASE_RQ)
    theirs.close()
    plain._read_pdu_data()
    assert plain.event_queue.get(block=False) == "Evt17"


def test_sending(layer: tuple[DULServiceProvider, socket.socket]) -> None:
    layer[0]._send(A_RELEASE_RQ())
    assert layer[1].recv(100) == RELEASE
    assert "dul._send(" in inspect.getsource(fsm.AR_1)


def test_idle_timer(layer: tuple[DULServiceProvider, socket.socket]) -> None:
    plain = layer[0]
    plain._idle_timer.timeout = 0.01
    plain._idle_timer.restart()
    wait_until(plain.idle_timer_expired)
    plain._idle_timer.timeout = 60
    plain._idle_timer.restart()
    assert not plain.idle_timer_expired()


def test_pause(house: House, associate: Associate) -> None:
    one = associate(house, (Verification, CT[1]))
    one._reactor_checkpoint.clear()
    wait_until(lambda: one._is_paused)
    time.sleep(0.05)
    assert one._is_paused
    one._reactor_checkpoint.set()
    assert one.send_c_echo().Status == 0
