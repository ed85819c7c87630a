from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("skimage", reason="needs PyPI scikit-image")

from models.data.images import read_fitted
from models.data.letterbox import Letterbox
from models.evaluation.classical import bright_in_lungs, clahe, edge_density, equalized, methods
from tests.models import bright
from tests.models.shared_data import CHEST_XRAY, needs_chest_xray


def chest() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Bright body, two dark lungs, a brighter square in the left one, a bright square outside."""
    image = np.full((256, 256), 0.8, np.float32)
    image[:, :16] = image[:, -16:] = 0.0
    image[60:200, 40:110] = image[60:200, 146:216] = 0.3
    image[120:145, 160:185] = 0.55
    image[10:30, 100:150] = 1.0
    return image


def test_the_threshold_rule_finds_what_is_bright_in_the_lungs_and_not_outside() -> None:
    saliency, threshold = bright_in_lungs(chest())
    assert saliency[20, 125] == 0
    assert saliency[132, 172] > threshold > saliency[90, 75]


def test_edges_are_dense_where_there_are_edges() -> None:
    image = np.zeros((128, 128), np.float32)
    image[64:96:8, 64:96] = 1.0
    density, threshold = edge_density(image)
    row, column = np.unravel_index(density.argmax(), density.shape)
    assert 60 <= row <= 100 and 60 <= column <= 100
    assert density[10, 10] < threshold
    assert np.isfinite(edge_density(np.zeros((64, 64), np.float32))[1])
    assert np.isfinite(bright_in_lungs(np.zeros((64, 64), np.float32))[0]).all()


def test_contrast_is_changed_inside_the_file_alone() -> None:
    image, letterbox = np.zeros((128, 128), np.float32), Letterbox.fit((128, 64), (128, 128))
    rng = np.random.default_rng(0)
    image[letterbox.content] = 0.4 + 0.1 * rng.random((128, 64))
    for change in (equalized, clahe):
        spread = change(image[letterbox.content])
        assert float(np.ptp(spread)) > 2 * float(np.ptp(image[letterbox.content]))
        assert 0 <= spread.min() <= spread.max() <= 1
    outputs = [method.predict(image, letterbox) for method in methods(bright.model())]
    assert [output.probabilities is None for output in outputs] == [False, False, True, True]
    assert outputs[0].saliency[0][:, 0].max() == 0  # the black at the left
    assert all(output.saliency.shape[0] == 2 for output in outputs)


@needs_chest_xray
def test_on_a_real_chest_the_field_is_the_lungs() -> None:
    image, _ = read_fitted(CHEST_XRAY / "images" / "00000075_000.jpg", (512, 512))
    saliency, _ = bright_in_lungs(image)
    inside = saliency > 0
    assert 0.1 < inside.mean() < 0.6
    assert not inside[:20].any()
