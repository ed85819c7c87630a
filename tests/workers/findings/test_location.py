from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from models.regions import Mask
from tests.workers.results_phantoms import enclosed_area
from workers.findings import location as regions
from workers.findings import wording


def _rectangle(shape: tuple[int, int], rows: slice, columns: slice) -> Mask:
    mask = np.zeros(shape, dtype=np.bool_)
    mask[rows, columns] = True
    return mask


def test_the_outline_of_a_rectangle_follows_its_pixel_borders() -> None:
    points = regions.outline(_rectangle((20, 30), slice(4, 9), slice(10, 22)))
    assert np.array_equal(points[0], points[-1])
    assert points.min(axis=0).tolist() == [10, 4]  # (column, row): corners of pixels, not their centres
    assert points.max(axis=0).tolist() == [22, 9]
    assert len(points) == 9  # the corners are cut off by half a pixel, everything between is one line
    assert enclosed_area(points) == 5 * 12 - 0.5


def test_a_single_pixel_has_an_outline() -> None:
    points = regions.outline(_rectangle((3, 3), slice(1, 2), slice(2, 3)))
    assert sorted(map(tuple, points[:-1].tolist())) == [(2.0, 1.5), (2.5, 1.0), (2.5, 2.0), (3.0, 1.5)]


def test_the_outline_is_that_of_the_largest_part() -> None:
    mask = _rectangle((30, 30), slice(2, 6), slice(2, 6)) | _rectangle((30, 30), slice(10, 25), slice(10, 25))
    assert regions.outline(mask).min() == 10


def test_parts_that_touch_at_a_corner_stay_apart() -> None:
    mask = _rectangle((10, 10), slice(0, 3), slice(0, 3)) | _rectangle((10, 10), slice(3, 9), slice(3, 9))
    points = regions.outline(mask)
    assert points.min() == 3
    assert enclosed_area(points) == 36 - 0.5


def test_an_empty_mask_has_no_outline() -> None:
    with pytest.raises(ValueError, match="empty mask"):
        regions.outline(np.zeros((4, 4), dtype=np.bool_))


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))).filter(np.any))
def test_the_outline_encloses_the_mask_within_half_a_pixel(mask: Mask) -> None:
    """Against scipy: its largest face-connected part with the holes filled is what the polygon must enclose.

    A hole that meets the outside at a corner is none: where parts hang together by faces, gaps do by corners too.
    """
    corners = np.ones((3, 3))
    labelled, count = ndimage.label(mask)
    parts = [labelled == number for number in range(1, count + 1)]
    largest = max(int(part.sum()) for part in parts)
    filled = {int(ndimage.binary_fill_holes(part, corners).sum()) for part in parts if int(part.sum()) == largest}
    points = regions.outline(mask)
    assert enclosed_area(points) + 0.5 in filled
    assert (points >= 0).all()
    assert (points <= mask.shape[::-1]).all()


def test_a_ragged_outline_is_thinned_until_graphic_data_can_hold_it() -> None:
    mask = np.zeros((1500, 2 * regions.MOST_POINTS), dtype=np.bool_)
    heights = np.random.default_rng(1).integers(100, 110, mask.shape[1])
    mask[np.arange(1500)[:, None] < heights] = True
    points = regions.outline(mask)
    assert 100 < len(points) <= regions.MOST_POINTS + 1
    assert np.array_equal(points[0], points[-1])
    assert enclosed_area(points) == pytest.approx(mask.sum(), rel=0.01)


def image_place(mask: Mask, orientation: tuple[str, ...]) -> tuple[str | None, str]:
    location = regions.image_location(mask, orientation)
    return location.side, wording.place(location, "en")


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (("L", "F"), ("right", "right lower zone")),  # the standard view: the picture's left is the patient's right
        (("R", "F"), ("left", "left lower zone")),
        (("L", "H"), ("right", "right upper zone")),
        (("R", "H"), ("left", "left upper zone")),
        (("F", "L"), ("left", "left upper zone")),  # lying on its side
        (("LP", "FA"), ("right", "right lower zone")),
        ((), (None, "lower third, left part of the picture")),
        (("A", "F"), (None, "lower third, left part of the picture")),
    ],
)
def test_a_place_is_the_patients_not_the_pictures(
    orientation: tuple[str, ...], expected: tuple[str | None, str]
) -> None:
    low_on_the_left = _rectangle((90, 60), slice(70, 80), slice(5, 15))
    assert image_place(low_on_the_left, orientation) == expected


def test_the_middle_has_no_side() -> None:
    assert image_place(_rectangle((90, 60), slice(40, 50), slice(25, 35)), ("L", "F")) == (
        None,
        "central middle zone",
    )


@pytest.mark.parametrize(
    ("columns", "step", "expected"),
    [
        (slice(60, 66), 1.0, "left"),
        (slice(60, 66), -1.0, "right"),
        (slice(10, 16), 1.0, "right"),
        (slice(43, 49), 1.0, None),
    ],
)
def test_the_side_on_ct_is_counted_from_the_middle_of_the_body(
    columns: slice, step: float, expected: str | None
) -> None:
    hounsfield = np.full((50, 100), -1000, dtype=np.float32)
    hounsfield[10:40, 5:85] = 40  # the body's middle is column 45, not the picture's 50
    assert (
        regions.volume_side(_rectangle((50, 100), slice(20, 30), columns), hounsfield > regions.BODY_HU, (0.0, step))
        == expected
    )
