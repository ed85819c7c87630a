"""The healthy sender and receiver: a study again and again, and how long its results take to reach the receiver."""

from __future__ import annotations

import threading
import time

from tests.system.faults.accounts import settle
from tests.system.faults.house import House
from tests.system.faults.studies import Study


class Healthy(threading.Thread):
    """Sends a study, waits until receiver and RIS have what it led to, then sends the next one."""

    def __init__(self, house: House) -> None:
        super().__init__(daemon=True)
        self._house, self._over = house, threading.Event()
        self.sent: list[Study] = []
        self.seconds: list[float] = []
        self._fault: BaseException | None = None

    def once(self) -> None:
        """One study."""
        study = self._house.patients.next()
        self.sent.append(study)
        begin = time.monotonic()
        self._house.sender.push(study)
        settle(self._house, [study])
        self.seconds.append(time.monotonic() - begin)

    def some(self, count: int) -> list[float]:
        """So many studies one after the other, and the seconds of each."""
        self.seconds = []
        for _ in range(count):
            self.once()
        seconds, self.seconds = self.seconds, []
        return seconds

    def run(self) -> None:
        """Until the end."""
        try:
            while not self._over.is_set():
                self.once()
        except BaseException as fault:  # noqa: BLE001  # raised by the thread that waits
            self._fault = fault

    def end(self) -> None:
        """After the study that is on its way."""
        self._over.set()
        self.join()
        if self._fault:
            raise self._fault
