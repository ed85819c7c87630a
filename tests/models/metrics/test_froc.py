from __future__ import annotations

import numpy as np
import pytest

from models.metrics.froc import Marks, froc_curve, froc_sensitivity

IMAGES = 40


def marks(seed: int = 0) -> Marks:
    rng = np.random.default_rng(seed)
    found = np.where(rng.random(50) < 0.7, rng.random(50), -np.inf)
    return Marks(found, rng.integers(0, IMAGES, 50), rng.random(120), rng.integers(0, IMAGES, 120), IMAGES)


def test_the_curve_is_that_of_monai_but_for_the_loosest_threshold_which_it_leaves_out() -> None:
    pytest.importorskip("monai", reason="needs PyPI monai")
    from monai.metrics.froc import compute_froc_curve_data

    some = marks()
    false, found = compute_froc_curve_data(some.false, some.found[np.isfinite(some.found)], len(some.found), IMAGES)
    ours = froc_curve(some)
    np.testing.assert_allclose(ours[0][:-1], false[::-1])
    np.testing.assert_allclose(ours[1][:-1], found[::-1])
    assert ours[1][-1] == np.isfinite(some.found).mean()
    assert ours[0][-1] == 120 / IMAGES
    np.testing.assert_allclose(froc_sensitivity(some, (0.5, 1, 2)), np.interp((0.5, 1, 2), false[::-1], found[::-1]))


def test_a_draw_counts_an_image_as_often_as_it_was_drawn() -> None:
    some, rng = marks(1), np.random.default_rng(1)
    weights = rng.multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), size=3)
    for draw, drawn in zip(weights, froc_sensitivity(some, (0.5, 1, 2, 4), weights.astype(float)), strict=True):
        copies = np.repeat(np.arange(IMAGES), draw)
        found = np.concatenate([some.found[some.found_in == image] for image in copies])
        false = np.concatenate([some.false[some.false_in == image] for image in copies])
        zeros = np.zeros(len(found), np.intp), np.zeros(len(false), np.intp)
        np.testing.assert_allclose(
            drawn, froc_sensitivity(Marks(found, zeros[0], false, zeros[1], IMAGES), (0.5, 1, 2, 4))
        )


def test_one_region_counts_for_each_box_it_is_on_and_two_on_one_box_are_not_false() -> None:
    box, apart = (0.0, 0.0, 10.0, 10.0), (50.0, 50.0, 10.0, 10.0)
    regions = [(box, 0.9), ((0.0, 0.0, 10.0, 8.0), 0.8), ((80.0, 0.0, 4.0, 4.0), 0.7)]
    some = Marks.of([(regions, [box, apart]), ([], [])], 0.1)
    assert some.found.tolist() == [0.9, -np.inf]
    assert (some.false.tolist(), some.false_in.tolist(), some.images) == ([0.7], [0], 2)
    assert froc_sensitivity(some, (0.5,))[0] == 0.5
