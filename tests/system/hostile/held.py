"""What lasts during the whole attack: open associations, senders and receivers that crawl, idle MLLP connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from tests.fuzz import wire
from tests.fuzz.caller import Caller
from tests.node.phantoms import INSTANCE, STUDY, encoded, image
from tests.system.faults.accounts import parts
from tests.system.faults.house import IDLE
from tests.system.hostile.kind import Answer, Condition
from tests.system.hostile.limited import OTHER, Site
from tests.system.hostile.raw import in_own_study
from tests.waiting import wait_until

Answers = Callable[[], Iterable[Answer]]
_PAUSE = 0.3  # seconds between the bytes of a sender that crawls
_COMPLETE = 60.0  # seconds: a study whose association stays open is complete after 15 quiet times


@contextmanager
def _background(*doings: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run them in threads until the body ends."""
    over = threading.Event()
    threads = [threading.Thread(target=doing, args=(over,), daemon=True) for doing in doings]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


class _Open:
    """An association that stores an instance and stays, with a C-ECHO now and then."""

    def __init__(self, site: Site) -> None:
        self.caller = Caller(site.house.port)
        self.caller.send(wire.association_request(calling=OTHER.encode()))
        assert self.caller.read() == "AC"
        uid, dataset = in_own_study(INSTANCE, encoded(image()))
        self.study = uid[: len(STUDY)].decode()
        self.caller.send(wire.stored(uid, dataset))
        assert self.caller.read() == "0x0000"

    def stay(self, over: threading.Event) -> None:
        with self.caller.sock, suppress(OSError, AssertionError):
            while not over.wait(IDLE / 4):
                self.caller.send(wire.pdu(wire.P_DATA, wire.item(wire.echo(), wire.WHOLE, 3)))
                assert self.caller.read() == "0x0000"


@contextmanager
def _open_associations(site: Site, count: int) -> Iterator[Answers]:
    held = [_Open(site) for _ in range(count)]
    with _background(*(one.stay for one in held)):

        def answers() -> Iterator[Answer]:
            for one in held:
                wait_until(lambda one=one: one.study not in site.unfinished(), one.study, _COMPLETE)  # type: ignore[misc]
                yield Answer(one.study, "complete while it is open")

        yield answers


@contextmanager
def _crawling_senders(site: Site, count: int) -> Iterator[Answers]:
    """One half begins a request, the other a Data Set, and each sends a byte now and then."""
    ends: list[str] = []

    def crawl(over: threading.Event, established: bool) -> None:
        caller = Caller(site.house.port)
        request = wire.association_request(calling=OTHER.encode())
        uid, dataset = in_own_study(INSTANCE, encoded(image()))
        stream = wire.stored(uid, dataset)
        with caller.sock, suppress(OSError):
            if established:
                caller.send(request)
                caller.read()
            for byte in stream if established else request:
                if over.wait(_PAUSE) or not caller.send(bytes([byte])):
                    break
        ends.append("held until the end" if over.is_set() else "ended by the node")

    halves = [(lambda over, half=number % 2: crawl(over, bool(half))) for number in range(count)]  # type: ignore[misc]
    with _background(*halves):
        yield lambda: [Answer(str(number), end) for number, end in enumerate(ends + ["open"] * (count - len(ends)))]
    wait_until(lambda: not parts(site.house), "what was received of crawling senders stays", 3 * IDLE)


@contextmanager
def _idle_orders(site: Site, count: int) -> Iterator[Answers]:
    """MLLP connections that send nothing, or the first half of a message; HL7 is answered all the same."""
    connections = [socket.create_connection(("127.0.0.1", site.orders), timeout=20) for _ in range(10 * count)]
    for connection in connections[::2]:
        connection.sendall(b"\x0bMSH|^~\\&|RIS")
    try:
        yield lambda: [Answer(str(number), "connected") for number in range(len(connections))]
    finally:
        for connection in connections:
            connection.close()


@contextmanager
def _slow_receivers(site: Site, _count: int) -> Iterator[Answers]:
    """They are peers of the configuration: each object is to be sent to them, too."""

    def answers() -> Iterator[Answer]:
        for number, _ in enumerate(site.slow):
            errors = site.undelivered(f"slow{number}")
            yield Answer(f"slow{number}", "objects wait" if errors else "nothing waits")

    yield answers


CONDITIONS = (
    Condition("associations that stay open", _open_associations, few=2, many=3),
    Condition("senders that crawl", _crawling_senders, few=2, many=4),
    Condition("idle MLLP connections", _idle_orders, few=2, many=2),
    Condition("receivers that crawl, hang or refuse", _slow_receivers),
)
