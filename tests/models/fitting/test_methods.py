"""Every method makes a package that loads, tells the labels apart, and says on its card what it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from models import packages
from models.cardfile import card_text
from models.commands.cli import app
from models.data.images import read_image
from models.errors import DataError, PackageError
from models.localizers.registry import LOCALIZERS, trainable
from models.networks.modules.backbone_file import imagenet_weights
from models.training import train
from tests.models import phantoms

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantoms.write_folder(tmp_path_factory.mktemp("data") / "phantom")


def test_what_a_card_may_name_can_be_loaded_and_trained() -> None:
    on_masks_or_classes = {"lungs", "lungs-ct", "masks", "nodule-cnn", "slice-mil"}
    without = {"boxes", "candidates", "occlusion", "rollout", "score-cam"}
    without |= {"volume-grad-cam", "volume-masks", "volume-occlusion"}
    assert set(LOCALIZERS.names()) == set(trainable()) | on_masks_or_classes | without


RECONSTRUCTIONS = ("reconstruction", "reconstruction-unet", "reconstruction-vae")


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "hirescam", "mil", "attention", *RECONSTRUCTIONS])
def test_a_package_of_each_method(method: str, data: Path, tmp_path: Path) -> None:
    folder, evaluation = train(
        data, phantoms.card(), imagenet_weights(), tmp_path, seed=1, localizer=method, advance=lambda *step: None
    )
    card = packages.load_card(folder)
    assert card.localizer == method
    assert json.loads((tmp_path / "run.json").read_text())["localizer"] == method
    assert not any("class activation maps of image-level" in limit for limit in card.limits)
    assert sum(limit.startswith("Regions are") for limit in card.limits) == 1
    halves = [one.auc for one in evaluation.measured if one.label == "Half"]
    assert min(halves) > 0.8
    model = packages.load(folder, "cpu")
    found = model.predict(read_image(data / "images" / "100.png", (128, 128)))
    assert np.isfinite(found.saliency).all()
    for label in card.labels:  # a threshold that whole images reach would outline everything
        assert label.saliency_threshold > 0


def test_the_command_trains_by_name(data: Path, tmp_path: Path) -> None:
    pattern = tmp_path / "models" / "phantom"
    pattern.mkdir(parents=True)
    (pattern / "card.toml").write_text(card_text(phantoms.card()), encoding="utf-8")
    command = ["train", "--data", str(data), "--run", str(tmp_path / "run"), "--like", "phantom"]
    command += ["--models", str(tmp_path / "models"), "--localizer"]
    assert CliRunner().invoke(app, [*command, "hirescam"]).exit_code == 0
    assert packages.load_card(tmp_path / "run" / "phantom").localizer == "hirescam"


def test_an_unknown_method_names_those_that_there_are(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no localizer named 'lime' to train; there are: attention, cam, grad-cam"):
        train(data, phantoms.card(), Path("none"), tmp_path, seed=0, localizer="lime", advance=lambda *step: None)


def test_what_a_reconstruction_needs_of_card_and_images_is_said(data: Path, tmp_path: Path) -> None:
    rules = phantoms.card().input.model_copy(update={"size": (100, 128)})
    odd = phantoms.card().model_copy(update={"input": rules})
    with pytest.raises(DataError, match="100 x 128, and a denoising U-Net needs multiples of 8: change it there"):
        train(data, odd, imagenet_weights(), tmp_path, seed=0, localizer="reconstruction-unet", advance=lambda *_: None)
