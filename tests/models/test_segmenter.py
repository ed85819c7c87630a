from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models import packages
from models.data.datasets import read_examples
from models.data.images import read_image
from models.data.pairs import read_pairs
from models.errors import InputError, PackageError
from models.mask_training import measure
from models.packages import load_segmenter
from models.segmenter import Segmenter
from tests.models.shared_data import CHEST_XRAY, needs_chest_xray

LEAST_DICE = 0.94  # of the 17 validation pairs


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter("lungs")


@pytest.fixture(scope="module")
def chests() -> list[NDArray[np.float32]]:
    """Validation images of the NIH set, every tenth."""
    files = read_examples(CHEST_XRAY, "validation", []).files[::10]
    return [read_image(file, (512, 512)) for file in files]


def changed(images: list[NDArray[np.float32]], change: str) -> Iterator[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    for image in images:
        yield {
            "on its side": np.rot90(image),
            "left half": image[:, :256],
            "noise": rng.random(image.shape, np.float32),
        }[change]


@needs_chest_xray
def test_the_shipped_weights_find_the_lungs_of_other_patients(segmenter: Segmenter) -> None:
    overlap, each = measure(segmenter, read_pairs(CHEST_XRAY / "lungs", "validation"), "validation")
    assert len(each) == 17
    assert overlap.dice >= LEAST_DICE
    assert overlap.interval[0] <= overlap.dice <= overlap.interval[1]
    (written,) = segmenter.model.card.training.overlaps
    assert overlap.dice == pytest.approx(written.dice, abs=2e-3)  # of another processor's arithmetic


@needs_chest_xray
def test_chests_are_plausible_with_the_right_lung_on_the_images_left(
    segmenter: Segmenter, chests: list[NDArray[np.float32]]
) -> None:
    seen = [segmenter(image).lungs for image in chests]
    assert np.mean([one.plausible for one in seen]) >= 0.95
    for lungs in (one for one in seen if one.plausible):
        assert np.nonzero(lungs.right)[1].mean() < np.nonzero(lungs.left)[1].mean()


@needs_chest_xray
@pytest.mark.parametrize("change", ["on its side", "left half", "noise"])
def test_what_is_no_frontal_chest_is_not_taken_for_one(
    segmenter: Segmenter, chests: list[NDArray[np.float32]], change: str
) -> None:
    seen = [segmenter(np.ascontiguousarray(image)).lungs for image in changed(chests, change)]
    assert np.mean([one.plausible for one in seen]) <= 0.1
    assert all(one.reason.startswith("no lungs seen: ") for one in seen if not one.plausible)


@needs_chest_xray
def test_an_oblong_image_has_its_lungs_in_its_own_pixels(
    segmenter: Segmenter, chests: list[NDArray[np.float32]]
) -> None:
    oblong = chests[0][:, 40:472]
    whole, found = segmenter(chests[0]), segmenter(oblong)
    first = whole.letterbox.to_file(whole.lungs.probability)[:, 40:472]
    second = found.letterbox.to_file(found.lungs.probability)
    assert second.shape == (512, 432)
    assert ((first >= 0.5) == (second >= 0.5)).mean() > 0.97


def test_a_flat_image_shows_no_lungs(segmenter: Segmenter) -> None:
    assert not segmenter(np.full((300, 200), 0.5, np.float32)).lungs.plausible


def test_intensities_of_another_range_are_refused(segmenter: Segmenter) -> None:
    with pytest.raises(InputError, match="takes intensities of 0"):
        segmenter(np.full((300, 200), 7.0, np.float32))


def test_a_package_is_found_by_its_folder_and_refused_where_it_finds_no_lungs(segmenter: Segmenter) -> None:
    assert load_segmenter(packages.ZOO / "lungs").digest == segmenter.digest
    with pytest.raises(PackageError, match='chest-ct finds no lungs: its card\'s localizer must be "lungs"'):
        load_segmenter("chest-ct")
    with pytest.raises(PackageError, match="no model package named 'hand'"):
        load_segmenter(Path("hand"))
