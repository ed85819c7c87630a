"""Emphysema: holes of gas in the lung, or a lung that is too light as a whole.

Physics. Centrilobular emphysema destroys the middle of lobules: round holes of 2 to 12 mm without a wall, near -1000
HU, mostly in the upper zones; where they merge the lung is below -950 HU (the threshold that pathology supports:
Gevenois et al., AJRCCM 1996, doi 10.1164/ajrccm.154.1.8680679). Panlobular emphysema destroys whole lobules, mostly at
the base: the lung is evenly dark and its vessels thin. Paraseptal emphysema is a row of holes under the pleura.

Model. Holes are the voxels where a smooth random field of their size exceeds a level that varies with height; there
the HU go to -995, vessels stay in part. The mask is where more than 60 % is lost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.simulation.chest import Chest, box_of
from models.simulation.fields import distance_inside, grid_mm, smooth_field, smoothstep
from models.simulation.lesions.registry import lesion

GAS_HU = -995.0
SHARE = (0.06, 0.40)  # of the lungs that is lost, severity 0 and 1
KINDS = ("centrilobular", "paraseptal", "panlobular")
CHANCES = (0.6, 0.2, 0.2)


@lesion("Emphysema")
def emphysema(chest: Chest, rng: np.random.Generator, severity: float) -> Chest:
    """Emphysema of one kind in both lungs."""
    kind = str(rng.choice(KINDS, p=CHANCES))
    box = box_of(chest.lungs)
    lungs = chest.lungs[box]
    wall = distance_inside(lungs, chest.spacing)
    aerated = lungs & (chest.hu[box] < -500)
    share = SHARE[0] + (SHARE[1] - SHARE[0]) * severity
    lost = _lost(kind, rng, (lungs, aerated, wall), chest.spacing, share)
    hu = chest.hu.copy()
    hu[box] = _emptied(chest, rng, box, lost, kind)
    mask = np.zeros(hu.shape, np.bool_)
    mask[box] = aerated & (lost > 0.6)
    return chest.with_lesion(hu, "Emphysema", mask)


def _lost(
    kind: str,
    rng: np.random.Generator,
    parts: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]],
    spacing: tuple[float, float, float],
    share: float,
) -> NDArray[np.float32]:
    """Share of tissue that is lost, (d, h, w) 0..1."""
    lungs, aerated, wall = parts
    z, _, _ = grid_mm(lungs.shape, spacing)
    height = z / max(float(z.max()), 1.0)
    patchy = smooth_field(rng, lungs.shape, spacing, 60.0)
    if kind == "panlobular":
        level = -1.2 * height + 0.5 * patchy
        width, extent = 0.5, min(0.9, 1.6 * share + 0.2)
    else:
        holes = smooth_field(rng, lungs.shape, spacing, float(rng.uniform(7.0, 13.0)))
        place = 1.6 * height if kind == "centrilobular" else 2.2 * np.exp(-wall / 7.0) + 0.8 * height
        level = holes + place + 0.5 * patchy
        width, extent = 0.35, share if kind == "centrilobular" else 0.6 * share
    middle = np.quantile(level[aerated], 1.0 - extent)
    return smoothstep(level.astype(np.float32), float(middle - width), float(middle + width)) * lungs


def _emptied(
    chest: Chest, rng: np.random.Generator, box: tuple[slice, slice, slice], lost: NDArray[np.float32], kind: str
) -> NDArray[np.float32]:
    old = chest.hu[box]
    noise = chest.noise.drawn(rng, old.shape, chest.spacing)
    gas = GAS_HU + noise
    vessel = smoothstep(old, -700.0, -400.0)  # vessels stay, thinner
    depth = 0.9 if kind == "panlobular" else 1.0
    share = depth * lost * (1.0 - 0.8 * vessel)
    emptied: NDArray[np.float32] = (old * (1.0 - share) + np.minimum(old, gas) * share).astype(np.float32)
    return emptied
