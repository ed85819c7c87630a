"""A phantom as voxels: each tissue painted over the one before with the share of the voxel that it fills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.simulation.chest import Chest, box_of
from models.simulation.fields import Spacing, grid_mm, smooth_field
from models.simulation.phantoms import mediastinum, skeleton, thorax
from models.simulation.phantoms.family import Family
from models.simulation.phantoms.thorax import Frame, share
from models.simulation.regions import LEFT, RIGHT
from models.simulation.scanner.noise import Noise
from models.simulation.trees import Tubes, drawn, grown

Values = NDArray[np.float32]
AIR_HU, FAT_HU, MUSCLE_HU, LIVER_HU, SPLEEN_HU = -1000.0, -100.0, 52.0, 58.0, 48.0
LEAVES = 320  # ends of vessels, each lung, arteries and veins each
LEAF_MM = 0.68


@dataclass(frozen=True, slots=True)
class Extent:
    """A box in the phantom's coordinates: lowest corner (z, y, x) mm and number of voxels."""

    low: tuple[float, float, float]
    shape: tuple[int, int, int]


def render(
    family: Family, rng: np.random.Generator, spacing: Spacing = (2.0, 2.0, 2.0), margin: float | None = 12.0
) -> Chest:
    """A phantom without noise, cropped to its lungs and a margin in mm; the whole body where the margin is None."""
    extent = _extent(family, spacing, whole=margin is None)
    frame = _frame(family, extent, spacing)
    inside = thorax.cage(family, frame)
    lung, sides = _lungs(family, frame, inside, extent, spacing)
    hu = _soft_tissue(family, frame, inside, rng, spacing)
    hu = _mediastinum(hu, family, frame, extent, spacing, rng)
    hu = _lung_tissue(hu, lung, family, frame, (extent, spacing, sides), rng)
    for part, value in _bones(family, frame, inside):
        hu += (value - hu) * part
    airway = drawn(_placed(mediastinum.airways(family, 0.0), family, extent), extent.shape, spacing)
    hu += (AIR_HU - hu) * airway
    heart = (mediastinum.heart(family, frame) > 0) & (sides == 0) & (thorax.diaphragm(family, frame) > -12.0)
    chest = Chest(hu, spacing, sides, heart, Noise(0.0))
    return chest if margin is None else _cropped(chest, margin)


def _extent(family: Family, spacing: Spacing, *, whole: bool) -> Extent:
    wall = thorax.RIB_LAYER_MM + 2.0 * family.muscle_mm + family.fat_mm + 90.0 if whole else 22.0
    breast = 1.6 * family.breast_mm if whole else 0.0
    turn = abs(np.sin(family.rotation)) * family.width_mm
    low = (-14.0, -family.depth_mm - wall - turn - breast, -family.width_mm - wall)
    high = (family.height_mm + 14.0, family.depth_mm + wall + turn + 10.0, family.width_mm + wall)
    shape = tuple(int(np.ceil((b - a) / s)) + 1 for a, b, s in zip(low, high, spacing, strict=True))
    return Extent(low, (shape[0], shape[1], shape[2]))


def _frame(family: Family, extent: Extent, spacing: Spacing) -> Frame:
    z, y, x = (axis + np.float32(low) for axis, low in zip(grid_mm(extent.shape, spacing), extent.low, strict=True))
    cos, sin = np.float32(np.cos(family.rotation)), np.float32(np.sin(family.rotation))
    return Frame(z, cos * y - sin * x, cos * x + sin * y, max(spacing))


def _placed(tubes: Tubes, family: Family, extent: Extent) -> Tubes:
    """Tubes of the phantom in mm from the first voxel."""
    cos, sin = np.cos(family.rotation), np.sin(family.rotation)

    def placed(points: NDArray[np.float64]) -> NDArray[np.float64]:
        z, y, x = points.T
        rotated = np.stack([z, cos * y + sin * x, cos * x - sin * y], axis=1)
        moved: NDArray[np.float64] = rotated - np.asarray(extent.low)
        return moved

    return Tubes(placed(tubes.start), placed(tubes.end), tubes.radius)


def _lungs(
    family: Family, frame: Frame, inside: Values, extent: Extent, spacing: Spacing
) -> tuple[Values, NDArray[np.uint8]]:
    """(share of lung, sides)."""
    both = thorax.lungs(family, frame, inside)
    apart = np.maximum(mediastinum.between(family, frame), mediastinum.heart(family, frame) + 3.0)
    lung = share(np.minimum(both, -apart), frame.step)
    for tubes in (mediastinum.great_vessels(family), mediastinum.airways(family, 2.0)):
        lung *= 1.0 - drawn(_placed(tubes, family, extent), extent.shape, spacing)
    left = np.broadcast_to(frame.x > 0, lung.shape)
    sides = np.where(lung > 0.5, np.where(left, LEFT, RIGHT), 0).astype(np.uint8)
    return lung, sides


