"""A volume as models see it, and where it lies in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

AXES = "LPS"  # SimpleITK's name of columns to the left, rows to the back, slices to the head


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxels whose axes run to the head, to the back and to the patient's left (z+, y+, x+ in LPS).

    Attributes
    ----------
    array
        (d, h, w), HU.
    spacing
        (z, y, x) mm.
    origin
        (x, y, z) LPS mm, centre of array[0, 0, 0].
    direction
        Row-major 3 x 3 of SimpleITK, near the identity; another where the series is oblique.
    orientation
        Where the axes of the file run, in SimpleITK's letters: "LPS", "RAS" …
    tilt
        Degrees of the gantry whose slices were resampled onto this grid; 0 where the voxels are the file's own.
    """

    array: NDArray[np.float32]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    orientation: str = AXES
    tilt: float = 0.0

    @classmethod
    def of_image(cls, image: sitk.Image) -> Volume:
        """The volume of an image of any orientation, its axes permuted to the nearest of the patient's."""
        oriented = sitk.DICOMOrient(image, AXES)
        source = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
        x, y, z = oriented.GetSpacing()
        array = sitk.GetArrayFromImage(oriented).astype(np.float32, copy=False)
        return cls(array, (z, y, x), oriented.GetOrigin(), oriented.GetDirection(), source)

    def image(self, values: NDArray[np.generic] | None = None) -> sitk.Image:
        """These voxels, or other values (d, h, w) on the same grid, as an image of SimpleITK."""
        image = sitk.GetImageFromArray(self.array if values is None else values)
        image.SetSpacing(self.spacing[::-1])
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image

    def in_file(self, values: NDArray[np.generic]) -> sitk.Image:
        """Values (d, h, w) of this volume as an image whose axes run as those of the file that it was read from."""
        return sitk.DICOMOrient(self.image(values), self.orientation)
