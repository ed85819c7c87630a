"""MR slices with a bright blob at a known place of the patient: oblique, with oblong pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage, generate_uid

from tests.workers.imaging_phantoms import _image

ROWS, COLUMNS, SPACING = 96, 80, (1.5, 2.25)  # mm between rows, between columns
AXIS = np.array([[0.8, 0.6, 0.0], [0.0, 0.0, -1.0]])  # columns and rows grow so, LPS
CORNER = np.array([-60.0, -80.0, 70.0])


def mr_slice(blob: tuple[float, float, float], seed: int = 0) -> tuple[Dataset, NDArray[np.bool_]]:
    """A slice with a blob (row, column, radius in mm; its centre in pixels), and the blob's pixels."""
    rng = np.random.default_rng(seed)
    row, column, radius = blob
    y, x = np.ogrid[:ROWS, :COLUMNS]
    mask = ((y - row) * SPACING[0]) ** 2 + ((x - column) * SPACING[1]) ** 2 < radius**2
    body = ((y - 48) * SPACING[0] / 65) ** 2 + ((x - 40) * SPACING[1] / 80) ** 2 <= 1
    grey = 40 + 300 * body + 200 * mask + rng.normal(0, 25, (ROWS, COLUMNS))
    dataset = _image(np.clip(grey, 0, 4095).astype(np.uint16), MRImageStorage, "MR")
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.BodyPartExamined, dataset.FrameOfReferenceUID = "BRAIN", generate_uid()
    dataset.PixelSpacing, dataset.SliceThickness = list(SPACING), 5
    dataset.ImageOrientationPatient = AXIS.ravel().tolist()
    dataset.ImagePositionPatient = CORNER.tolist()
    return dataset, mask


def saved(dataset: Dataset, path: Path) -> Path:
    """The file."""
    dataset.save_as(path, enforce_file_format=True)
    return path
