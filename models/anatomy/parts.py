"""Right and left lung of a probability map: its two largest parts, with holes filled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.regions import Mask, bounds

LUNG = 0.5  # a pixel is lung from this probability on
APART = (LUNG, 0.7, 0.85, 0.95)  # levels at which lungs that touch are looked for as two parts
SMALLER_LUNG = 0.1  # of the larger one's area: a part below it is no second lung


def right_and_left(probability: NDArray[np.float32]) -> tuple[Mask, Mask]:
    """Masks of the patient's right and left lung; empty where there is none.

    Lungs that touch are parted at the lowest level at which they are two: each pixel belongs to the nearer part.
    A single part is the right lung where its centre lies in the image's left half. The map is (rows, columns), or has
    slices before them.
    """
    inside = probability >= LUNG
    seeds = next((found for found in (_largest(probability >= level) for level in APART) if len(found) == 2), None)
    parts = _grown(seeds, inside) if seeds else _largest(inside)
    filled = sorted((_filled(part) for part in parts), key=_centre)
    none = np.zeros_like(inside)
    if len(filled) == 2:
        return filled[0], filled[1]
    if not filled:
        return none, none
    return (filled[0], none) if _centre(filled[0]) < inside.shape[-1] / 2 else (none, filled[0])


def _largest(mask: Mask) -> list[Mask]:
    """The largest part (by faces), and the second where it is large enough to be a lung."""
    labelled, _ = ndimage.label(mask)
    sizes = np.bincount(labelled.ravel())
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")[:2]
    return [labelled == number for number in order if sizes[number] > SMALLER_LUNG * sizes[order[0]]]


def _grown(seeds: list[Mask], inside: Mask) -> list[Mask]:
    """Each pixel of the parts of `inside` that hold a seed goes to the nearer seed."""
    labelled, _ = ndimage.label(inside)
    kept = np.isin(labelled, np.unique(labelled[seeds[0] | seeds[1]]))
    numbered = seeds[0] + np.uint8(2) * seeds[1]
    if np.array_equal(kept, numbered > 0):
        return seeds
    nearest = ndimage.distance_transform_edt(numbered == 0, return_distances=False, return_indices=True)
    owner = numbered[tuple(nearest)]
    return [kept & (owner == number) for number in (1, 2)]


def _filled(part: Mask) -> Mask:
    box = bounds(part)
    filled = part.copy()
    filled[box] = ndimage.binary_fill_holes(part[box])
    return filled


def _centre(part: Mask) -> float:
    """Mean column."""
    across = part.reshape(-1, part.shape[-1]).sum(axis=0)
    return float((across * (np.arange(across.size) + 0.5)).sum() / across.sum())
