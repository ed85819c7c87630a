"""Stored pixel values of untrusted files, decoded in one child process with limits of memory and time.

A codec that crashes, hangs or eats memory takes the child with it, never the worker: the instance fails with a
DecodeError that names it, and the next one gets a fresh child. A codec that obeys its input finds no file, no network
and no other process there (`workers.inputs.decoding.confinement`): the child gets a descriptor of the one file, not
its path. The child is started on entering the context, so that the first study does not wait for imports.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from node.errors import AnalysisError
from workers.dicom.attributes import header
from workers.inputs.decoding.confinement import LAYERS

WHOLE, BY_FRAME, PICTURE, NIFTI = b"\0", b"\1", b"\2", b"\3"  # requests, as `workers.inputs.decoding.child` has them

GIBIBYTE = 1 << 30
START_SECONDS = 60.0
LONGEST_MESSAGE = 1 << 16
PIPE_BYTES = 1 << 20
F_SETPIPE_SZ = 1031  # linux/fcntl.h
Stored = NDArray[np.integer[Any]]  # as in the file, no LUT applied
Values = NDArray[np.integer[Any] | np.float32]  # of a NIfTI file, unscaled
About = dict[str, Any]
DTYPES = frozenset({"|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f4"})
ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")  # no token or password reaches the child


class DecodeError(AnalysisError):
    """An instance's pixels could not be decoded within the limits."""

    def __init__(self, sop_instance_uid: str, reason: str) -> None:
        super().__init__(f"the pixels of {sop_instance_uid} cannot be decoded: {reason}")
        self.sop_instance_uid = sop_instance_uid
        self.reason = reason


class Decoder:
    """A context manager around the child. Only one thread and one process use it: make it after a fork, not before.

    Parameters
    ----------
    memory_bytes
        Limit of the child's address space (RLIMIT_AS).
    seconds
        Time limit of one instance.
    largest_bytes
        Rows x Columns x frames x bytes a value that an instance may declare, compared before anything is decoded.
    """

    def __init__(self, memory_bytes: int = 4 * GIBIBYTE, seconds: float = 60.0, largest_bytes: int = GIBIBYTE) -> None:
        self._limits = (memory_bytes, largest_bytes)
        self._seconds = seconds
        self._child: _Child | None = None
        self._pending = False  # a request whose answer nobody took: an interrupted call or iteration

    def __enter__(self) -> Self:
        self._child = _Child(*self._limits)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.end()
        self._child = None

    @property
    def pid(self) -> int | None:
        """The process id of the child of this moment."""
        return None if self._child is None else self._child.process.pid

    @property
    def layers(self) -> tuple[str, ...]:
        """What holds of `confinement.LAYERS` in the child of this moment; waits until it is ready."""
        return self._running().layers()

    def decode(self, path: Path) -> Stored:
        """The stored values of a file: (rows, columns) or (frames, rows, columns); colour has a last axis of samples.

        Only the stored bits are left, sign extended; no LUT was applied. Raises DecodeError.
        """
        self._ask(path)
        return self._answer(path)

    def decode_many(self, paths: Iterable[Path]) -> Iterator[Stored]:
        """The stored values of each file, in order; the next is decoded while the caller works on the last."""
        waiting: Path | None = None
        for path in paths:
            array = None if waiting is None else self._answer(waiting)
            self._ask(path)
            waiting = path
            if array is not None:
                yield array
        if waiting is not None:
            yield self._answer(waiting)

    def decode_frames(self, path: Path) -> Iterator[Stored]:
        """The stored values of each frame of a file, in order; no array of them all is made, here or in the child."""
        self._ask(path, BY_FRAME)
        array, left, _ = self._answers(path)
        yield array
        for expected in range(left - 1, -1, -1):
            array, left, _ = self._answers(path)
            if left != expected:
                raise self._replaced(path, "the decoder lost count of its frames")
            yield array

    def decode_picture(self, path: Path) -> Stored:
        """The values of a PNG or JPEG: grey (rows, columns) of 8 or 16 bits, or red, green, blue (rows, columns, 3)."""
        self._ask(path, PICTURE)
        return self._answer(path)

    def decode_nifti(self, path: Path) -> tuple[Values, bytes]:
        """The unscaled values of a NIfTI file, (slices, rows, columns) of its indices k, j, i, and its header."""
        self._ask(path, NIFTI)
        array, _, about = self._answers(path)
        return array, base64.b64decode(about.get("header", ""))

    def _ask(self, path: Path, request: bytes = WHOLE) -> None:
        child = self._running()
        if self._pending or child.process.poll() is not None:
            child = self._fresh()
        with _opened(path) as descriptors:
            try:
                child.send(request, descriptors)
            except OSError:  # it died since it was looked at: that was not this instance's fault
                self._fresh().send(request, descriptors)
        self._pending = True

    def _answer(self, path: Path) -> Stored:
        return self._answers(path)[0]

    def _answers(self, path: Path) -> tuple[Stored, int, About]:
        """The next array, how many follow it, and remarks on it."""
        try:
            array, left, about = self._running().receive(self._seconds)
        except _Refusal as refusal:
            self._pending = refusal.last
            raise DecodeError(_sop_instance_uid(path), str(refusal)) from refusal
        except TimeoutError as error:
            reason = f"it took longer than {self._seconds:g} s"
            raise self._replaced(path, reason) from error
        except (EOFError, OSError, ValueError) as error:
            raise self._replaced(path, "the decoder crashed, or needed more memory than the limit allows") from error
        self._pending = left > 0
        return array, left, about

    def _replaced(self, path: Path, reason: str) -> DecodeError:
        self._fresh()
        return DecodeError(_sop_instance_uid(path), reason)

    def _running(self) -> _Child:
        if self._child is None:
            raise RuntimeError("the decoder is used outside of its context")
        return self._child

    def _fresh(self) -> _Child:
        if self._child is not None:
            self._child.end()
        self._child, self._pending = _Child(*self._limits), False
        return self._child


