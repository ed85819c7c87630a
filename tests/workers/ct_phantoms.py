"""Small CT studies with a dense ball at a known place in the patient, and a model of volumes that finds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from models.card import Card
from models.prediction import Prediction
from tests.workers import imaging_phantoms as imaging
from tests.workers import results_phantoms as results

BALL, RADIUS, DENSE = (
    np.array([-31.0, 8.0, 24.0]),
    11.0,
    300,
)  # LPS mm, mm, HU: in the patient's right, towards the head
STUDY = "1.2.826.0.1.3680043.8.498.9"
SHAPE, STEPS = (24, 44, 60), (4.0, 2.5, 2.5)  # slices, rows, columns; mm


def ct(tilt: float = 0.0, turn: float = 0.0, series: int = 1, **attributes: object) -> list[Dataset]:
    """Slices about the origin, 4 mm apart, turned about z, each moved in its plane by a tilted gantry (degrees)."""
    angle, aside = np.radians(turn), np.tan(np.radians(tilt))
    across = np.array([np.cos(angle), np.sin(angle), 0.0])
    down = np.array([-np.sin(angle), np.cos(angle), 0.0])
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]][..., np.newaxis]
    corner = -(down * SHAPE[1] * STEPS[1] + across * SHAPE[2] * STEPS[2]) / 2
    slices = []
    for index in range(SHAPE[0]):
        z = (index - SHAPE[0] / 2) * STEPS[0]
        first = corner + np.array([0, 0, z]) + aside * z * down
        places = first + rows * STEPS[1] * down + columns * STEPS[2] * across
        slices.append(_slice(_hounsfield(places), first, (*across, *down), index, series))
    return [imaging._set(one, dict(attributes)) for one in slices]


def written(slices: Sequence[Dataset], folder: Path) -> list[Path]:
    """Their files, named by their SOP Instance UIDs."""
    return [imaging.save(one, folder / f"{one.SOPInstanceUID}.dcm") for one in slices]


def card(*, simulated: bool = False) -> Card:
    """Of a volume package with the labels of `results_phantoms.card`; of simulated lesions it may raise nothing."""
    made = results.card("volume")
    if not simulated:
        return made
    labels = tuple(label.model_copy(update={"triage": None}) for label in made.labels)
    training = made.training.model_copy(update={"simulated": True})
    return made.model_copy(update={"labels": labels, "training": training})


@dataclass(frozen=True)
class BallModel:
    """A model of volumes: its first two labels are present where something in the lungs is as dense as bone.

    Its maps have a cell a voxel and reach the threshold from 100 HU on. With `zones` it knows the lungs: the patient's
    right and left half.
    """

    card: Card = field(default_factory=card)
    zones: bool = False
    digest: str = "e" * 64

    def predict(self, volume: NDArray[np.float32], spacing: tuple[float, ...] | None = None) -> Prediction:
        assert spacing is not None
        found = np.maximum(volume.astype(np.float32) + 200.0, 0) / 300.0
        present = bool((found > 1).any())
        zones = _zones(volume.shape) if self.zones else None
        probabilities = np.array([0.9, 0.7, 0.1] if present else [0.1, 0.1, 0.1], np.float32)
        made = results.prediction(np.stack([found] * 3), tuple(probabilities))
        return Prediction(made.labels, made.logits, made.probabilities, made.saliency, zones)


def _zones(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Lower, middle and upper third of each half."""
    third = 2 - 3 * np.arange(shape[0]) // shape[0]
    side = np.where(np.arange(shape[2]) < shape[2] / 2, 1, 4)
    zones: NDArray[np.uint8] = np.broadcast_to(third[:, None, None] + side, shape).astype(np.uint8)
    return zones


def _hounsfield(places: NDArray[np.float64]) -> NDArray[np.int16]:
    """Air around the patient, a body of water, two lungs of air with the ball in one of them."""
    x, y, _ = np.moveaxis(places, -1, 0)
    values = np.where((x / 68) ** 2 + (y / 48) ** 2 < 1, 20, -1000)
    for side in (-1, 1):
        values[((x - side * 31) / 26) ** 2 + (y / 34) ** 2 < 1] = -850
    values[np.linalg.norm(places - BALL, axis=-1) < RADIUS] = DENSE
    return values.astype(np.int16)


def _slice(
    hu: NDArray[np.int16], first: NDArray[np.float64], cosines: tuple[float, ...], index: int, series: int
) -> Dataset:
    one = imaging.ct_slice((hu + 1024).astype(np.int16), (0, 0, 0), PatientName="Tést^Ä", PatientID="T1")
    one.SpecificCharacterSet = "ISO_IR 100"
    one.StudyInstanceUID, one.SeriesInstanceUID = STUDY, f"{STUDY}.{series}"
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"{STUDY}.{series}.{index + 1}"
    one.SeriesNumber, one.InstanceNumber, one.FrameOfReferenceUID = series, index + 1, f"{STUDY}.0"
    one.ImagePositionPatient = [round(float(value), 6) for value in first]
    one.ImageOrientationPatient = [round(float(value), 10) for value in cosines]
    one.PixelSpacing, one.SliceThickness = list(STEPS[1:]), STEPS[0]
    return one
