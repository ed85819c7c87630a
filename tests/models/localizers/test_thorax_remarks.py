"""The shipped package on real radiographs: zones, smooth outlines, and what it remarks on images unlike them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from models import packages
from models.data.images import read_fitted
from models.data.letterbox import Letterbox
from models.loaded import LoadedModel
from models.regions import map_regions
from tests.models.shared_data import CHEST_XRAY, needs_chest_xray

pytestmark = needs_chest_xray
IMAGE = CHEST_XRAY / "samples_1024" / "00000129_000.png"


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return packages.load(packages.find("chest-xray"), "cpu")


@pytest.fixture(scope="module")
def image() -> NDArray[np.float32]:
    return read_fitted(IMAGE, (512, 512))[0]


def test_a_usual_image_has_zones_and_no_remark(model: LoadedModel, image: NDArray[np.float32]) -> None:
    prediction = model.predict(image)
    assert prediction.remarks == ()
    zones = prediction.zones
    assert zones is not None
    assert zones.dtype == np.uint8
    assert set(np.unique(zones)) == set(range(7))
    rows, columns = zip(*(np.argwhere(zones == number).mean(axis=0) for number in range(1, 7)), strict=True)
    assert max(columns[:3]) < zones.shape[1] / 2 < min(columns[3:])
    assert rows[0] < rows[1] < rows[2]


@pytest.mark.parametrize(
    ("name", "expected"), [("inverted", "looks inverted"), ("washed out", "low contrast"), ("cut", "thorax cut off")]
)
def test_an_image_unlike_the_training_images_is_remarked(
    name: str, expected: str, model: LoadedModel, image: NDArray[np.float32]
) -> None:
    cut = np.zeros_like(image)
    cut[:360] = image[-360:]
    changed = {"inverted": 1.0 - image, "washed out": 0.4 + 0.2 * image, "cut": cut}[name]
    assert expected in model.predict(changed).remarks


def test_outlines_are_smooth(model: LoadedModel, image: NDArray[np.float32]) -> None:
    """Nothing thinner than a fiftieth of the image sticks out of a region."""
    maps = model.predict(image).saliency
    whole = Letterbox.fit((1024, 1024), (512, 512))
    rows, columns = np.ogrid[-10:11, -10:11]
    for saliency in maps[maps.max(axis=(1, 2)) > 0]:
        (mask,) = (region.mask for region in map_regions(whole.to_file(saliency), 0.6 * float(saliency.max()), most=1))
        opened = ndimage.binary_opening(np.pad(mask, 20), rows**2 + columns**2 <= 100)[20:-20, 20:-20]
        assert (mask & ~opened).sum() < 0.02 * mask.sum()
