"""A family of phantoms: the sizes and densities of one person, drawn from a seed.

Sizes are those of adults (thoracic cage 230 to 310 mm wide inside, lungs 210 to 290 mm high); a family keeps them, a
volume of it adds a breath, a turn, new vessels and a scan. Coordinates of phantoms in mm: x to the patient's left from
the midline, y to the back from the middle of the cage, z to the head from the lowest point of the lungs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, slots=True)
class Family:
    """One person."""

    name: str
    female: bool
    width_mm: float  # half of the cage inside, at its widest
    depth_mm: float  # half, front to back
    height_mm: float  # of the lungs
    dome_mm: float  # height of the diaphragm's domes
    right_dome_mm: float  # how much higher the right one is
    muscle_mm: float
    fat_mm: float
    breast_mm: float  # 0: none
    gland: float  # share of a breast
    heart: float  # scale
    heart_left_mm: float
    heart_turn: float  # rad
    aorta_mm: float  # radius
    rib_pitch_mm: float
    rib_drop_mm: float  # from the spine to the sternum
    rib_phase: float
    bone_hu: float
    lung_hu: float
    squareness: float
    blood_hu: float  # 45 without contrast agent
    rotation: float  # rad, about the long axis


def drawn_family(number: int, seed: int) -> Family:
    """The family of a number; the same seed gives the same family."""
    rng = np.random.default_rng((seed, 7001, number))
    female = bool(rng.random() < 0.5)
    size = float(rng.normal(0.96 if female else 1.05, 0.05))
    return Family(
        name=f"phantom-{number:03}",
        female=female,
        width_mm=float(np.clip(132 * size * rng.normal(1, 0.05), 108, 160)),
        depth_mm=float(np.clip(96 * size * rng.normal(1, 0.07), 74, 120)),
        height_mm=float(np.clip(245 * size * rng.normal(1, 0.06), 200, 300)),
        dome_mm=float(rng.uniform(38, 72)),
        right_dome_mm=float(rng.uniform(4, 20)),
        muscle_mm=float(rng.uniform(10, 22) * (0.85 if female else 1.1)),
        fat_mm=float(np.clip(rng.gamma(3.0, 5.0), 4, 45)),
        breast_mm=float(rng.uniform(22, 55)) if female else 0.0,
        gland=float(rng.uniform(0.1, 0.55)),
        heart=float(size * rng.normal(0.95, 0.05)),
        heart_left_mm=float(rng.uniform(12, 26)),
        heart_turn=float(rng.uniform(0.45, 0.8)),
        aorta_mm=float(rng.uniform(10.5, 15.5)),
        rib_pitch_mm=float(rng.uniform(24, 31)),
        rib_drop_mm=float(rng.uniform(85, 135)),
        rib_phase=float(rng.random()),
        bone_hu=float(rng.uniform(120, 260)),
        lung_hu=float(rng.normal(-868, 18)),
        squareness=float(rng.uniform(2.1, 2.7)),
        blood_hu=45.0,
        rotation=0.0,
    )


def varied(family: Family, rng: np.random.Generator) -> Family:
    """Another scan of the same person: breath, turn on the table, contrast agent or none."""
    breath = float(rng.uniform(0.93, 1.04))
    return replace(
        family,
        height_mm=family.height_mm * breath,
        dome_mm=family.dome_mm / breath**2,
        lung_hu=family.lung_hu + 250.0 * (1.0 - breath),
        heart=family.heart / breath**0.3,
        blood_hu=float(rng.choice([rng.uniform(35, 50), rng.uniform(90, 280)])),
        rotation=float(np.radians(np.clip(rng.normal(0, 4), -11, 11))),
    )
