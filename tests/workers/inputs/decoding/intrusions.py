"""What a codec that obeys its input could try in the process in which it runs; each attempt succeeds where it may."""

from __future__ import annotations

import ctypes
import encodings.idna  # noqa: F401  what an attempt needs is imported before it
import errno
import os
import platform
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

REFUSED = {errno.EPERM, errno.EACCES}
_MAP_FAILED = ctypes.c_void_p(-1).value
_SEIZE = 0x4206  # without stopping it
_X86 = platform.machine() == "x86_64"
_NUMBERS = {  # system calls without a function in Python, on x86-64 and AArch64
    "read the memory of the node": (310, 270), "make an io_uring": (425, 425), "load a BPF program": (321, 280),
    "get at another process's descriptors": (434, 434), "keep a key": (248, 217), "handle page faults": (323, 282),
}  # fmt: skip
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p


def attempts(key: str, port: int) -> dict[str, Callable[[], object]]:
    """Each of them by its name; `key` is a file of the node, `port` one on which something listens here."""
    folder, parent, file = Path(key).parent, os.getppid(), os.open(key, os.O_RDONLY)

    def call(name: str) -> Callable[[], None]:
        return lambda: _called(_libc.syscall(_NUMBERS[name][0 if _X86 else 1], parent, 0, 0, 0, 0, 0))

    return {
        "read the TLS key": lambda: Path(key).read_bytes(),
        "list the data folder": lambda: list(Path(folder).iterdir()),
        "look at the key": lambda: Path(key).stat(),
        "write a file": lambda: Path(folder, "new").write_bytes(b"x"),
        "make a folder": lambda: Path(folder, "made").mkdir(),
        "rename the key": lambda: Path(key).rename(key + "2").rename(key),
        "remove a file": lambda: Path(folder, "removable").unlink(),
        "let others read the key": lambda: Path(key).chmod(0o644),
        "let others read the open file": lambda: os.fchmod(file, 0o644),
        "read the environment of the node": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "connect to the node": lambda: socket.create_connection(("127.0.0.1", port), 2).close(),
        "open a socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
        "open a local socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "run a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "become a program": lambda: _executed("/bin/nothing"),
        "fork": _fork,
        "start a thread": lambda: threading.Thread(target=bool).start(),
        "trace the node": lambda: _called(_libc.ptrace(_SEIZE, parent, 0, 0)),
        "signal the node": lambda: os.kill(parent, 0),
        "run bytes as code": lambda: _mapped(_libc.mmap(None, 4096, 7, 0x22, -1, 0)),
        "make a file in memory": lambda: os.close(os.memfd_create("x")),
        "make a user namespace": lambda: _called(_libc.unshare(0x10000000)),
        "raise a limit": lambda: _called(_libc.prlimit(0, 4, b"\xff" * 16, None)),
    } | {name: call(name) for name in _NUMBERS}


def refused(attempt: Callable[[], object]) -> bool:
    """Whether the kernel refused it; another outcome (done, not found, wrong arguments) means that it got through."""
    try:
        attempt()
    except OSError as error:
        return error.errno in REFUSED
    except RuntimeError:  # a thread that cannot be started
        return True
    return False


def _called(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _mapped(address: int | None) -> None:
    if address == _MAP_FAILED:
        raise OSError(ctypes.get_errno(), "refused")


def _executed(path: str) -> None:
    os.execv(path, [path])


def _fork() -> None:
    if (pid := os.fork()) == 0:
        os._exit(0)
    with suppress(OSError):  # that this is refused makes no fork undone
        os.waitpid(pid, 0)
