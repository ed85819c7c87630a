from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import packages
from models.cardfile import card_text
from models.data.datasets import read_examples
from models.data.images import read_image
from models.errors import InputError, PackageError
from models.localizers.lungs import SIDES
from models.packages import load_segmenter
from tests.models.shared_data import CHEST_XRAY, needs_chest_xray

SHIPPED = packages.ZOO / "lungs"


@needs_chest_xray
def test_each_lungs_map_is_its_own_and_its_score_the_mean_within() -> None:
    model, segmenter = packages.load(SHIPPED, "cpu"), load_segmenter("lungs")
    image = read_image(read_examples(CHEST_XRAY, "validation", []).files[0], (256, 256))
    found, lungs = model.predict(image), segmenter(image).lungs
    assert found.labels == SIDES
    assert found.saliency.shape == (2, 256, 256)
    for index, mask in enumerate((lungs.right, lungs.left)):
        np.testing.assert_array_equal(found.saliency[index] >= 0.5, mask)
        assert found.probabilities[index] == pytest.approx(lungs.probability[mask].mean(), abs=1e-4)
    assert not ((found.saliency[0] > 0.5) & (found.saliency[1] > 0.5)).any()
    columns = [np.nonzero(one >= 0.5)[1].mean() for one in found.saliency]
    assert columns[0] < columns[1]


def test_where_no_lungs_are_seen_nothing_is_predicted() -> None:
    ramp = np.linspace(0, 1, 256 * 256, dtype=np.float32).reshape(256, 256)
    with pytest.raises(InputError, match="no lungs seen: "):
        packages.load(SHIPPED, "cpu").predict(ramp)


def test_a_card_of_other_labels_is_refused(tmp_path: Path) -> None:
    card = packages.load_card(SHIPPED)
    (tmp_path / "weights.safetensors").write_bytes((SHIPPED / "weights.safetensors").read_bytes())
    turned = card.model_copy(update={"labels": card.labels[::-1]})
    (tmp_path / packages.CARD).write_text(card_text(turned), encoding="utf-8")
    with pytest.raises(PackageError, match="has the labels Right_lung and Left_lung, in this order"):
        packages.load(tmp_path, "cpu")
