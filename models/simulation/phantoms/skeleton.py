"""Bones: ribs with cartilage, sternum, spine, shoulder blades. Each returns (share of the voxel, HU)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.simulation.phantoms.family import Family
from models.simulation.phantoms.thorax import Frame, levels, share

Values = NDArray[np.float32]
Part = tuple[Values, Values | float]

CORTEX_HU, CARTILAGE_HU = 620.0, 110.0
RIB_MM = (4.6, 6.8)  # half thickness, half height


def ribs(family: Family, frame: Frame, inside_cage: Values) -> Part:
    """Oblique hoops in the layer outside of the cage, cartilage in front."""
    _, depth, middle = levels(family, frame.z)
    back = np.clip((frame.y - middle) / depth, -1.1, 1.1)
    around = np.arctan2(np.abs(frame.x), frame.y - middle) / np.pi  # 0 at the spine, 1 at the sternum
    phase = (frame.z + family.rib_drop_mm * around) / family.rib_pitch_mm + family.rib_phase
    along = (np.abs(phase - np.floor(phase) - 0.5) * family.rib_pitch_mm).astype(np.float32)
    through = inside_cage + 5.5
    radius = np.sqrt((through / RIB_MM[0]) ** 2 + (along / RIB_MM[1]) ** 2).astype(np.float32)
    marrow = family.bone_hu + (CORTEX_HU - family.bone_hu) * np.clip((radius - 0.45) / 0.25, 0, 1)
    hu = np.where(back < -0.72, CARTILAGE_HU, marrow)
    reach = np.minimum((1.0 - radius) * RIB_MM[0], np.abs(frame.x) - 17.0)
    return share(reach.astype(np.float32), frame.step), hu.astype(np.float32)


def sternum(family: Family, frame: Frame) -> Part:
    """A plate in front of the cage."""
    _, depth, middle = levels(family, frame.z)
    front = frame.y - middle + depth + 8.0
    height = frame.z / family.height_mm
    wide = 13.0 + 10.0 * np.clip((height - 0.68) / 0.15, 0, 1)
    inside = np.minimum(np.minimum(wide - np.abs(frame.x), 5.5 - np.abs(front)), (frame.z - 0.28 * family.height_mm))
    hu = family.bone_hu * 0.8 + (CORTEX_HU * 0.7 - family.bone_hu * 0.8) * np.clip(1.5 - inside / 2.0, 0, 1)
    return share(inside.astype(np.float32), frame.step), hu.astype(np.float32)


def spine_y(family: Family) -> float:
    """Middle of the vertebral bodies."""
    return 0.80 * family.depth_mm


def spine(family: Family, frame: Frame) -> list[Part]:
    """Bodies with discs, arches with processes, canal."""
    y = frame.y - spine_y(family)
    turn = frame.z / 25.0 + family.rib_phase
    disc = np.abs(turn - np.floor(turn) - 0.5) * 25.0  # mm from the middle of a body
    body = (1.0 - np.sqrt((frame.x / 18.0) ** 2 + (y / 15.0) ** 2)) * 15.0
    shell = np.clip(1.4 - np.minimum(body, 10.5 - disc) / 2.0, 0, 1)
    hu = np.where(disc < 10.0, family.bone_hu + (450.0 - family.bone_hu) * shell, 85.0)
    arch = 7.0 - np.abs(np.sqrt(frame.x**2 + (y - 23.0) ** 2) - 14.5) * 1.6
    process = np.minimum(4.5 - np.abs(frame.x), 17.0 - np.abs(y - 50.0))
    wings = np.minimum(5.5 - np.abs(y - 24.0), np.minimum(36.0 - np.abs(frame.x), 7.0 - disc))
    behind = np.maximum(np.maximum(arch, process), wings)
    canal = 8.5 - np.sqrt(frame.x**2 + (y - 22.0) ** 2)
    parts = [(behind, np.float32(380.0)), (body, hu), (canal, np.float32(25.0))]
    return [
        (share(np.broadcast_to(inside, _shape(frame)).astype(np.float32), frame.step), np.asarray(value, np.float32))
        for inside, value in parts
    ]


def shoulder_blades(family: Family, frame: Frame, inside_cage: Values) -> Part:
    """Plates behind the upper ribs."""
    _, depth, middle = levels(family, frame.z)
    back = (frame.y - middle) / depth
    plate = 2.8 - np.abs(inside_cage + 21.0 + 0.3 * family.muscle_mm)
    where = np.minimum(back - 0.05, 0.93 - back) * depth
    inside = np.minimum(np.minimum(plate, where), frame.z - 0.45 * family.height_mm)
    inside = np.minimum(inside, np.abs(frame.x) - 0.42 * family.width_mm)
    return share(inside.astype(np.float32), frame.step), CORTEX_HU * 0.8


def _shape(frame: Frame) -> tuple[int, int, int]:
    return frame.z.shape[0], frame.y.shape[1], frame.y.shape[2]
