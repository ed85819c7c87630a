"""Senders that stop in the middle, fall silent, or send the same at once."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from tests.node.upperlayer.test_acceptor import Caller, called
from tests.system.faults.accounts import Accounts, count, parts
from tests.system.faults.fault import Fault, Ground
from tests.system.faults.house import IDLE, House
from tests.system.faults.sender import Sender, begin
from tests.system.faults.studies import Image, Study
from tests.waiting import wait_until

_TCP_REPAIR = 19  # Linux: a socket that is closed in this mode vanishes without a word
_LARGE = 1_000_000  # bytes
_SILENT = 5  # with the 4 that vanish, one less than node.max_associations


def aborted(ground: Ground, tries: int, rng: random.Random) -> Accounts:
    """A-ABORT, RST or FIN at a random byte of an object; then it is sent again."""
    house, sent = ground.house, list[Study]()
    for number in range(tries):
        study = house.patients.next(padding=_LARGE)
        sent.append(study)
        house.sender.push(study[:3])
        _begin_and_leave(house, study[3], rng, ("abort", "reset", "close")[number % 3])
        wait_until(lambda: not parts(house), "what came of an aborted association stays", 2 * IDLE)
        house.sender.push(study)
    return count(house, sent)


def half_open(ground: Ground, tries: int, rng: random.Random) -> Accounts:
    """Peers that vanish without a word, in an object or before they said anything; nobody else waits for them."""
    house, sent = ground.house, list[Study]()
    for _ in range(tries):
        study = house.patients.next(padding=_LARGE)
        sent.append(study)
        house.sender.push(study[:3])
        for image in study[3:]:
            _begin_and_leave(house, image, rng, "vanish")
        with ExitStack() as silent:
            for _ in range(_SILENT):
                silent.enter_context(socket.create_connection(house.address))
            since = time.monotonic()
            house.sender.push(study)
            assert time.monotonic() - since < IDLE, "silent peers held up the others"
        wait_until(lambda: not parts(house), "what came of a peer that vanished stays", 3 * IDLE)
    return count(house, sent)


def same_study_at_once(ground: Ground, tries: int, rng: random.Random) -> Accounts:
    """Two halves that overlap, over two associations at once."""
    house, sent = ground.house, list[Study]()
    for _ in range(tries):
        study = house.patients.next()
        sent.append(study)
        both = rng.sample(study, 5), rng.sample(study, 5)
        _at_once([partial(house.sender.push, half) for half in both])
        house.sender.push(study)
    return count(house, sent)


def same_instance_at_once(ground: Ground, tries: int, _rng: random.Random) -> Accounts:
    """The same bytes over four associations at once."""
    house, sent = ground.house, list[Study]()
    for _ in range(tries):
        study = house.patients.next(padding=_LARGE)
        sent.append(study)
        _at_once([partial(_send_anew, house, study)] * 4)
    return count(house, sent)


def same_uid_at_once(ground: Ground, tries: int, _rng: random.Random) -> Accounts:
    """Two contents under the same UIDs over four associations at once; both are kept, one is analysed."""
    house, sent = ground.house, list[Study]()
    for _ in range(tries):
        study = house.patients.next(padding=_LARGE)
        other = tuple(house.patients.changed(image) for image in study)
        sent.append(study + other)
        _at_once([partial(_send_anew, house, one) for one in (study, other, study, other)])
    return count(house, sent)


def resent(ground: Ground, tries: int, rng: random.Random) -> Accounts:
    """The whole study again while it is analysed: no second analysis, no second result."""
    house, sent = ground.house, list[Study]()
    for _ in range(tries):
        study = house.patients.next()
        sent.append(study)
        house.sender.push(study)
        for _ in range(4):
            time.sleep(rng.uniform(0.0, 0.6))
            _send_anew(house, study)
    return count(house, sent)


def _send_anew(house: House, images: Sequence[Image]) -> None:
    """Also what was answered Success before."""
    other = Sender(house.port)
    other.push(images)
    house.sender.answered |= other.answered


def _at_once(doings: Sequence[Callable[[], None]]) -> None:
    faults: list[BaseException] = []
    barrier = threading.Barrier(len(doings))

    def do(doing: Callable[[], None]) -> None:
        barrier.wait(10)
        try:
            doing()
        except BaseException as fault:  # noqa: BLE001  # raised by the thread that waits
            faults.append(fault)

    threads = [threading.Thread(target=do, args=(doing,)) for doing in doings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def _begin_and_leave(house: House, image: Image, rng: random.Random, how: str) -> None:
    with called(house) as caller:
        begin(caller, image, rng.randrange(1, len(image.data_set)))
        wait_until(lambda: parts(house), "it was not begun")
        _LEAVE[how](caller)


def _abort(caller: Caller) -> None:
    caller.pdu(7, bytes(4))


def _reset(caller: Caller) -> None:
    caller.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _vanish(caller: Caller) -> None:
    caller.sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)


_LEAVE: dict[str, Callable[[Caller], None]] = {
    "abort": _abort, "reset": _reset, "close": lambda _caller: None, "vanish": _vanish,
}  # fmt: skip
FAULTS = (
    Fault(
        "association aborted in an object",
        "A-ABORT, RST, FIN at a random byte; no part stays, then it is sent again",
        aborted,
        9,
    ),
    Fault(
        "half-open sockets",
        "4 peers vanish in an object (TCP_REPAIR), 5 say nothing; others are taken at once, no part stays",
        half_open,
        2,
    ),
    Fault("same study at once", "overlapping halves over two associations", same_study_at_once, 10),
    Fault(
        "same instance at once", "the same bytes over four associations: one row, one file", same_instance_at_once, 5
    ),
    Fault(
        "same UID at once, other bytes",
        "two contents over four associations: both kept, one analysed",
        same_uid_at_once,
        5,
    ),
    Fault(
        "resent during analysis", "the whole study four times more within 2 s: one generation, one analysis", resent, 10
    ),
)
