"""Branching tubes that fill a space: vessels, bronchi.

Leaves are scattered in the space; a set of leaves is split in two along its longest axis until one is left, each split
is a branching point between the parent and the middle of its leaves. Radii follow Murray's law (the cube of a tube's
radius is the sum of the cubes of its children; Murray, PNAS 1926, doi 10.1073/pnas.12.3.207): r = leaf * n^(1/3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.simulation.fields import Spacing

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Tubes:
    """N straight tapering segments: start and end (N, 3) in mm (z, y, x), radii (N, 2) in mm."""

    start: Points
    end: Points
    radius: Points

    def __len__(self) -> int:
        return len(self.start)


def grown(root: Points, leaves: Points, leaf_mm: float, rng: np.random.Generator) -> Tubes:
    """A tree from the root (3,) to the leaves (N, 3), mm."""
    rows: list[tuple[Points, Points, float, float]] = []
    stack = [(root, leaves, leaf_mm * len(leaves) ** (1 / 3))]
    while stack:
        parent, points, before = stack.pop()
        after = leaf_mm * len(points) ** (1 / 3)
        if len(points) == 1:
            rows.append((parent, points[0], before, after))
            continue
        share = 0.45 + 0.15 * rng.random()
        joint = parent + share * (points.mean(axis=0) - parent)
        joint = joint + rng.normal(0, 0.05, 3) * np.linalg.norm(joint - parent)
        rows.append((parent, joint, before, after))
        stack += [(joint, part, after) for part in _halves(points, joint, rng)]
    start, end = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    return Tubes(start, end, np.array([row[2:] for row in rows]))


def _halves(points: Points, joint: Points, rng: np.random.Generator) -> list[Points]:
    centred = points - points.mean(axis=0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0] + rng.normal(0, 0.15, 3)
    along = centred @ axis
    cut = np.quantile(along, 0.35 + 0.3 * rng.random())
    first = along <= cut
    if first.all() or not first.any():
        first = np.arange(len(points)) < len(points) // 2
    return [points[first], points[~first]]


def drawn(tubes: Tubes, shape: tuple[int, ...], spacing: Spacing) -> NDArray[np.float32]:
    """Share (d, h, w) of each voxel that lies in a tube; thin tubes fill theirs in part."""
    filled = np.zeros(shape, np.float32)
    step = np.asarray(spacing)
    for start, end, radius in zip(tubes.start, tubes.end, tubes.radius, strict=True):
        _draw_one(filled, (start, end, radius), step)
    return filled


def _draw_one(filled: NDArray[np.float32], tube: tuple[Points, Points, Points], step: Points) -> None:
    start, end, radius = tube
    margin = float(radius.max()) + float(step.max())
    low = np.maximum(np.floor((np.minimum(start, end) - margin) / step).astype(int), 0)
    high = np.minimum(np.ceil((np.maximum(start, end) + margin) / step).astype(int) + 1, filled.shape)
    if (high <= low).any():
        return
    z, y, x = (np.arange(a, b) * s for a, b, s in zip(low, high, step, strict=True))
    line = end - start
    square = max(float(line @ line), 1e-9)
    dz, dy, dx = z[:, None, None] - start[0], y[None, :, None] - start[1], x[None, None, :] - start[2]
    t = np.clip((dz * line[0] + dy * line[1] + dx * line[2]) / square, 0.0, 1.0)
    distance = np.sqrt((dz - t * line[0]) ** 2 + (dy - t * line[1]) ** 2 + (dx - t * line[2]) ** 2)
    here = radius[0] + (radius[1] - radius[0]) * t
    half = 0.5 * float(step.max())
    wide = np.maximum(here, half)
    share = np.clip(0.5 + (wide - distance) / (2 * half), 0.0, 1.0) * np.minimum(here / half, 1.0) ** 2
    view = filled[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    np.maximum(view, share, out=view, casting="unsafe")
