"""A file received over HTTP, predicted by a worker, answered; all of it within limits of number, size and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from node.data_folder import SpaceGuard
from node.errors import OutOfResources, QueueUnavailable, ReadFirstError
from node.predicting.answer import Problem
from node.predicting.kinds import HEAD, kind_of
from node.predicting.spool import FOLDER, Spool
from node.settings import Settings

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 0.05  # between looks for the answer
_WRITE_BYTES = 1 << 20
_RETRY_SECONDS = 5
_LATE_SECONDS = 15.0  # after its time in which a worker is ended and its answer still comes
Notify = Callable[[str, str, bool, bool, float], None]
"""`node.dispatch.broker.Broker.predict`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a file: one package (empty: all that read it), with maps, with pictures."""

    package: str = ""
    maps: bool = False
    pictures: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and JSON of an answer, and after how many seconds to try again; None where that would not help."""

    status: int
    body: bytes
    retry_after: int | None = None


class Refusal(ReadFirstError):
    """A file is not predicted; `status` is HTTP's."""

    def __init__(self, status: int, sentence: str, *, again: bool = False) -> None:
        super().__init__(sentence)
        self.status, self.again = status, again

    @property
    def reply(self) -> Reply:
        """As it is sent."""
        retry_after = _RETRY_SECONDS if self.again else None
        return Reply(self.status, Problem(error=str(self)).model_dump_json().encode(), retry_after)


class Predictions:
    """What `/predict` does; of one event loop.

    Parameters
    ----------
    notify
        Notifies a worker of a file of the spool; raises QueueUnavailable.
    """

    def __init__(self, settings: Settings, notify: Notify) -> None:
        self._limits, self._notify = settings.limits, notify
        self.packages = settings.models.packages
        self.spool = Spool(settings.node.data / FOLDER)
        self._space = SpaceGuard(settings.node.data, settings.node.min_free_mb << 20)
        self._open = 0

    @property
    def served(self) -> bool:
        """Whether the settings allow any."""
        return self._limits.predictions > 0

    async def predict(
        self, body: AsyncIterator[bytes], length: int | None, wanted: Wanted, gone: Callable[[], Awaitable[bool]]
    ) -> Reply:
        """Receive a file, have it predicted, and forget it.

        Parameters
        ----------
        length
            What the sender says that it is long, in bytes; None where it does not.
        gone
            Whether who asked has left.
        """
        try:
            self._require(length, wanted)
        except Refusal as refusal:
            return refusal.reply
        self._open += 1
        name, started = self.spool.new(), time.monotonic()
        try:
            reply = await self._predict(name, body, wanted, gone)
        except Refusal as refusal:
            reply = refusal.reply
        finally:
            self._open -= 1
            self.spool.forget(name)
        _log.info("prediction", status=reply.status, seconds=round(time.monotonic() - started, 3))
        return reply

    def _require(self, length: int | None, wanted: Wanted) -> None:
        """Refuse what need not be read for it."""
        if not self.served:
            raise Refusal(404, "limits.predictions is 0: this node predicts no files.")
        if wanted.package and wanted.package not in self.packages:
            raise Refusal(400, f"There is no package of that name here; there are: {', '.join(self.packages)}.")
        if length is not None:
            self._require_size(length)
        if self._open >= self._limits.predictions:
            raise Refusal(503, f"{self._open} files are being predicted, no more are taken at once.", again=True)
        try:
            self._space.check(length or 0)
        except OutOfResources as error:
            raise Refusal(503, "The disk has no room for the file now.", again=True) from error

    def _require_size(self, size: int) -> None:
        if size > self._limits.prediction_mb << 20:
            raise Refusal(413, f"The file is longer than limits.prediction_mb = {self._limits.prediction_mb} MiB.")

    async def _predict(
        self, name: str, body: AsyncIterator[bytes], wanted: Wanted, gone: Callable[[], Awaitable[bool]]
    ) -> Reply:
        seconds = self._limits.prediction_seconds
        self.spool.sweep(older_than=time.time() - 4 * seconds - _LATE_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                await self._receive(body, self.spool.incoming(name))
        except TimeoutError as error:
            sentence = f"The file was not received within limits.prediction_seconds = {seconds:g} s."
            raise Refusal(408, sentence) from error
        except OSError as error:
            raise Refusal(503, "The file cannot be written on this node's disk now.", again=True) from error
        try:
            asked = (name, wanted.package, wanted.maps, wanted.pictures, seconds)
            await asyncio.to_thread(self._notify, *asked)
        except QueueUnavailable as error:
            raise Refusal(503, "The queue to the workers cannot be reached now.", again=True) from error
        return await self._answer(name, seconds, gone)

    async def _receive(self, body: AsyncIterator[bytes], path: Path) -> None:
        """Write the body; Refusal where it is too long or of no kind that is read."""
        received, waiting, known = 0, b"", False
        async for chunk in body:
            received, waiting = received + len(chunk), waiting + chunk
            self._require_size(received)
            if not known and len(waiting) >= HEAD:
                known = _require_kind(waiting)
            if len(waiting) >= _WRITE_BYTES:
                await asyncio.to_thread(_append, path, waiting)
                waiting = b""
        if not known:
            _require_kind(waiting)
        await asyncio.to_thread(_append, path, waiting)

    async def _answer(self, name: str, seconds: float, gone: Callable[[], Awaitable[bool]]) -> Reply:
        """Wait until a worker takes it, then until it has answered."""
        taken_by = time.monotonic() + seconds
        while self.spool.is_waiting(name):
            if time.monotonic() > taken_by:
                raise Refusal(503, f"No worker was free within {seconds:g} s.", again=True)
            await _look_again(gone)
        answered_by = time.monotonic() + seconds + _LATE_SECONDS
        while (found := self.spool.answered(name)) is None:
            if time.monotonic() > answered_by:
                raise Refusal(504, f"The worker did not answer within {seconds:g} s; its log has the reason.")
            await _look_again(gone)
        return Reply(*found)


async def _look_again(gone: Callable[[], Awaitable[bool]]) -> None:
    if await gone():
        raise Refusal(499, "The sender has left.")  # nobody reads it; nginx's number for it in the log
    await asyncio.sleep(_LOOK_SECONDS)


def _require_kind(head: bytes) -> bool:
    if kind_of(head[:HEAD]) is None:
        sentence = "The body is no DICOM, PNG, JPEG or NIfTI file (.nii, .nii.gz): send the file alone, as it is."
        raise Refusal(415, sentence)
    return True


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
