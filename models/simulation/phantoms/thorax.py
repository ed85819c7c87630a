"""Shapes of the thorax as signed distances in mm, positive inside: cage, lungs, diaphragm, body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.simulation.phantoms.family import Family

Values = NDArray[np.float32]
RIB_LAYER_MM = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Coordinates of the voxels in the phantom, mm, shaped to broadcast: z (d, 1, 1), y and x (1, h, w)."""

    z: Values
    y: Values
    x: Values
    step: float  # mm over which a border is averaged


def share(distance: Values, step: float) -> Values:
    """Share of a voxel inside of a border at that distance."""
    inside: Values = np.clip(0.5 + distance / step, 0.0, 1.0).astype(np.float32)
    return inside


def levels(family: Family, z: Values) -> tuple[Values, Values, Values]:
    """Half width, half depth and middle (y) of the cage at each height."""
    height = np.clip(z / family.height_mm, -0.4, 1.15)
    above, below = np.clip(height - 0.35, 0, None), np.clip(0.35 - height, 0, None)
    width = family.width_mm * np.clip(1.0 - 1.05 * above**1.9 - 0.35 * below**2, 0.45, None)
    depth = family.depth_mm * np.clip(1.0 - 0.75 * above**1.5 - 0.1 * below, 0.5, None)
    middle = family.depth_mm * 0.42 * above**1.1
    return width.astype(np.float32), depth.astype(np.float32), middle.astype(np.float32)


def cage(family: Family, frame: Frame) -> Values:
    """Inner face of the ribs."""
    width, depth, middle = levels(family, frame.z)
    n = family.squareness
    across = (np.abs(frame.x) / width) ** n + (np.abs(frame.y - middle) / depth) ** n
    scale = np.sqrt(width * depth)
    inside: Values = ((1.0 - across ** (1.0 / n)) * scale).astype(np.float32)
    return inside


def diaphragm(family: Family, frame: Frame) -> Values:
    """Height above the diaphragm."""
    width = family.width_mm
    side = (np.abs(frame.x) - 0.46 * width) / (0.58 * width)
    front = (frame.y + 0.05 * family.depth_mm) / family.depth_mm
    lift = np.where(frame.x < 0, family.right_dome_mm, 0.0)
    dome = (family.dome_mm + lift) * (1.0 - 0.75 * side**2) - 55.0 * np.clip(front, 0, None) ** 2 - 18.0 * front**2
    above: Values = (frame.z - 12.0 - dome).astype(np.float32)
    return above


def apex(family: Family, frame: Frame) -> Values:
    """Depth below the two domes of the pleura at the top."""
    x, y = np.abs(frame.x) - 0.38 * family.width_mm, frame.y - 0.34 * family.depth_mm
    top = family.height_mm - x**2 / 55.0 - y**2 / 75.0
    below: Values = (0.8 * (top - frame.z)).astype(np.float32)
    return below


def lungs(family: Family, frame: Frame, inside_cage: Values) -> Values:
    """Both lungs before the mediastinum is taken out."""
    lowest = np.minimum(diaphragm(family, frame) * 0.85, frame.z - 2.0)
    found: Values = np.minimum(np.minimum(inside_cage - 2.0, lowest), apex(family, frame))
    return found


def muscle(family: Family, frame: Frame, inside_cage: Values) -> Values:
    """Ribs, muscles and shoulders around the cage."""
    _, depth, middle = levels(family, frame.z)
    back = np.clip((frame.y - middle) / depth, -1, 1.2)
    high = np.clip(frame.z / family.height_mm - 0.62, 0, 0.5)
    side = np.clip(np.abs(frame.x) / family.width_mm, 0, 1.2)
    thick = family.muscle_mm * (1.0 + 0.8 * np.clip(back, 0, None)) + 150.0 * high * side**2
    outside: Values = (inside_cage + RIB_LAYER_MM + thick).astype(np.float32)
    return outside


def body(family: Family, frame: Frame, muscles: Values) -> Values:
    """Skin."""
    skin = muscles + family.fat_mm * (1.0 + 0.15 * np.clip(frame.y / family.depth_mm, -1, 1))
    if family.breast_mm:
        skin = np.maximum(skin, breasts(family, frame))
    found: Values = skin.astype(np.float32)
    return found


def breasts(family: Family, frame: Frame) -> Values:
    """Two ellipsoids in front; a person on the back: flat and to the side."""
    size = family.breast_mm
    wall = -(family.depth_mm + RIB_LAYER_MM + 0.7 * family.muscle_mm)
    x = (np.abs(frame.x) - 0.62 * family.width_mm) / (1.5 * size)
    y = (frame.y - wall - 0.12 * family.depth_mm) / (0.9 * size + family.fat_mm)
    z = (frame.z - 0.40 * family.height_mm) / (1.5 * size)
    found: Values = ((1.0 - np.sqrt(x**2 + y**2 + z**2)) * size).astype(np.float32)
    return found
