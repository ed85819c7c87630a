from __future__ import annotations

import numpy as np
import pytest

from models.metrics.boxes import best_overlaps, hits, overlap, peak


def test_the_peak_is_the_centre_of_its_cell() -> None:
    saliency = np.zeros((4, 8), np.float32)
    saliency[1, 6] = 1
    assert peak(saliency, (100, 400)) == (325.0, 37.5)


def test_a_hit_lies_in_any_of_the_boxes() -> None:
    boxes = [(0.0, 0.0, 10.0, 10.0), (20.0, 30.0, 5.0, 5.0)]
    assert hits((22, 34), boxes)
    assert hits((9.9, 0), boxes)
    assert not hits((10, 0), boxes)
    assert not hits((34, 22), boxes)


def test_overlap_is_what_pixels_say() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        one, other = (tuple(int(value) for value in rng.integers(1, 12, 4)) for _ in range(2))
        masks = np.zeros((2, 24, 24), np.bool_)
        for mask, (x, y, width, height) in zip(masks, (one, other), strict=True):
            mask[y : y + height, x : x + width] = True
        expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
        assert overlap(tuple(map(float, one)), tuple(map(float, other))) == pytest.approx(expected)  # type: ignore[arg-type]


def test_each_box_takes_its_best_region() -> None:
    found = [(0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 5.0)]
    assert best_overlaps(found, [(0, 0, 10, 10), (50, 50, 5, 5)]) == [1.0, 0.0]
    assert best_overlaps([], [(0, 0, 1, 1)]) == [0.0]
