"""Whether two masks are the lungs of a frontal chest radiograph; what are none is named, and not analysed.

The limits are wide: a white hemithorax, a small child, an image taken in bed pass. What they are for is the hand, the
abdomen, the skull, the lateral view, the image on its side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.regions import Mask, bounds

SMALLEST_AREA, LARGEST_AREA = 0.03, 0.56  # of the map, both lungs; of chests at most 0.50, of white noise at least 0.59
SMALLER_LUNG = 0.2  # of the larger one's area
CONFIDENCE = 0.85  # mean probability of the lungs' pixels; of 1,604 frontal chests two have less
DOUBTFUL = 0.8  # see `doubtful`; the largest of 1,604 frontal chests is 0.77
SIDE_BY_SIDE = 0.5  # part of the shorter lung's height that the other one lies beside
TALL = 0.75  # height of a lung by its width


def objection(probability: NDArray[np.float32], right: Mask, left: Mask) -> str:
    """Why these are no lungs, as a clause; empty where they may be."""
    both = right | left
    area = float(both.mean())
    if area < SMALLEST_AREA:
        return f"no lungs seen: {100 * area:.1f} % of the image looks like lung"
    if area > LARGEST_AREA:
        return f"no lungs seen: {100 * area:.0f} % of the image looks like lung"
    if not (right.any() and left.any()):
        return "no lungs seen: only one part of the image looks like a lung"
    smaller, larger = sorted((float(right.mean()), float(left.mean())))
    if smaller < SMALLER_LUNG * larger:
        return f"no lungs seen: one part that looks like a lung has {100 * smaller / larger:.0f} % of the other's area"
    return _shape(right, left) or _doubt(probability, both)


def doubtful(probability: NDArray[np.float32], both: Mask) -> float:
    """Pixels of a probability between 0.2 and 0.8, anywhere in the image, by the pixels of the lungs."""
    return float(((probability > 0.2) & (probability < 0.8)).sum() / both.sum())


def _shape(right: Mask, left: Mask) -> str:
    (rows, columns), (other_rows, other_columns) = bounds(right), bounds(left)
    shorter = min(rows.stop - rows.start, other_rows.stop - other_rows.start)
    beside = min(rows.stop, other_rows.stop) - max(rows.start, other_rows.start)
    if beside < SIDE_BY_SIDE * shorter:
        return "no lungs seen: the two parts that look like lungs do not lie side by side"
    for down, across in ((rows, columns), (other_rows, other_columns)):
        if down.stop - down.start < TALL * (across.stop - across.start):
            return "no lungs seen: a part that looks like a lung is wider than a lung is"
    return ""


def _doubt(probability: NDArray[np.float32], both: Mask) -> str:
    confidence = float(probability[both].mean())
    if confidence < CONFIDENCE:
        return f"no lungs seen: what looks like lungs does so with a mean probability of {100 * confidence:.0f} % only"
    if doubtful(probability, both) > DOUBTFUL:
        return "no lungs seen: too much of the image looks a little like lung"
    return ""
