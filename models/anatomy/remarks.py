"""What in an image of a thorax is unlike the images that the networks were trained on, as short clauses.

The limits are the quantiles 0.2 and 99.8 % of 387 training images (400 of the 1,604 of NIH ChestX-ray14 drawn at
random, 512 x 512, less 13 in which no lungs are seen):

==========  ======  ======  ======  ======  ======
measure     lowest   0.2 %    50 %  99.8 %  highest
==========  ======  ======  ======  ======  ======
contrast     0.290   0.302   0.749   0.936   0.957
outside      0.000   0.000   0.002   0.158   0.162
area         0.065   0.135   0.287   0.462   0.478
confidence   0.891   0.891   0.966   0.979   0.979
brighter    -0.403  -0.397  -0.257  -0.065  -0.052
==========  ======  ======  ======  ======  ======

An image counts as inverted only where its lungs are as bright as what lies around them: white lungs come near it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy.crop import BRIGHTEST, DARKEST, Crop
from models.anatomy.lungs import Lungs
from models.regions import bounds

LEAST_CONTRAST = 0.30
MOST_OUTSIDE = 0.16
SMALLEST_AREA, LARGEST_AREA = 0.135, 0.46
LEAST_CONFIDENCE = 0.89
INVERTED = 0.0
AROUND = 0.06  # of the lungs' width: what lies so near is their surroundings


class Measures(NamedTuple):
    """What is measured of an image.

    Attributes
    ----------
    contrast
        Range of the thorax's intensities before they are stretched, 0..1.
    outside
        Part of the square around the lungs that lies outside the image or in its black border.
    area
        Part of the input that both lungs cover.
    confidence
        Mean probability of the lungs' pixels.
    brighter
        Mean intensity of the lungs less that of their surroundings, by the contrast.
    """

    contrast: float
    outside: float
    area: float
    confidence: float
    brighter: float


def measures(image: NDArray[np.float32], lungs: Lungs) -> Measures:
    """Of an input (rows, columns) of 0..1 and its lungs, which have been seen."""
    both, crop = lungs.both, Crop.of(lungs)
    small = _sampled(image, both.shape)
    inside = _square(crop, both.shape)
    content = np.zeros_like(both)
    content[bounds(small > 0) if small.any() else ...] = True
    low, high = np.percentile(small[inside & content], [DARKEST, BRIGHTEST])
    contrast = float(high - low)
    across = bounds(both)[1]
    near = ndimage.distance_transform_edt(~both) <= AROUND * (across.stop - across.start)
    surroundings = near & ~both
    brighter = (small[both].mean() - small[surroundings].mean()) / max(contrast, 1e-3)
    outside = max(1.0 - float((inside & content).sum()) / (crop.side**2 * both.size), 0.0)
    return Measures(contrast, outside, float(both.mean()), float(lungs.probability[both].mean()), float(brighter))


def remarks(found: Measures) -> tuple[str, ...]:
    """What is outside the limits, each as a clause; none of an image like the training images."""
    clauses = {
        "low contrast": found.contrast < LEAST_CONTRAST,
        "looks inverted": found.brighter > INVERTED,
        "thorax cut off": found.outside > MOST_OUTSIDE,
        "lungs small in the image": found.area < SMALLEST_AREA,
        "lungs large in the image": found.area > LARGEST_AREA,
        "lungs hard to see": found.confidence < LEAST_CONFIDENCE,
    }
    return tuple(clause for clause, holds in clauses.items() if holds)


def _sampled(image: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Every so many pixels of an image, so that it has that shape."""
    rows, columns = ((np.arange(n) + 0.5) * length / n for n, length in zip(shape, image.shape, strict=True))
    sampled: NDArray[np.float32] = image[rows.astype(int)[:, None], columns.astype(int)]
    return sampled


def _square(crop: Crop, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The pixels that a crop holds."""
    rows, columns = (
        np.abs((np.arange(n) + 0.5) / n - centre) <= crop.side / 2
        for n, centre in zip(shape, (crop.y, crop.x), strict=True)
    )
    held: NDArray[np.bool_] = rows[:, None] & columns
    return held
