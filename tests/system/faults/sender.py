"""A sender of raw bytes that writes down what was answered Success, and sends the rest again, as a modality does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from tests.node.upperlayer.test_acceptor import COMMAND, LAST, Caller, called, command, item
from tests.system.faults.studies import Image, Study

NAME = "MODALITY"
_PATIENCE = 180.0  # seconds
_AGAIN = 0.1
_ANSWER = 90.0  # seconds
_FRAGMENT = 16000  # bytes
_ENDED = (OSError, EOFError, AssertionError)  # the connection broke, or what came is no answer but an A-ABORT


class Sender:
    """Sends to one node, and remembers."""

    def __init__(self, port: int, ae_title: str = NAME) -> None:
        self.address, self._ae_title = ("127.0.0.1", port), ae_title
        self.answered: set[Image] = set()
        """Answered Success."""
        self.statuses: list[int] = []
        """All others that were answered."""
        self._success = threading.Event()

    def send(self, images: Sequence[Image]) -> bool:
        """Send what was not answered Success yet over one association; whether nothing is left."""
        try:
            with called(self, self._ae_title) as caller:
                caller.sock.settimeout(_ANSWER)
                for image in images:
                    if image not in self.answered:
                        self._note(image, _store(caller, image))
                caller.pdu(5, bytes(4))
                caller.answer()
        except _ENDED:
            return False
        return self.answered.issuperset(images)

    def push(self, images: Sequence[Image]) -> None:
        """Send again and again until each was answered Success."""
        deadline = time.monotonic() + _PATIENCE
        while not self.send(images):
            if time.monotonic() > deadline:
                raise AssertionError(f"not taken within {_PATIENCE:g} s; statuses {self.statuses[-5:]}")
            time.sleep(_AGAIN)

    def await_answer(self) -> None:
        """Wait until the next instance is answered Success."""
        self._success.clear()
        if not self._success.wait(_PATIENCE):
            raise AssertionError(f"nothing was answered Success for {_PATIENCE:g} s")

    def _note(self, image: Image, status: int) -> None:
        if status == 0x0000:
            self.answered.add(image)
            self._success.set()
        else:
            self.statuses.append(status)


def begin(caller: Caller, image: Image, count: int | None = None) -> None:
    """Send a C-STORE-RQ, and the first so many bytes of its Data Set (default: all)."""
    body = image.data_set
    last = len(body) if count is None else count
    caller.pdu(4, item(command(uid=image.sop_instance_uid), COMMAND | LAST))
    for at in range(0, last, _FRAGMENT):
        piece = body[at : min(at + _FRAGMENT, last)]
        caller.pdu(4, item(piece, LAST if at + len(piece) == len(body) else 0))


def _store(caller: Caller, image: Image) -> int:
    begin(caller, image)
    return caller.status()


class Stream:
    """Studies that are pushed one after the other in the background; at least `least`, and until the body ends."""

    def __init__(self, sender: Sender, following: Callable[[], Study], least: int = 0, pause: float = 0.0) -> None:
        self._sender, self._following, self._least, self._pause = sender, following, least, pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._fault: BaseException | None = None
        self.studies: list[Study] = []

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._fault and kind is None:
            raise self._fault

    def _run(self) -> None:
        try:
            while len(self.studies) < self._least or not self._stop.is_set():
                self.studies.append(self._following())
                self._sender.push(self.studies[-1])
                self._stop.wait(self._pause)
        except BaseException as fault:  # noqa: BLE001  # said by the thread that waits
            self._fault = fault
