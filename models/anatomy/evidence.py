"""A class activation map made a map of evidence: only where the chest differs from normal, within a territory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy.crop import Crop
from models.anatomy.lungs import Lungs
from models.anatomy.residual import CELLS, brightness, residual
from models.anatomy.territories import territory

INSIDE = 0.5  # part of a cell that must be lung
SMOOTHING = 1 / 8  # standard deviation of the filter, by the side of the crop

Floats = NDArray[np.float32]
Differs = Literal["brighter", "darker", "either"]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What evidence needs of one image, all (CELLS, CELLS): brightness, and the part that is lung or a territory."""

    brightness: Floats
    lungs: Floats
    territories: dict[str, Floats]

    @classmethod
    def of(cls, crop: Crop, taken: Floats, lungs: Lungs, names: set[str]) -> Seen:
        """Of a crop that was taken."""
        drawn = {name: crop.cover(territory(name, lungs), CELLS) for name in names}
        return cls(brightness(taken), crop.cover(lungs.both, CELLS), drawn)


def evidence(maps: Floats, seen: Seen, normal: Floats, criteria: tuple[tuple[str, Differs], ...]) -> Floats:
    """Maps (L, h, w) of a crop as evidence (L, CELLS, CELLS), 0 and above.

    Parameters
    ----------
    normal
        See `models.anatomy.residual.normal_chest`.
    criteria
        For each label its territory, and how its lungs differ from normal ones; "either" takes the map as it is.
    """
    inside = seen.lungs >= INSIDE  # outside the normal chest is not known: no image's lungs reach there
    away = np.where(inside, residual(seen.brightness, normal, seen.lungs), 0)
    differs = {"brighter": np.maximum(away, 0), "darker": np.maximum(-away, 0), "either": np.ones_like(seen.lungs)}
    finer = CELLS / maps.shape[-1]
    positive = np.maximum(ndimage.zoom(maps, (1, finer, finer), order=1, grid_mode=True, mode="nearest"), 0)
    within = np.stack([seen.territories[name] for name, _ in criteria])
    factors = within * np.stack([differs[how] for _, how in criteria])
    sigma = SMOOTHING * CELLS
    smooth = ndimage.gaussian_filter(positive * factors, (0, sigma, sigma), mode="constant")
    found: Floats = (smooth * within).astype(np.float32)
    return found
