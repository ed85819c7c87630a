"""Picture files of axial slices, framed as a network of slices sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.images import read_grey
from models.errors import DataError
from models.slices.framing import framed
from models.slices.table import Slices


def read_slice(path: Path, table: Slices) -> NDArray[np.float32]:
    """A picture of a slice in the frame of its body, `Slices.size`, 0..1; DataError where it shows none."""
    found = framed(read_grey(path), table)
    if found is None:
        raise DataError(f"{path} shows no body: it must be an axial slice in the lung window of the card.")
    return found.image


def read_slices(files: Sequence[Path], table: Slices, batch: int) -> Iterator[NDArray[np.float32]]:
    """Batches (n, rows, columns) of the files in their order."""
    for start in range(0, len(files), batch):
        yield np.stack([read_slice(path, table) for path in files[start : start + batch]])
