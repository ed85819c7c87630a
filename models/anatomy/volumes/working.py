"""A volume as networks see it: the crop around the chest at the spacing of the card."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.anatomy.volumes.air import chest_box
from models.anatomy.volumes.lattice import Counts, Crop, Lattice
from models.anatomy.volumes.slabs import taken
from models.card import VolumeInput
from models.errors import InputError

NO_LUNGS = "No aerated lung was found: the volume shows too little of a chest, or its values are no HU."


@dataclass(frozen=True, slots=True, eq=False)
class Working:
    """The crop and its HU (d, h, w)."""

    crop: Crop
    hu: NDArray[np.float32]

    @classmethod
    def of(
        cls, volume: NDArray[np.float32], spacing: tuple[float, ...], how: VolumeInput, cell: Counts, share: Counts
    ) -> Working:
        """Of a volume (d, h, w) in HU; `cell` and `share` are those of `Crop` and `Lattice`.

        Raises
        ------
        InputError
            It shows no aerated lung.
        """
        box, found = chest_box(volume, spacing, how.lung_threshold_hu, how.margin_mm)
        if not found:
            raise InputError(NO_LUNGS)
        lattice = Lattice.over(volume.shape, spacing, how.spacing_mm, share)
        crop = Crop.around(lattice, box, cell)
        return cls(crop, taken(volume, spacing, crop, how.resolution_mm, box))