def _soft_tissue(family: Family, frame: Frame, inside: Values, rng: np.random.Generator, spacing: Spacing) -> Values:
    muscles = thorax.muscle(family, frame, inside)
    hu = AIR_HU + (FAT_HU - AIR_HU) * share(thorax.body(family, frame, muscles), frame.step)
    texture = smooth_field(rng, hu.shape, spacing, 14.0)
    if family.breast_mm:
        gland = share((thorax.breasts(family, frame) - 9.0).astype(np.float32), 8.0) * (
            texture > np.float32(0.9 - 1.6 * family.gland)
        )
        hu += (25.0 - hu) * gland * (hu > -300)
    strands = np.clip((texture + 1.5) / 0.6, 0, 1) * share(muscles, frame.step)  # fat between muscles
    hu += (MUSCLE_HU - hu) * strands
    hu += (FAT_HU + 12 - hu) * share(inside + 1.0, frame.step)  # fat of the mediastinum
    return _abdomen(hu, family, frame, inside, texture)


def _abdomen(hu: Values, family: Family, frame: Frame, inside: Values, texture: Values) -> Values:
    below = np.minimum(-thorax.diaphragm(family, frame), inside).astype(np.float32)
    contrast = 0.25 * (family.blood_hu - 45.0)
    liver = np.minimum(below - 2.0, 0.18 * family.width_mm - frame.x - 0.12 * frame.y)
    spleen = np.minimum(below - 2.0, np.minimum(frame.x - 0.4 * family.width_mm, frame.y - 0.1 * family.depth_mm))
    stomach = np.minimum(below - 6.0, np.minimum(frame.x - 0.22 * family.width_mm, 0.05 * family.depth_mm - frame.y))
    hu += (MUSCLE_HU - hu) * share(below, frame.step) * share(4.0 - below, frame.step)
    for part, value in ((liver, LIVER_HU + contrast), (spleen, SPLEEN_HU + contrast), (stomach, 30.0)):
        hu += (value + 3.0 * texture - hu) * share(part.astype(np.float32), frame.step)
    bubble = np.minimum(stomach - 4.0, -0.45 * family.depth_mm - frame.y)
    hu += (AIR_HU - hu) * share(bubble.astype(np.float32), frame.step)
    return hu


def _mediastinum(
    hu: Values, family: Family, frame: Frame, extent: Extent, spacing: Spacing, rng: np.random.Generator
) -> Values:
    above = share(thorax.diaphragm(family, frame) + 6.0, frame.step)
    muscle_hu = 45.0 + 0.45 * (family.blood_hu - 45.0)
    heart = mediastinum.heart(family, frame)
    hu += (muscle_hu - hu) * share(heart, frame.step) * above
    chambers = smooth_field(rng, hu.shape, spacing, 45.0)
    hu += (family.blood_hu - hu) * share(heart - 9.0, 4.0) * above * (chambers > -0.6)
    gullet = drawn(_placed(mediastinum.oesophagus(family), family, extent), hu.shape, spacing)
    hu += (38.0 - hu) * gullet
    wall = drawn(_placed(mediastinum.airways(family, 2.0), family, extent), hu.shape, spacing)
    hu += (30.0 - hu) * wall
    vessels = drawn(_placed(mediastinum.great_vessels(family), family, extent), hu.shape, spacing)
    hu += (family.blood_hu - hu) * vessels
    return hu


def _lung_tissue(
    hu: Values,
    lung: Values,
    family: Family,
    frame: Frame,
    grid: tuple[Extent, Spacing, NDArray[np.uint8]],
    rng: np.random.Generator,
) -> Values:
    """Parenchyma, denser where it hangs (behind), and its vessels."""
    extent, spacing, sides = grid
    texture = smooth_field(rng, hu.shape, spacing, 5.0) * 14.0 + smooth_field(rng, hu.shape, spacing, 25.0) * 10.0
    tissue = family.lung_hu + 38.0 * frame.y / family.depth_mm + texture
    hu += (tissue - hu) * lung
    at = mediastinum.landmarks(family)
    for side, hilum in ((RIGHT, at.right_hilum), (LEFT, at.left_hilum)):
        box = box_of(sides == side, 2)
        inside = np.argwhere(sides[box] == side)
        corner = np.asarray([one.start for one in box]) * np.asarray(spacing)
        root = _placed(Tubes(np.array([hilum]), np.array([hilum]), np.ones((1, 2))), family, extent).start[0] - corner
        for number in (0, 1):  # arteries, veins
            leaves = inside[rng.choice(len(inside), LEAVES, replace=False)] * np.asarray(spacing)
            tubes = grown(root + np.array([-9.0 * number, -3.0 * number, 0.0]), leaves, LEAF_MM, rng)
            vessels = drawn(tubes, hu[box].shape, spacing)
            view = hu[box]
            view += (family.blood_hu - view) * vessels * (lung[box] > 0.3)
    return hu


def _bones(family: Family, frame: Frame, inside: Values) -> list[skeleton.Part]:
    return [
        skeleton.shoulder_blades(family, frame, inside),
        skeleton.ribs(family, frame, inside),
        skeleton.sternum(family, frame),
        *skeleton.spine(family, frame),
    ]


def _cropped(chest: Chest, margin: float) -> Chest:
    zs, ys, xs = box_of(chest.lungs)
    box = tuple(
        slice(max(0, one.start - int(margin // step)), one.stop + int(margin // step))
        for one, step in zip((zs, ys, xs), chest.spacing, strict=True)
    )
    cut = (box[0], box[1], box[2])
    return Chest(chest.hu[cut].copy(), chest.spacing, chest.sides[cut].copy(), chest.heart[cut].copy(), chest.noise)
