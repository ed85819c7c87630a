"""Arrays on disk of which only some rows are ever in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64] | slice


class Table(Protocol):
    """An array (N, C) whose rows are read in parts: one in memory, or `Rows`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Index, /) -> NDArray[np.float64]: ...


class Rows:
    """An array (N, …) in a .npy file; a file of that shape that is there is kept.

    The file is mapped for the length of one read or write, so that what was read counts for no process's memory.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: type[np.floating[Any]]) -> None:
        self.path, self.shape = path, shape
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index, /) -> NDArray[Any]:
        return np.array(np.load(self.path, mmap_mode="r")[index])

    def __setitem__(self, index: Index, values: NDArray[Any]) -> None:
        np.load(self.path, mmap_mode="r+")[index] = values

    def sync(self) -> None:
        """Have all that was written on disk."""
        with self.path.open("rb") as stream:
            os.fsync(stream.fileno())


def parts(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """The rows in their order, so many at once."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def everything(count: int) -> NDArray[np.int64]:
    """All row numbers of an array of this length."""
    return np.arange(count, dtype=np.int64)
