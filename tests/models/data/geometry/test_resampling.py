"""Maps sampled on other grids."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.geometry import resampling
from models.data.geometry.resampling import Affine, box_in, sampled

WHOLE = (slice(0, 9), slice(0, 10), slice(0, 11))


def ramp(shape: tuple[int, ...]) -> np.ndarray:
    """A linear map over the unit cube: linear interpolation gives it back."""
    z, y, x = (np.indices(shape)[axis] + 0.5 for axis in range(3))
    return (z / shape[0] + 2 * y / shape[1] - x / shape[2]).astype(np.float32)


def test_a_linear_map_stays_what_it_is_on_any_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "AT_ONCE", 2)
    found = sampled(ramp((18, 20, 22)), Affine.between((9, 10, 11), (18, 20, 22)), WHOLE)
    np.testing.assert_allclose(found, ramp((9, 10, 11)), atol=1e-5)
    part = (slice(3, 7), slice(0, 4), slice(5, 11))
    np.testing.assert_allclose(
        sampled(ramp((18, 20, 22)), Affine.between((9, 10, 11), (18, 20, 22)), part), found[part]
    )


def test_beyond_the_border_is_the_nearest_value_or_the_one_given() -> None:
    values = np.full((3, 3, 3), 7, np.int16)
    away = Affine(np.eye(3), np.array([5.0, 0.0, 0.0]))
    box = (slice(0, 1),) * 3
    assert sampled(values, away, box).tolist() == [[[7]]]
    assert sampled(values, away, box, outside=-1024).tolist() == [[[-1024]]]
    assert sampled(values, away, box).dtype == np.int16


def test_a_way_and_its_inverse_lead_back() -> None:
    way = Affine(np.array([[0.0, 1.1, 0.2], [2.0, 0.0, 0.0], [0.0, -0.3, 1.0]]), np.array([1.0, -2.0, 0.5]))
    places = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(way.inverse()(way(places)), places)
    np.testing.assert_allclose(way.then(way)(places), way(way(places)))


def test_the_box_that_can_lie_in_another() -> None:
    halves = Affine.between((20, 20, 20), (10, 10, 10))
    assert box_in(halves, (slice(2, 4),) * 3, (20, 20, 20)) == (slice(3, 9),) * 3
    assert box_in(halves, (slice(20, 24),) * 3, (20, 20, 20)) is None
