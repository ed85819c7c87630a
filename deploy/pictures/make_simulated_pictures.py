"""Makes the contact sheet of simulated lesions.

    PYTHONPATH=. python deploy/pictures/make_simulated_pictures.py BACKGROUNDS

BACKGROUNDS is a folder of real chests as `readfirst models simulate --backgrounds` takes it. A row is a kind of lesion:
left in a real anatomy, right in a phantom; of each the axial slice with most of it (pneumothorax: through its middle),
then the same with the mask outlined, then a coronal slice. Seed, severity and scan are fixed: the same picture each
time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from models.simulation.cohort import LABELS, Anatomy, anatomies, simulated

TARGET = Path(__file__).resolve().parent / "simulated-lesions.png"
LUNG, SOFT = (-550.0, 1500.0), (40.0, 400.0)  # window centre and width, HU
WITH_SOFT = ("Effusion", "Cardiomegaly", "Consolidation")
PANEL = (150, 170)  # rows, columns; voxels of 2 mm
LINE, COLOURS, SEED = 16, 64, 3
SEVERITY = {"Pneumothorax": 0.45, "Effusion": 0.45, "Cardiomegaly": 0.6}
REAL = {
    "Pneumothorax": "R01-001",
    "Effusion": "LCTSC-Test-S1-201",
    "Cardiomegaly": "LCTSC-Test-S1-103",
    "Ground_Glass_Nodule": "C3N-00247",
}


def windowed(plane: NDArray[np.float32], window: tuple[float, float]) -> NDArray[np.uint8]:
    """Grey values of a plane."""
    centre, width = window
    grey: NDArray[np.uint8] = (np.clip((plane - centre) / width + 0.5, 0, 1) * 255).astype(np.uint8)
    return grey


def panel(plane: NDArray[np.float32], window: tuple[float, float], mask: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """One picture (rows, columns, 3), padded, with a mask's outline."""
    colour = np.repeat(windowed(plane, window)[:, :, None], 3, axis=2)
    if mask is not None:
        colour[mask & ~ndimage.binary_erosion(mask)] = (255, 70, 50)
    padded = np.zeros((*PANEL, 3), np.uint8)
    rows, columns = min(PANEL[0], plane.shape[0]), min(PANEL[1], plane.shape[1])
    padded[:rows, :columns] = colour[:rows, :columns]
    return padded


def triple(anatomy: Anatomy, label: str) -> NDArray[np.uint8]:
    """Axial, axial with outline, coronal."""
    made = simulated(anatomy, SEED, LABELS.index(label), {label: SEVERITY.get(label, 0.6)})
    hu, mask = made.volume.array, made.chest.masks[label]
    z, y = (int(mask.sum(axis=axes).argmax()) for axes in ((1, 2), (0, 2)))
    if label == "Pneumothorax":  # with most of it there is little lung to be seen
        z, y = (int(np.median(axis)) for axis in np.nonzero(mask)[:2])
    window = SOFT if label in WITH_SOFT else LUNG
    up = slice(None, None, -1)
    planes = [panel(hu[z], LUNG, None), panel(hu[z], window, mask[z]), panel(hu[up, y], LUNG, mask[up, y])]
    return np.concatenate(planes, axis=1)


def main() -> None:
    """Write the sheet."""
    if len(sys.argv) != 2:
        raise SystemExit("Name the folder of real chests: make_simulated_pictures.py BACKGROUNDS")
    cases = {one.name: one for one in anatomies(Path(sys.argv[1]), 5, SEED)}
    real = [one for one in cases.values() if one.background is not None]
    phantoms = [one for one in cases.values() if one.background is None]
    rows = []
    for number, label in enumerate(LABELS):
        pair = cases.get(REAL.get(label, ""), real[number % len(real)]), phantoms[number % len(phantoms)]
        row = Image.fromarray(np.concatenate([triple(one, label) for one in pair], axis=1))
        sheet = Image.new("RGB", (row.width, row.height + LINE))
        sheet.paste(row, (0, LINE))
        ImageDraw.Draw(sheet).text((4, 2), f"{label}: {pair[0].name} (left), {pair[1].name} (right)", fill="white")
        rows.append(np.asarray(sheet))
    whole = Image.fromarray(np.concatenate(rows, axis=0))
    whole.quantize(COLOURS).save(TARGET, optimize=True)
    print(f"{TARGET}: {TARGET.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
