from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from models.slices.framing import body, framed, windowed
from models.slices.table import Slices
from tests.models.slice_phantoms import TABLE, drawn, hounsfield


def test_the_frame_holds_the_body_and_nothing_of_what_is_around_it() -> None:
    image = drawn("malignant", 1)
    found = framed(image, TABLE)
    assert found is not None
    assert found.image.shape == TABLE.size
    assert found.image[-3:].max() < 0.2  # the table lay there
    outside = framed(np.where(body(image, TABLE), image, np.float32(0.7 * image)), TABLE)
    assert outside is not None
    np.testing.assert_allclose(outside.image, found.image, atol=1e-6)  # whatever the grey of air is


def test_the_same_body_gives_the_same_frame_wherever_it_lies_and_however_fine() -> None:
    image = drawn("malignant", 3)
    moved = np.full((140, 160), 0.1, np.float32)
    moved[10:100, 40:136] = image[:90]
    here, there = framed(image, TABLE), framed(moved, TABLE)
    fine = framed(drawn("malignant", 3, size=288), TABLE)
    assert here is not None and there is not None and fine is not None
    np.testing.assert_allclose(here.image, there.image, atol=0.02)
    assert there.box[:2] == (here.box[0] + 10, here.box[1] + 40)
    assert np.abs(fine.image - here.image).mean() < 0.05
    assert found_share(fine.lung) == found_share(here.lung)


def found_share(lung: float) -> float:
    return round(lung, 1)


def test_the_frame_is_square_in_millimetres() -> None:
    tall = np.repeat(drawn("normal", 5), 2, axis=0)  # rows half as far apart as columns
    found, plain = framed(tall, TABLE, (0.5, 1.0)), framed(drawn("normal", 5), TABLE)
    assert found is not None and plain is not None
    assert abs(found.box[2] - 2 * found.box[3]) <= 2
    assert np.abs(found.image - plain.image).mean() < 0.03


def test_an_empty_slice_has_no_frame() -> None:
    assert framed(np.full((96, 96), 0.1, np.float32), TABLE) is None


def test_the_window_gives_back_the_picture() -> None:
    image = drawn("benign", 2)
    np.testing.assert_allclose(windowed(hounsfield(image), TABLE), image, atol=1e-5)
    assert TABLE.air == pytest.approx(1 / 6)


@pytest.mark.parametrize("window", [(-900.0, 250.0), (250.0, -1250.0)])
def test_a_window_without_air_is_refused(window: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="with air, -1000, between them"):
        Slices(size=(64, 64), window=window)
