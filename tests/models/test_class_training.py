from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from models import packages
from models.card import Card
from models.class_training import train
from models.commands.cli import app
from models.errors import DataError, PackageError
from models.evaluation.classes.figures import ClassEvaluation
from models.fitting.classes.shortcuts import lungs_alone, outer_frame, outline, outside
from models.networks.modules.backbone_file import imagenet_weights
from tests.models import slice_phantoms
from tests.models.slice_phantoms import TABLE, drawn, hounsfield

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)

Trained = tuple[Path, Path, ClassEvaluation]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    data = slice_phantoms.write_folder(tmp_path_factory.mktemp("data") / "slices")
    run = tmp_path_factory.mktemp("run")
    like = slice_phantoms.card()
    folder, evaluation = train(data, like, imagenet_weights(), run, seed=0, advance=lambda *_: None)
    return data, folder, evaluation


def test_a_trained_package_knows_the_drawn_classes(trained: Trained) -> None:
    _, folder, evaluation = trained
    packages.verify(folder)
    card = packages.load_card(folder)
    images, groups = evaluation.levels
    assert (images.counts, groups.counts) == ((4, 4, 4), (2, 2, 2))
    assert images.balanced_accuracy.value is not None and images.balanced_accuracy.value > 0.7
    assert {one.data for one in card.training.measured} >= {"validation, images", "training, out of fold, groups"}
    slopes = {label.calibration.slope for label in card.labels}
    assert len(slopes) == 1 and slopes.pop() > 0
    report = json.loads((folder.parent / "run.json").read_text())
    assert "bags: mean of slices" in report["out_of_fold"]
    assert report["seconds"] > 0
    assert not (folder.parent / "features").exists()


def test_it_reads_a_volume_and_its_probabilities_add_up_to_one(trained: Trained) -> None:
    model = packages.load(trained[1], "cpu")
    found = {}
    for kind in slice_phantoms.CLASSES:
        planes = np.stack([drawn(kind, seed, size=192) for seed in range(900, 906)])
        prediction = model.predict(hounsfield(planes), (5.0, 0.5, 0.5))
        assert prediction.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert prediction.saliency.shape == (3, 6, 64, 64)
        found[kind] = model.card.labels[int(prediction.probabilities.argmax())].name.lower()
    assert found["normal"] == "normal"
    assert found["malignant"] == "malignant"


def test_evaluate_prints_the_confusion_matrix_and_what_shortcuts_reach(trained: Trained, tmp_path: Path) -> None:
    data, folder, evaluation = trained
    words = ["evaluate", folder.name, "--models", folder.parent, "--data", data, "--baselines", "--markdown"]
    done = CliRunner().invoke(app, [*map(str, words), "--out", str(tmp_path / "all.json"), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    for text in ("images: true \\ predicted", "groups: true", "balanced accuracy", "the outer frame", "grey of air"):
        assert text in done.stdout
    written = json.loads((tmp_path / "all.json").read_text())
    assert written["levels"][0]["confusion"] == [list(row) for row in evaluation.levels[0].confusion]
    by_name = {one["name"]: one["levels"][0]["macro"]["value"] for one in written["shortcuts"]}
    assert by_name["grey of air"] < 0.8  # it was drawn alike in all classes


@pytest.mark.parametrize("localizer", ["grad-cam", "hirescam"])
def test_exclusive_classes_of_images_are_fitted_under_localizers_by_gradients(localizer: str, tmp_path: Path) -> None:
    data = slice_phantoms.write_folder(tmp_path / "slices", groups=5, validation=1)
    shipped = slice_phantoms.card().model_dump() | {"slices": None, "localizer": localizer}
    shipped["input"] |= {"kind": "image", "size": [64, 64], "slice_thickness": None, "smallest_slices": 1}
    shipped["input"] |= {"smallest_rows_columns": [1, 1]}
    folder, evaluation = train(
        data, Card.model_validate(shipped), imagenet_weights(), tmp_path / "run", seed=0, advance=lambda *_: None
    )
    assert [one.unit for one in evaluation.levels] == ["images"]
    prediction = packages.load(folder, "cpu").predict(drawn("malignant", 5, size=64))
    assert prediction.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert prediction.saliency.shape == (3, 4, 4)


def test_a_shortcut_sees_nothing_of_the_lesion() -> None:
    for view in (outside, outer_frame, outline):
        same, other = (view(drawn(kind, 8), TABLE) for kind in ("normal", "malignant"))
        assert np.abs(same - other).mean() < 0.01
    assert np.ptp(outside(drawn("normal", 8), TABLE)) > 0.3  # the table is there


def test_the_lungs_alone_show_the_lesion_and_neither_heart_nor_wall() -> None:
    normal, small = (lungs_alone(drawn(kind, 8), TABLE) for kind in ("normal", "benign"))
    assert np.mean(normal > 0.5) < 0.02
    assert np.mean(small > 0.5) > np.mean(normal > 0.5) + 0.005


def test_a_method_that_fits_no_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'mil' fits no exclusive classes; those that do: .*slice-mil"):
        train(tmp_path, slice_phantoms.card(), tmp_path, tmp_path, seed=0, localizer="mil", advance=lambda *_: None)
