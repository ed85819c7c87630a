from __future__ import annotations

import numpy as np
import pytest

from models.anatomy.lungs import lungs_of
from models.anatomy.remarks import Measures, measures, remarks
from tests.models.anatomy.phantoms import LEFT, RIGHT, ellipse, probability

USUAL = Measures(contrast=0.75, outside=0.0, area=0.29, confidence=0.97, brighter=-0.26)


@pytest.mark.parametrize(
    ("changed", "clause"),
    [
        ({"contrast": 0.29}, "low contrast"),
        ({"brighter": 0.01}, "looks inverted"),
        ({"outside": 0.17}, "thorax cut off"),
        ({"area": 0.13}, "lungs small in the image"),
        ({"area": 0.47}, "lungs large in the image"),
        ({"confidence": 0.88}, "lungs hard to see"),
    ],
)
def test_what_is_outside_a_limit_is_a_clause(changed: dict[str, float], clause: str) -> None:
    assert remarks(USUAL) == ()
    assert remarks(USUAL._replace(**changed)) == (clause,)


def test_the_measures_of_drawn_lungs() -> None:
    lungs = lungs_of(probability())
    image = np.where(lungs.both, 0.2, 0.6).astype(np.float32).repeat(4, axis=0).repeat(4, axis=1)
    found = measures(image, lungs)
    assert found.contrast == pytest.approx(0.4)
    assert found.brighter == pytest.approx(-1.0)
    assert found.area == pytest.approx((ellipse(RIGHT) | ellipse(LEFT)).mean())
    assert found.confidence == pytest.approx(0.95)
    assert found.outside == pytest.approx(0.0, abs=0.01)
    assert measures(1.0 - image, lungs).brighter == pytest.approx(1.0)
    bordered = image.copy()
    bordered[:, :150] = 0.0  # the border of a letterbox: the square begins near column 40 of 512
    assert measures(bordered, lungs).outside == pytest.approx(0.25, abs=0.04)


def test_an_even_image_is_no_error() -> None:
    found = measures(np.full((256, 256), 0.5, np.float32), lungs_of(probability()))
    assert (found.contrast, found.brighter) == (0.0, 0.0)
    assert "low contrast" in remarks(found)
    assert "low contrast" in remarks(measures(np.zeros((256, 256), np.float32), lungs_of(probability())))
