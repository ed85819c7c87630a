"""The clock of a node's processes, which a test sets while they run."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")
_SECONDS = struct.Struct("q")


class Clock:
    """A shift of the time of day for all processes that are started with `environment`."""

    def __init__(self, folder: Path) -> None:
        compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang", "tcc"))), None)
        assert compiler, "no C compiler (cc, gcc, clang or tcc) is there to set the clock"
        library, shift = folder / "clock.so", folder / "clock"
        shift.write_bytes(bytes(_SECONDS.size))
        subprocess.run([compiler, "-shared", "-fPIC", "-nostdlib", "-o", library, _SOURCE], check=True)
        self.environment = {"LD_PRELOAD": str(library), "TESTS_FAULTS_CLOCK": str(shift)}
        with shift.open("r+b") as file:
            self._shift = mmap.mmap(file.fileno(), _SECONDS.size)

    def move(self, seconds: int) -> None:
        """Set it so many seconds on (back where negative); at once, for all of them."""
        (before,) = _SECONDS.unpack_from(self._shift)
        _SECONDS.pack_into(self._shift, 0, before + seconds)
