"""An image's own intensities made alike before the network's mean and deviation: `network.scaling` of a card.

- range: to 0..1 by the image's smallest and largest value (MONAI ScaleIntensity);
- standard: to mean 0 and deviation 1 (MONAI NormalizeIntensity);
- equalize: each value becomes the part of the pixels that are not brighter, of those that are not black;
- clahe: equalized in 8 x 8 tiles with a limit of contrast (Zuiderveld, Graphics Gems IV, 1994; scikit-image's).

The last two change the brightest of a pixel's three colours, and the others with it: the hue stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from models.card import Window

Floats = NDArray[np.float32]
CLIP = 0.01  # of CLAHE, scikit-image's own
BLACK = 1e-6  # at most: beside the image, and of no part in what is equalized


def windowed(values: NDArray[np.floating[Any]], window: Window) -> Floats:
    """0..1 of values in a window of a card."""
    part = (values - (window.centre - window.width / 2)) / window.width
    return np.asarray(np.clip(part, 0.0, 1.0), np.float32)


def scaled(image: Floats, scaling: str) -> Floats:
    """An image (rows, columns) or (planes, rows, columns) of 0..1; a flat one becomes 0, or stays as it is."""
    if scaling == "none":
        return image
    if scaling in ("equalize", "clahe"):
        brightest = image if image.ndim == 2 else image.max(0)
        found = equalized(brightest) if scaling == "equalize" else _clahe(brightest)
        ratio = np.divide(found, brightest, out=np.zeros_like(found), where=brightest > BLACK)
        return found if image.ndim == 2 else (image * ratio).astype(np.float32)
    low, width = (
        (float(image.min()), float(np.ptp(image)))
        if scaling == "range"
        else (float(image.mean(dtype=np.float64)), float(image.std(dtype=np.float64)))
    )
    return ((image - low) / (width or 1.0)).astype(np.float32)


def equalized(image: Floats) -> Floats:
    """The part of the pixels that are not brighter, black ones left out and as they are."""
    inside = image > BLACK
    found = np.zeros(image.shape, np.float32)
    if inside.any():
        values = np.sort(image[inside])
        found[inside] = np.searchsorted(values, image[inside], side="right") / values.size
    return found


def _clahe(image: Floats) -> Floats:
    from skimage.exposure import equalize_adapthist  # noqa: PLC0415 (slow to import)

    if float(np.ptp(image)) <= BLACK:
        return image
    return np.asarray(equalize_adapthist(np.clip(image, 0.0, 1.0), clip_limit=CLIP), np.float32)
