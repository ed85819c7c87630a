"""A phantom of a chest that is a function of the point, so that no voxel of the prior is interpolated."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from models.data.volumes.volume import Volume
from models.errors import InputError, RegistrationError
from models.registration import Quality, register

SIZE = 0.7  # of a child: small grids are quick
RADIUS = SIZE * np.array([150.0, 100.0, 130.0])  # mm, of the body; its ends in z are cut by the field
NODULES = np.random.default_rng(5).uniform(-0.7, 0.7, (24, 3))


def chest(points: np.ndarray, anatomy: int = 0) -> np.ndarray:
    """HU at points (…, 3) LPS mm; `anatomy` moves organs, as in another patient."""
    x, y, z = np.moveaxis(points / SIZE, -1, 0)
    drawn = np.random.default_rng(100 + anatomy)
    move = (lambda: drawn.uniform(-18, 18, 3)) if anatomy else (lambda: np.zeros(3))
    field = np.full(x.shape, -1000.0)

    def put(centre, radii, value):
        cx, cy, cz = np.array(centre, float) + move()
        rx, ry, rz = radii
        distance = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2)
        blend = np.clip((1 - distance) * min(radii) / 4 + 0.5, 0, 1)  # 4 mm of partial volume
        field[:] = field + blend * (value - field)

    put((0, 0, 0), (150, 100, 220), 20.0)
    put((-70, 0, 10), (55, 75, 105), -850.0)
    put((72, 5, 15), (50, 72, 100), -850.0)
    put((25, -25, -30), (45, 40, 50), 45.0)  # heart
    put((0, 72, 0), (18, 18, 300), 250.0)  # spine
    put((-70, 0, -105), (75, 80, 60), 60.0)  # liver
    for dx, dy, dz in NODULES:
        side = -70 if dx < 0 else 72
        put((side + 55 * dx, 65 * dy, 90 * dz), (9, 8, 10), 30.0)
    return field


def grid(size, spacing, origin):
    """Points (d, h, w, 3) LPS mm of a grid; size and spacing are (z, y, x)."""
    z, y, x = (np.arange(n) * step for n, step in zip(size, spacing, strict=True))
    zz, yy, xx = np.meshgrid(z, y, x, indexing="ij")
    return np.stack([xx, yy, zz], axis=-1) + np.array(origin)


def volume(points_of, size, spacing, origin, noise=0.0, anatomy=0):
    points = grid(size, spacing, origin)
    values = chest(points_of(points.reshape(-1, 3)).reshape(points.shape), anatomy)
    values += np.random.default_rng(3).normal(0, noise, values.shape) if noise else 0
    return Volume(values.astype(np.float32), spacing, origin)


def moved(degrees, shift, scale):
    """A transform from the current patient to the prior one."""
    rotation = sitk.Euler3DTransform((0, 0, 0), *np.deg2rad(degrees))
    return sitk.AffineTransform((scale * np.array(rotation.GetMatrix())).tolist(), shift)


def apply(transform, points):
    matrix = np.reshape(transform.GetMatrix(), (3, 3))
    return points @ matrix.T + transform.GetTranslation()


CURRENT = volume(lambda points: points, (44, 38, 55), (4.0, 4.0, 4.0), (-108.0, -74.0, -84.0), noise=20)
LANDMARKS = np.random.default_rng(1).uniform(-0.55, 0.55, (200, 3)) * RADIUS


def error(registration, transform) -> float:
    return float(np.linalg.norm(registration.to_prior(LANDMARKS) - apply(transform, LANDMARKS), axis=1).mean())


def prior_of(transform, size=(37, 50, 70), spacing=(5.0, 3.5, 3.5), origin=(-115.0, -80.0, -90.0), **more):
    inverse = sitk.AffineTransform(transform.GetInverse())
    return volume(lambda points: apply(inverse, points), size, spacing, origin, noise=40, **more)


@pytest.mark.parametrize(
    ("degrees", "shift", "scale"),
    [
        ((0.0, 0.0, 10.0), (20.0, -5.0, 3.0), 1.0),
        ((8.0, -4.0, 5.0), (-8.0, 12.0, -15.0), 1.05),
        ((-3.0, 6.0, -6.0), (4.0, 4.0, 18.0), 0.95),
    ],
)
def test_a_moved_turned_and_scaled_prior_is_found_to_a_millimetre(degrees, shift, scale) -> None:
    true = moved(degrees, shift, scale)
    found = register(CURRENT, prior_of(true))
    assert error(found, true) < 1.0
    assert np.abs(found.to_current(found.to_prior(LANDMARKS)) - LANDMARKS).max() < 1e-3
    assert found.quality.correlation > max(0.9, found.quality.before)
    assert found.quality.scale == pytest.approx(scale**3, abs=0.02)


def test_a_cropped_prior_is_found_and_resampled_twice_alike() -> None:
    true = moved((4.0, 0.0, -5.0), (10.0, 8.0, -6.0), 1.02)
    prior = prior_of(true, size=(27, 44, 52), origin=(-88.0, -72.0, -66.0))
    once, again = register(CURRENT, prior), register(CURRENT, prior)
    assert error(once, true) < 1.0
    assert np.array_equal(once.to_prior(LANDMARKS), again.to_prior(LANDMARKS))
    there = once.resampled(prior, CURRENT)
    assert there.array.shape == CURRENT.array.shape
    inside = there.array > -999
    assert np.corrcoef(there.array[inside], CURRENT.array[inside])[0, 1] > 0.95


def test_masks_say_where_the_match_counts() -> None:
    """Half of the prior is another anatomy; masks of the other half find the transform all the same."""
    true = moved((0.0, 0.0, 6.0), (8.0, 0.0, 4.0), 1.0)
    prior = prior_of(true)
    right = grid(CURRENT.array.shape, CURRENT.spacing, CURRENT.origin)[..., 0] < 7
    found = register(CURRENT, prior, current_mask=right)
    assert error(found, true) < 1.5


def test_another_part_of_the_body_is_refused() -> None:
    noise = np.random.default_rng(2).normal(0, 300, (30, 36, 40)).astype(np.float32)
    with pytest.raises(RegistrationError, match="cannot be brought to match the current one"):
        register(CURRENT, Volume(noise, (4.0, 4.0, 4.0), (-80.0, -70.0, -60.0)))


def test_what_is_too_small_or_has_another_mask_is_named() -> None:
    small = Volume(np.zeros((4, 40, 40), np.float32), (3.0, 3.0, 3.0))
    with pytest.raises(InputError, match="too small to be registered"):
        register(CURRENT, small)
    with pytest.raises(InputError, match="the mask has the shape"):
        register(CURRENT, CURRENT, current_mask=np.ones((2, 2, 2), bool))


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        (Quality(0.95, 0.5, 0.9, 0.4, 1.0), ""),
        (Quality(0.95, 0.5, 0.2, 0.4, 1.0), "share 20 % of the body"),
        (Quality(0.5, 0.5, 0.9, 0.4, 1.0), "correlate by 0.50"),
        (Quality(0.95, 0.5, 0.9, 9.0, 1.0), "9.0 mm off"),
        (Quality(0.95, 0.5, 0.9, 0.4, 2.0), "2.00 times the volume"),
    ],
)
def test_a_bad_quality_has_a_reason(quality: Quality, words: str) -> None:
    assert words in quality.objection
    assert bool(words) == bool(quality.objection)
