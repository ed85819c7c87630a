"""Heart, great vessels, airways, oesophagus, and what fills the space between the lungs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.simulation.phantoms.family import Family
from models.simulation.phantoms.skeleton import spine_y
from models.simulation.phantoms.thorax import Frame
from models.simulation.trees import Tubes

Values = NDArray[np.float32]
Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Points (z, y, x) mm of the phantom."""

    heart: tuple[float, float, float]
    carina: tuple[float, float, float]
    right_hilum: tuple[float, float, float]
    left_hilum: tuple[float, float, float]
    arch_z: float


def landmarks(family: Family) -> Landmarks:
    """Where the mediastinum's parts are."""
    h, b = family.height_mm, family.depth_mm
    base = 12.0 + 0.45 * family.dome_mm
    heart = (base + 42.0 * family.heart, -0.30 * b, family.heart_left_mm)
    return Landmarks(
        heart, (0.66 * h, 0.20 * b, 2.0), (0.57 * h, 0.17 * b, -43.0), (0.59 * h, 0.17 * b, 43.0), 0.76 * h
    )


def heart(family: Family, frame: Frame) -> Values:
    """An ellipsoid whose long axis points down to the left and to the front."""
    z0, y0, x0 = landmarks(family).heart
    z, y, x = frame.z - z0, frame.y - y0, frame.x - x0
    cos, sin = float(np.cos(family.heart_turn)), float(np.sin(family.heart_turn))
    long = cos * x * 0.9 - sin * z * 0.75 - 0.35 * y
    cross = sin * x + cos * z
    deep = 0.9 * y + 0.25 * x
    size = family.heart
    radius = np.sqrt((long / (66 * size)) ** 2 + (cross / (54 * size)) ** 2 + (deep / (46 * size)) ** 2)
    inside: Values = ((1.0 - radius) * 50.0 * size).astype(np.float32)
    return inside


def between(family: Family, frame: Frame) -> Values:
    """What keeps the lungs apart beside the heart: pedicle, anterior junction, spine with its tissue."""
    h, b = family.height_mm, family.depth_mm
    height = frame.z / h
    wide = 25.0 + 10.0 * np.clip((height - 0.8) / 0.2, 0, 1) - 3.0 * np.clip((0.5 - height) / 0.3, 0, 1)
    pedicle = (1.0 - np.sqrt((frame.x / wide) ** 2 + ((frame.y - 0.18 * b) / (0.55 * b)) ** 2)) * 25.0
    junction = np.minimum(3.5 + 9.0 * np.clip(-frame.y / b - 0.55, 0, 1) - np.abs(frame.x - 2.0), -frame.y)
    column = (1.0 - np.sqrt((frame.x / 25.0) ** 2 + ((frame.y - spine_y(family) - 4.0) / 24.0) ** 2)) * 22.0
    found: Values = np.maximum(np.maximum(pedicle, junction), column).astype(np.float32)
    return found


def great_vessels(family: Family) -> Tubes:
    """Aorta, pulmonary trunk and arteries, superior and inferior vena cava."""
    at, h, b, r = landmarks(family), family.height_mm, family.depth_mm, family.aorta_mm
    z0, y0, _ = at.heart
    rows = [
        ((z0 + 25, y0 + 8, 4), (at.arch_z - 10, y0 + 12, -12), 1.25 * r, 1.2 * r),
        ((at.arch_z - 10, y0 + 12, -12), (at.arch_z, 0.02 * b, 2), 1.2 * r, 1.1 * r),
        ((at.arch_z, 0.02 * b, 2), (at.arch_z - 6, 0.42 * b, 22), 1.1 * r, 1.05 * r),
        ((at.arch_z - 6, 0.42 * b, 22), (-40, 0.56 * b, 17), 1.05 * r, 0.85 * r),
        ((z0 + 30, y0 - 2, 22), (0.60 * h, -0.02 * b, 22), 14, 13),
        ((0.60 * h, -0.02 * b, 22), at.left_hilum, 12, 8),
        ((0.58 * h, -0.04 * b, 18), (0.58 * h, 0.02 * b, -14), 11, 10),
        ((0.58 * h, 0.02 * b, -14), at.right_hilum, 10, 8),
        ((z0 + 20, y0 + 18, -30), (1.1 * h, -0.02 * b, -20), 10, 8),
        ((z0 - 20, y0 + 35, -24), (-40, 0.22 * b, -24), 12, 12),
        ((at.arch_z, 0.0, 4), (1.1 * h, 0.05 * b, 24), 6, 5),
        ((at.arch_z, -0.08 * b, -4), (1.1 * h, 0.0, -16), 7, 5),
    ]
    return _tubes(rows)


def airways(family: Family, extra: float) -> Tubes:
    """Trachea and main bronchi; `extra` mm of wall."""
    at, h = landmarks(family), family.height_mm
    rows = [
        ((1.2 * h, 0.10 * family.depth_mm, 0), at.carina, 8.5 + extra, 8.5 + extra),
        (at.carina, (at.right_hilum[0] + 4, at.right_hilum[1] + 4, -36), 7 + extra, 5.5 + extra),
        (at.carina, (at.left_hilum[0] - 4, at.left_hilum[1] + 6, 38), 6.5 + extra, 5.0 + extra),
        ((at.right_hilum[0] + 4, at.right_hilum[1] + 4, -36), (0.42 * h, 0.25 * family.depth_mm, -52), 4.5, 2.5),
        ((at.left_hilum[0] - 4, at.left_hilum[1] + 6, 38), (0.42 * h, 0.30 * family.depth_mm, 54), 4.2, 2.5),
    ]
    return _tubes(rows)


def oesophagus(family: Family) -> Tubes:
    """A soft tube in front of the spine."""
    h, b = family.height_mm, family.depth_mm
    return _tubes(
        [((1.2 * h, 0.36 * b, 6), (0.4 * h, 0.44 * b, 4), 7, 8), ((0.4 * h, 0.44 * b, 4), (-40, 0.3 * b, 10), 8, 9)]
    )


def _tubes(rows: Sequence[tuple[Point, Point, float, float]]) -> Tubes:
    start, end = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows], float)
    return Tubes(start, end, np.array([row[2:] for row in rows], float))
