"""Arrays of volumes on disk, one file a volume, for volumes differ in size."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data.files import write_whole


class Arrays:
    """A few arrays for each volume in `folder`/NUMBER.npz; a file that is there is whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def has(self, row: int) -> bool:
        """Whether the arrays of a row are there."""
        return self._path(row).is_file()

    def write(self, row: int, arrays: tuple[NDArray[np.generic], ...]) -> None:
        """Write the arrays of a row; a kill leaves all or none."""
        stream = io.BytesIO()
        np.savez(stream, *arrays)
        write_whole(self._path(row), stream.getvalue())

    def read(self, row: int) -> tuple[NDArray[np.generic], ...]:
        """The arrays of a row."""
        with np.load(self._path(row)) as found:
            return tuple(found[name] for name in found.files)

    def tensors(self, row: int) -> tuple[Tensor, ...]:
        """The arrays of a row in float32."""
        return tuple(torch.from_numpy(one).float() for one in self.read(row))

    def _path(self, row: int) -> Path:
        return self.folder / f"{row:05}.npz"


class Maps:
    """The maps (L, d, h, w) of each volume, on disk."""

    def __init__(self, folder: Path) -> None:
        self._arrays = Arrays(folder)

    def write(self, row: int, maps: Tensor) -> None:
        """Keep the maps of a volume."""
        self._arrays.write(row, (maps.float().numpy(),))

    def cells(self, rows: NDArray[np.int64], label: int) -> NDArray[np.float32]:
        """All cells of one label's maps of some volumes, side by side."""
        return np.concatenate([self._arrays.read(int(row))[0][label].ravel() for row in rows]).astype(np.float32)
