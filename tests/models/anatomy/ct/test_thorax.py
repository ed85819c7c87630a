"""Where findings of the chest can be on CT: not in the skin, the chest wall or the air around."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.anatomy.ct.thorax import TISSUE_HU, inside_thorax

SHAPE, SPACING = (20, 160, 200), (5.0, 2.0, 2.0)


def chest() -> NDArray[np.int16]:
    """An oval body of water with two lungs, of which the right is full of water below the middle; a table behind."""
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    volume = np.full(SHAPE, -1000, np.int16)
    volume[:, ((x - 100) / 80) ** 2 + ((y - 80) / 55) ** 2 <= 1] = 40
    for centre in (60, 140):
        volume[:, ((x - centre) / 26) ** 2 + ((y - 80) / 38) ** 2 <= 1] = -850
    volume[:10, ((x - 60) / 26) ** 2 + ((y - 80) / 38) ** 2 <= 1] = 20
    volume[:, 150:153] = 100
    return volume


def whole(volume: NDArray[np.int16]) -> NDArray[np.bool_]:
    return inside_thorax(volume, tuple(slice(0, length) for length in volume.shape), SPACING)


def test_the_thorax_holds_lungs_heart_and_fluid_and_not_the_wall() -> None:
    inside = whole(chest())
    for plane in (2, 15):  # where the right lung is full of fluid, and where it is not
        assert inside[plane, 80, 60]
        assert inside[plane, 80, 100]
        assert inside[plane, 80, 140]
        assert not inside[plane, 80, 24]
        assert not inside[plane, 30, 100]
        assert not inside[plane, 151, 100]
        assert not inside[plane, 5, 5]


def test_a_box_is_a_part_of_the_whole() -> None:
    volume = chest()
    box = (slice(3, 17), slice(21, 130), slice(33, 181))
    np.testing.assert_array_equal(inside_thorax(volume, box, SPACING), whole(volume)[box])


@pytest.mark.parametrize("value", [40, -1000])
def test_without_an_aerated_lung_nothing_is_known_of_the_thorax(value: int) -> None:
    volume = chest()
    volume[volume == -850] = value
    inside = whole(volume)
    assert inside[15, 80, 100]
    assert TISSUE_HU > -1000
    assert not inside[15, 5, 5]