class _Refusal(Exception):
    """The child's reason why it cannot decode; with `last` it then ends itself."""

    def __init__(self, reason: str, last: bool) -> None:
        super().__init__(reason)
        self.last = last


class _Child:
    """The process, its socket (requests) and pipe (answers), and its protocol; see `workers.inputs.decoding.child`."""

    def __init__(self, memory_bytes: int, largest_bytes: int) -> None:
        self._largest_bytes = largest_bytes
        self._layers: tuple[str, ...] | None = None  # None until it is ready
        self._requests, theirs = socket.socketpair()
        arguments = [str(memory_bytes), str(largest_bytes), str(os.getpid())]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workers.inputs.decoding.child", *arguments],
            stdin=theirs.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=_environment(),
            start_new_session=True,  # Ctrl-C in a terminal is for the worker, which then ends the child
        )
        theirs.close()
        if self.process.stdout is None:
            raise RuntimeError("no pipe")
        self._answers = self.process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN | select.POLLHUP)
        _widen(self._answers)

    def send(self, request: bytes, descriptors: list[int]) -> None:
        """Hand over a file, or none where it could not be opened. Raises OSError where the child is gone."""
        self.layers()
        socket.send_fds(self._requests, [request], descriptors)

    def layers(self) -> tuple[str, ...]:
        """What it gave up; waits until it is ready. AnalysisError where it does not start."""
        if self._layers is None:
            self._layers = self._wait_until_ready()
        return self._layers

    def receive(self, seconds: float) -> tuple[Stored, int, About]:
        """An array, how many follow it, and remarks on it.

        Raises _Refusal, TimeoutError, EOFError (it is gone), ValueError (its message is invalid).
        """
        deadline = time.monotonic() + seconds
        message = self._message(deadline)
        if "error" in message:
            raise _Refusal(str(message["error"]), bool(message.get("last")))
        array = _room(message, self._largest_bytes)
        self._fill(memoryview(cast("Any", array.reshape(-1).view(np.uint8))), deadline)
        return array, int(message["left"]), message.get("about", {})

    def end(self) -> None:
        """Kill it (it holds nothing that must be saved), and leave no zombie and no open pipe."""
        self.process.kill()
        self.process.wait()
        for stream in (self._requests, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _wait_until_ready(self) -> tuple[str, ...]:
        try:
            return tuple(self._message(time.monotonic() + START_SECONDS)["ready"])
        except (EOFError, TimeoutError) as error:
            raise AnalysisError(
                "the pixel decoder does not start: is python-gdcm installed, and is its memory limit large enough?"
            ) from error

    def _message(self, deadline: float) -> dict[str, Any]:
        prefix = bytearray(4)
        self._fill(memoryview(prefix), deadline)
        length = int.from_bytes(prefix, "big")
        if length > LONGEST_MESSAGE:
            raise ValueError("an answer outside of the limits")
        line = bytearray(length)
        self._fill(memoryview(line), deadline)
        message: dict[str, Any] = json.loads(line)
        return message

    def _fill(self, view: memoryview, deadline: float) -> None:
        while view:
            if not self._poll.poll(max(deadline - time.monotonic(), 0) * 1000):
                raise TimeoutError
            count = os.readv(self._answers, [view])
            if not count:
                raise EOFError
            view = view[count:]


def _room(message: dict[str, Any], largest_bytes: int) -> Stored:
    """An empty array for the answer that the child announces; ValueError where that is none of ours."""
    shape, dtype, count = tuple(message["shape"]), str(message["dtype"]), int(message["bytes"])
    if dtype not in DTYPES or not 0 < count <= largest_bytes or math.prod(shape) * np.dtype(dtype).itemsize != count:
        raise ValueError("an answer outside of the limits")
    return np.empty(shape, dtype=dtype)


def protections() -> str:
    """What a decoding child gives up on this machine, in words for `readfirst check`; it is started for this.

    Raises
    ------
    AnalysisError
        It does not start.
    """
    with Decoder() as decoder:
        held = decoder.layers
    missing = tuple(layer for layer in LAYERS if layer not in held)
    lacks = f"; this kernel, or the container around it, refuses: {', '.join(missing)}" if missing else ""
    return f"its child process runs with {', '.join(held) or 'none of the protections'}{lacks}"


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[list[int]]:
    """A descriptor of a file for reading; none where it cannot be opened, which the child then reports."""
    try:
        descriptors = [os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)]
    except OSError:
        descriptors = []
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**kept, **threads, "PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONDONTWRITEBYTECODE": "1"}


def _widen(pipe: int) -> None:
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415

        with contextlib.suppress(OSError):  # the user's pages of pipe are used up: slower, not wrong
            fcntl.fcntl(pipe, F_SETPIPE_SZ, PIPE_BYTES)


def _sop_instance_uid(path: Path) -> str:
    try:
        return str(header(path).SOPInstanceUID)
    except (AnalysisError, AttributeError):
        return f"the file {path.name}"
