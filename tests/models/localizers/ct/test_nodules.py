from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models import packages
from models.anatomy.ct.lungs import drawn_in_volume
from models.cardfile import card_text
from models.ct_training.making import write_package
from models.errors import InputError, PackageError
from models.localizers.ct.nodules import NoduleLocalizer, cube_logits, painted
from models.localizers.detectors import candidates_ct
from models.localizers.detectors.growing import Region
from models.localizers.registry import OfVolumeLungs
from models.networks.modules.cubes import SIDE, CubeNetwork
from tests.models.ct_phantoms import ball, chest, pattern

SPACING, SHAPE = (2.0, 2.0, 2.0), (120, 120, 160)
PLACE, RADIUS = (121.0, 121.0, 95.0), 8.0


class Brightness(nn.Module):
    """A network whose logit is how bright the middle of a cube is: 4 of soft tissue, below 0 of lung."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        half = SIDE // 2
        return 4.0 * x[:, :, half - 1 : half + 2, half - 1 : half + 2, half - 1 : half + 2].mean((2, 3, 4))


def test_the_map_is_each_candidates_score_in_its_region() -> None:
    hu = chest(SHAPE, SPACING)
    truth = ball(hu, PLACE, RADIUS, spacing=SPACING)
    localizer = NoduleLocalizer(Brightness(), 0.6)  # type: ignore[arg-type]
    assert isinstance(localizer, OfVolumeLungs)
    found = localizer.localize(hu, SPACING)
    assert found.saliency.shape == (1, *SHAPE)
    inside = found.saliency[0] >= 0.6
    assert (inside & truth).sum() > 0.85 * max(inside.sum(), truth.sum())
    assert found.saliency.max() == pytest.approx(1 / (1 + np.exp(-found.logits[0])), abs=1e-4)
    assert found.zones is not None
    assert found.zones[60, 60, 47] == 2  # right middle
    assert found.zones[60, 60, 112] == 5


def test_the_lungs_of_another_package_are_taken() -> None:
    hu = chest(SHAPE, SPACING)
    ball(hu, PLACE, RADIUS, spacing=SPACING)
    localizer = NoduleLocalizer(Brightness(), 0.6).with_volume_lungs(drawn_in_volume)  # type: ignore[arg-type]
    _, lungs = localizer.candidates(hu, SPACING)
    np.testing.assert_array_equal(lungs.both, drawn_in_volume(hu, SPACING).both)


def test_without_candidates_nothing_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates_ct, "blobs_of", lambda *given: ())
    found = NoduleLocalizer(Brightness(), 0.6).localize(chest(SHAPE, SPACING), SPACING)  # type: ignore[arg-type]
    assert found.logits.tolist() == [-9.0]
    assert not found.saliency.any()


def test_logits_of_no_cubes_are_none() -> None:
    assert cube_logits(CubeNetwork().eval(), np.zeros((0, SIDE, SIDE, SIDE), np.float32)).shape == (0,)


def test_the_level_lies_at_the_regions_border_whatever_the_score() -> None:
    part = np.array([0.0, 0.25, 0.5, 0.75, 1.0], np.float32)[None, None]
    region = Region((slice(0, 1), slice(0, 1), slice(0, 5)), part)
    np.testing.assert_allclose(painted(region, 0.9, 0.4)[0, 0], [0.0, 0.2, 0.4, 0.65, 0.9], atol=1e-6)
    np.testing.assert_allclose(painted(region, 0.5, 0.4)[0, 0, [2, 4]], [0.4, 0.5], atol=1e-6)
    assert painted(region, 0.3, 0.4).max() == pytest.approx(0.3)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with random weights beside the shipped lungs."""
    torch.manual_seed(0)
    module = CubeNetwork()
    write_package(tmp_path / "chest-ct-nodules", module, pattern("chest-ct-nodules"))
    return tmp_path / "chest-ct-nodules"


def test_a_package_needs_the_lungs_that_it_was_measured_with(package: Path) -> None:
    card = packages.load_card(package)
    assert card.anatomy is not None
    anatomy = card.anatomy.model_copy(update={"sha256": "1" * 64})
    (package / packages.CARD).write_text(card_text(card.model_copy(update={"anatomy": anatomy})), encoding="utf-8")
    with pytest.raises(PackageError, match="was measured with weights of lungs-ct whose SHA-256 is 111111111111"):
        packages.load(package, "cpu")
    anatomy = card.anatomy.model_copy(update={"package": "lungs"})
    (package / packages.CARD).write_text(card_text(card.model_copy(update={"anatomy": anatomy})), encoding="utf-8")
    with pytest.raises(PackageError, match="lungs, which chest-ct-nodules needs, finds no lungs of volumes"):
        packages.load(package, "cpu")


def test_a_package_works_and_refuses_what_is_no_chest(package: Path) -> None:
    model = packages.load(package, "cpu", 2)
    packages.require_working(model)
    with pytest.raises(InputError, match="No lungs were found"):
        model.predict(np.full((40, 128, 128), 40.0, np.float32), (4.0, 2.0, 2.0))
