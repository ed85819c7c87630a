"""Free-response ROC: boxes found against false regions an image. Bunch et al., 1978; the Camelyon16 reading of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.metrics.boxes import Rectangle, overlap
from models.metrics.draws import ratio


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """All boxes and all false regions of N images.

    Attributes
    ----------
    found, found_in
        (B,) score of the best region on each box, -inf where there is none, and the image of the box, 0..N-1.
    false, false_in
        (F,) score of each region that is on no box, and its image.
    images
        N.
    """

    found: NDArray[np.float64]
    found_in: NDArray[np.intp]
    false: NDArray[np.float64]
    false_in: NDArray[np.intp]
    images: int

    @classmethod
    def of(cls, images: Iterable[tuple[Sequence[tuple[Rectangle, float]], Sequence[Rectangle]]], least: float) -> Marks:
        """Of the regions (rectangle, score) and the boxes of each image.

        A region is on a box where they overlap by `least` or more. Of several on one box the best counts for it and
        none is false.
        """
        found, found_in, false, false_in, count = list[float](), list[int](), list[float](), list[int](), 0
        for number, (regions, boxes) in enumerate(images):
            count = number + 1
            on = [[overlap(rectangle, box) >= least for rectangle, _ in regions] for box in boxes]
            for row in on:
                found.append(max((score for (_, score), hit in zip(regions, row, strict=True) if hit), default=-np.inf))
                found_in.append(number)
            for index, (_, score) in enumerate(regions):
                if not any(row[index] for row in on):
                    false.append(score)
                    false_in.append(number)
        scores, rows = (np.array(one, np.float64) for one in (found, false)), (found_in, false_in)
        (at_box, elsewhere), (box_rows, false_rows) = scores, (np.array(one, np.intp) for one in rows)
        return cls(at_box, box_rows, elsewhere, false_rows, count)


def froc_curve(
    marks: Marks, weights: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False regions an image and sensitivity over boxes, both rising from 0, one point a threshold.

    `weights` (draws, N) is how often each image counts; then both are (draws, points). Without boxes the sensitivity
    is not a number.
    """
    drawn = np.ones((1, marks.images)) if weights is None else weights
    thresholds = np.unique(np.concatenate([marks.false, marks.found[np.isfinite(marks.found)]]))[::-1]
    false = _above(marks.false, drawn[:, marks.false_in], thresholds)
    found = _above(marks.found, drawn[:, marks.found_in], thresholds)
    images, boxes = drawn.sum(1)[:, None], drawn[:, marks.found_in].sum(1)[:, None]
    curve = ratio(false, np.broadcast_to(images, false.shape)), ratio(found, np.broadcast_to(boxes, found.shape))
    return (curve[0][0], curve[1][0]) if weights is None else curve


def _above(
    scores: NDArray[np.float64], weights: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weight (draws, 1 + thresholds) of the scores that reach nothing, then each threshold."""
    order = np.argsort(-scores, kind="stable")
    nothing = np.zeros((len(weights), 1))
    total = np.concatenate([nothing, np.cumsum(weights[:, order], axis=1)], axis=1)
    reached = np.searchsorted(-scores[order], -thresholds, side="right")
    return np.concatenate([nothing, total[:, reached]], axis=1)


def froc_sensitivity(
    marks: Marks, rates: Sequence[float], weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Sensitivity at so many false regions an image, linear between thresholds; flat past the last one.

    (rates,), or (draws, rates) for `weights` (draws, N).
    """
    false, found = froc_curve(marks, np.ones((1, marks.images)) if weights is None else weights)
    read = np.array([_read(rates, *curve) for curve in zip(false, found, strict=True)])
    return read[0] if weights is None else read


def _read(rates: Sequence[float], false: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
    highest = np.append(np.diff(false) > 0, True)
    sensitivity: NDArray[np.float64] = np.interp(rates, false[highest], found[highest])
    return sensitivity
