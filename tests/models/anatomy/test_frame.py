from __future__ import annotations

import numpy as np
import pytest

from models.anatomy.frame import ABOVE, BELOW, SIDE, Frame, frame_of


def test_the_frame_has_a_margin_around_the_lungs_and_most_below() -> None:
    lungs = np.zeros((200, 100), bool)
    lungs[50:150, 20:80] = True
    frame = frame_of(lungs)
    assert frame.top == pytest.approx((50 - ABOVE * 100) / 200)
    assert frame.bottom == pytest.approx((150 + BELOW * 100) / 200)
    assert (frame.left, frame.right) == pytest.approx(((20 - SIDE * 60) / 100, (80 + SIDE * 60) / 100))
    assert frame.pixels((200, 100)) == (slice(42, 168), slice(15, 85))
    assert frame.pixels((400, 200)) == (slice(84, 336), slice(30, 170))


def test_the_frame_ends_at_the_border_of_the_image() -> None:
    assert frame_of(np.ones((40, 40), bool)) == Frame(0.0, 0.0, 1.0, 1.0)
    assert frame_of(np.zeros((40, 40), bool)) == Frame(0.0, 0.0, 1.0, 1.0)


def test_a_frame_holds_at_least_a_pixel() -> None:
    assert Frame(0.99, 0.99, 1.0, 1.0).pixels((4, 4)) == (slice(3, 4), slice(3, 4))
