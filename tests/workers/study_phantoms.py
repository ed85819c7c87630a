"""Whole small studies for the tests of the pipeline and of the tasks: files on disk, and a model that sees in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from models.card import Card
from models.prediction import Prediction
from tests.workers import imaging_phantoms as imaging
from tests.workers import results_phantoms as results

STUDY, SERIES = "1.2.826.0.1.3680043.8.498.7", "1.2.826.0.1.3680043.8.498.7.1"
PNEUMOTHORAX, NODULE, NOTHING = (0.9, 0.1, 0.1), (0.1, 0.7, 0.1), (0.1, 0.1, 0.1)  # probabilities of the card's labels


@dataclass(frozen=True)
class TinyModel:
    """A `models.prediction.Model` that says the same of every image, and where: a spot a little above the middle."""

    probabilities: tuple[float, ...] = PNEUMOTHORAX
    before: Callable[[], object] = lambda: None  # what happens while it predicts
    digest: str = "d" * 64
    card: Card = field(default_factory=results.card)

    def predict(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None = None) -> Prediction:
        self.before()
        spot = results.blob((16, 16), (6.0, 6.0), 3.0)
        return results.prediction(np.stack([spot] * 3), self.probabilities)


def radiograph(
    folder: Path,
    number: int = 1,
    size: tuple[int, int] = (80, 64),
    pixels: NDArray[np.unsignedinteger[Any]] | None = None,
    **attributes: object,
) -> Path:
    """The file of one chest radiograph; its SOP Instance UID ends with `number`, attributes by keyword.

    Without `pixels` it is a slope of grey of that size, in which no lungs are seen.
    """
    if pixels is None:
        pixels = (np.indices(size).sum(axis=0) * 10 + number).astype(np.uint16)
    uid = f"{SERIES}.{number}"
    given = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "SOPInstanceUID": uid} | attributes
    dataset = imaging.radiograph(pixels, PatientName="Tést^Ä", PatientID="T1", SpecificCharacterSet="ISO_IR 100")
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number
    for keyword, value in given.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    return imaging.save(dataset, folder / f"{uid}.dcm")


def chest_pixels() -> NDArray[np.uint8]:
    """Stored values of a real chest radiograph, for packages that ask for lungs."""
    (sample,) = imaging.sample("chest-xray-normal")
    values: NDArray[np.uint8] = dcmread(sample).pixel_array
    return values


def cut(path: Path, lost: int = 3000) -> Path:
    """The file without its last bytes: the header is whole, the pixels are not."""
    path.write_bytes(path.read_bytes()[:-lost])
    return path
