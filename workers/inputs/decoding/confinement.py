"""What a process gives up before it reads bytes that may be hostile: files, network, other processes (Linux).

Each layer stands alone, and each is left out where the kernel, or the container around it, does not have it:

===================  ==============================================================  =============================
own network          no interface but a loopback of its own                          unshare, Linux 3.8
no capabilities      root's are gone, too                                            capset
no new privileges    no set-user-ID program gives them back                          Linux 3.5
no files             none is opened, listed, made or removed; no TCP; from 6.12      Landlock, Linux 5.13, 6.7 for
                     no signal to others either                                      TCP
filtered calls       only what computes, reads and writes what is already open       seccomp, x86-64 and AArch64
===================  ==============================================================  =============================

`unplug` comes first, while there is one thread; `confine` after everything is imported. No library is needed: the
numbers are the kernel's, which never change them.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, _CAPBSET_DROP = 1, 38, 24  # linux/prctl.h
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000  # linux/sched.h
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
_CREATE_RULESET, _RESTRICT_SELF, _RULESET_VERSION = 444, 446, 1  # linux/landlock.h; the same on every machine
_SET_MODE_FILTER, _ALL_THREADS = 1, 1  # linux/seccomp.h
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF_LD|W|ABS, JMP|JEQ|K, JMP|JSET|K, RET; linux/filter.h
_NUMBER_AT, _MACHINE_AT, _THIRD_ARGUMENT_AT = 0, 4, 32  # struct seccomp_data (low half, Little Endian)
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM
_PROT_EXEC = 4
_CALLS = {  # name: numbers on x86-64, AArch64
    "read": (0, 63), "readv": (19, 65), "pread64": (17, 67), "lseek": (8, 62), "close": (3, 57),
    "write": (1, 64), "writev": (20, 66), "recvmsg": (47, 212),
    "brk": (12, 214), "munmap": (11, 215), "mremap": (25, 216), "madvise": (28, 233),
    "futex": (202, 98), "sched_yield": (24, 124), "restart_syscall": (219, 128),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "clock_gettime": (228, 113), "getrandom": (318, 278), "getpid": (39, 172), "gettid": (186, 178),
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
_MEMORY_CALLS = {"mmap": (9, 222), "mprotect": (10, 226)}  # allowed where they make nothing executable


@dataclass(frozen=True, slots=True)
class _Machine:
    audit_arch: int  # linux/audit.h
    column: int  # of _CALLS
    capget: int
    capset: int
    seccomp: int


_MACHINES = {"x86_64": _Machine(0xC000003E, 0, 125, 126, 317), "aarch64": _Machine(0xC00000B7, 1, 90, 91, 277)}
LAYERS = ("own network", "no capabilities", "no new privileges", "no files", "filtered calls")


def die_with_parent(parent: int) -> None:
    """End when the process `parent` does, or now where it is gone already."""
    if sys.platform == "linux":
        _libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)


def unplug() -> tuple[str, ...]:
    """Leave the network for an empty one; the layers that hold now. A user who may not makes a user namespace first."""
    if sys.platform != "linux":
        return ()
    own = _CLONE_NEWNET | _CLONE_NEWIPC
    left = _libc().unshare(own) == 0 or _libc().unshare(own | _CLONE_NEWUSER) == 0
    return LAYERS[:1] if left else ()


def confine(layers: tuple[str, ...] = LAYERS[1:]) -> tuple[str, ...]:
    """Give up the rest, for good; the layers that hold now, in the order of LAYERS."""
    machine = _MACHINES.get(platform.machine())
    steps: dict[str, Callable[[], bool]] = {
        "no capabilities": lambda: machine is not None and _drop_capabilities(machine),
        "no new privileges": lambda: _libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
        "no files": _close_files,
        "filtered calls": lambda: machine is not None and _filter_calls(machine),
    }
    return tuple(name for name, step in steps.items() if name in layers and sys.platform == "linux" and step())


def landlock_version() -> int:
    """The kernel's Landlock ABI, 0 where it has none or it is switched off."""
    return max(int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _RULESET_VERSION)), 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _drop_capabilities(machine: _Machine) -> bool:
    """Whether there are none afterwards; a service manager that refuses the call may have taken them already."""
    for capability in range(64):  # the bounding set, which a user namespace of our own fills again
        _libc().prctl(_CAPBSET_DROP, capability, 0, 0, 0)
    header, held = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), ctypes.create_string_buffer(24)
    _libc().syscall(machine.capset, header, held)
    return _libc().syscall(machine.capget, header, held) == 0 and not any(held.raw)


def _close_files() -> bool:
    """A ruleset that handles every access which this kernel knows, and allows none."""
    version = landlock_version()
    if not version:
        return False
    files = (1 << next(bits for least, bits in ((5, 16), (3, 15), (2, 14), (1, 13)) if version >= least)) - 1
    attributes = struct.pack("=QQQ", files, 3, 3)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = int(_libc().syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0))
    if ruleset < 0:
        return False
    held = _libc().syscall(_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return bool(held)


def _filter_calls(machine: _Machine) -> bool:
    program = _filter(machine)
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    return bool(_libc().syscall(machine.seccomp, _SET_MODE_FILTER, _ALL_THREADS, head) == 0)


def _filter(machine: _Machine) -> bytes:
    """The BPF program: another machine's calls and those not named get EPERM, and memory never becomes code."""
    allowed = [numbers[machine.column] for numbers in _CALLS.values()]
    memory = [numbers[machine.column] for numbers in _MEMORY_CALLS.values()]
    lines = [(_LOAD, 0, 0, _MACHINE_AT), (_EQUAL, 1, 0, machine.audit_arch), (_RETURN, 0, 0, _REFUSE)]
    lines += [(_LOAD, 0, 0, _NUMBER_AT)]
    to_memory, to_allow = len(allowed) + len(memory) + 1, len(allowed) + len(memory) + 3
    for at, number in enumerate((*allowed, *memory), 1):
        target = to_allow if at <= len(allowed) else to_memory
        lines.append((_EQUAL, target - at, 0, number))
    lines += [(_RETURN, 0, 0, _REFUSE), (_LOAD, 0, 0, _THIRD_ARGUMENT_AT), (_ANY_BIT, 1, 0, _PROT_EXEC)]
    lines += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
