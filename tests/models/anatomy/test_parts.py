from __future__ import annotations

import numpy as np

from models.anatomy.parts import right_and_left
from tests.models.anatomy.phantoms import LEFT, RIGHT, ellipse, probability


def test_the_right_lung_lies_on_the_images_left() -> None:
    right, left = right_and_left(probability())
    np.testing.assert_array_equal(right, ellipse(RIGHT))
    np.testing.assert_array_equal(left, ellipse(LEFT))


def test_holes_are_filled_and_small_parts_left_out() -> None:
    found = probability()
    found[55:60, 35:40] = 0.0
    found[2:6, 2:6] = 1.0
    right, left = right_and_left(found)
    np.testing.assert_array_equal(right, ellipse(RIGHT))
    np.testing.assert_array_equal(left, ellipse(LEFT))


def test_lungs_that_touch_are_parted_where_the_network_doubts() -> None:
    found = probability()
    found[50:60, 55:72] = 0.6  # a bridge between them
    right, left = right_and_left(found)
    assert not (right & left).any()
    assert (right | left)[50:60, 55:72].all()
    assert (ellipse(RIGHT) & ~right).sum() == (ellipse(LEFT) & ~left).sum() == 0
    assert abs(int(right.sum()) - int(left.sum())) < 0.1 * right.sum()


def test_a_part_that_no_level_divides_stays_one_lung() -> None:
    found = probability()
    found[50:60, 55:72] = 1.0
    right, left = right_and_left(found)
    assert left.any() != right.any()


def test_one_lung_is_of_the_side_that_it_lies_on() -> None:
    for centre, side in ((RIGHT, 0), (LEFT, 1)):
        pair = right_and_left(probability(ellipse(centre)))
        np.testing.assert_array_equal(pair[side], ellipse(centre))
        assert not pair[1 - side].any()


def test_nothing_is_no_lung() -> None:
    right, left = right_and_left(np.zeros((64, 64), np.float32))
    assert not right.any()
    assert not left.any()
