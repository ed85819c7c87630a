"""Masks as boxes."""

from __future__ import annotations

import numpy as np

from workers.findings.boxed import BoxedMask


def test_a_volumes_mask_is_kept_and_comes_back_whole() -> None:
    mask = np.zeros((9, 20, 30), np.bool_)
    mask[3, 5:8, 10:12] = mask[4, 5:9, 10:12] = mask[6, 5, 10] = True
    boxed = BoxedMask.of(mask)
    assert boxed.inside.shape == (4, 4, 2)
    np.testing.assert_array_equal(boxed.whole, mask)
    assert (boxed.size, boxed.largest_frame, boxed.touched) == (15, 4, range(3, 7))
    assert [boxed.reaches(frame) for frame in range(9)] == [False] * 3 + [True, True, False, True, False, False]
    for frame in range(9):
        np.testing.assert_array_equal(boxed.on(frame), mask[frame])
    np.testing.assert_array_equal(boxed.indices, np.argwhere(mask))


def test_a_mask_within_a_box_lies_where_the_box_does() -> None:
    inside = np.zeros((4, 6, 6), np.bool_)
    inside[1:3, 2, 3] = True
    boxed = BoxedMask.of(inside, (slice(5, 9), slice(10, 16), slice(20, 26)), (30, 40, 50))
    assert np.argwhere(boxed.whole).tolist() == [[6, 12, 23], [7, 12, 23]]
    assert boxed.largest_frame == 7


def test_an_image_has_one_frame() -> None:
    mask = np.zeros((8, 9), np.bool_)
    mask[2:4, 3] = True
    boxed = BoxedMask.of(mask)
    assert (boxed.largest_frame, boxed.touched, boxed.reaches(0)) == (0, range(1), True)
    np.testing.assert_array_equal(boxed.on(0), mask)
