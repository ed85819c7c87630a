"""A sender that writes down what was answered Success, and sends the rest again, as a modality does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, _config, build_context

from tests.system.faults.studies import Image, Study

_config.STORE_SEND_CHUNKED_DATASET = True  # files go out as they are
NAME = "SCANNER"
_PATIENCE = 180.0  # seconds
_AGAIN = 0.1


class Sender:
    """Sends to one node, and remembers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered: set[Image] = set()
        """Answered Success."""
        self.statuses: list[int] = []
        """All others that were answered."""

    def send(self, images: Sequence[Image]) -> bool:
        """Send what was not answered Success yet over one association; whether nothing is left."""
        ae = AE(NAME)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 90.0
        ae.connection_timeout = 5.0
        context = build_context(CTImageStorage, ExplicitVRLittleEndian)
        association = ae.associate("127.0.0.1", self._port, [context], ae_title="READFIRST")
        for image in images:
            if not association.is_established:
                return False
            if image not in self.answered:
                self._note(image, association.send_c_store(image.path).get("Status"))
        if association.is_established:
            association.release()
        return self.answered.issuperset(images)

    def push(self, images: Sequence[Image]) -> None:
        """Send again and again until each was answered Success."""
        deadline = time.monotonic() + _PATIENCE
        while not self.send(images):
            if time.monotonic() > deadline:
                raise AssertionError(f"not taken within {_PATIENCE:g} s; statuses {self.statuses[-5:]}")
            time.sleep(_AGAIN)

    def _note(self, image: Image, status: int | None) -> None:
        if status == 0x0000:
            self.answered.add(image)
        elif status is not None:
            self.statuses.append(status)


class Stream:
    """Studies that are pushed one after the other in the background; at least `least`, and until the body ends."""

    def __init__(self, sender: Sender, following: Callable[[], Study], least: int = 0, pause: float = 0.0) -> None:
        self._sender, self._following, self._least, self._pause = sender, following, least, pause
        self._began, self._stop = threading.Event(), threading.Event()
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

    def await_next(self) -> None:
        """Wait until the next study begins to be sent."""
        self._began.clear()
        while not self._began.wait(0.5):
            if not self._thread.is_alive():
                raise AssertionError("the stream has ended") from self._fault

    def _run(self) -> None:
        try:
            while len(self.studies) < self._least or not self._stop.is_set():
                self.studies.append(self._following())
                self._began.set()
                self._sender.push(self.studies[-1])
                self._stop.wait(self._pause)
        except BaseException as fault:  # said by the thread that waits
            self._fault = fault
