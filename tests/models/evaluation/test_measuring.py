from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data.datasets import read_examples
from models.errors import DataError
from models.evaluation.figures import Evaluation
from models.evaluation.measuring import evaluate
from tests.models import bright, phantoms


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = phantoms.write_folder(tmp_path_factory.mktemp("data") / "phantom", train=40, validation=60)
    disc = dict(zip(*_discs(folder), strict=True))
    for name in [name for name, present in disc.items() if present][:6]:
        mask = folder / "masks" / "Disc" / name
        mask.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(folder / "images" / name) as image:
            Image.fromarray(((np.asarray(image) > 185) * 255).astype(np.uint8)).save(mask)
    return folder


@pytest.fixture(scope="module")
def evaluation(data: Path) -> Evaluation:
    return evaluate(bright.model(), data)


def _discs(folder: Path) -> tuple[list[str], list[bool]]:
    examples = read_examples(folder, "validation", ["Disc"])
    return [path.name for path in examples.files], examples.truth[:, 0].tolist()


def test_a_model_that_sees_the_disc_is_better_than_what_sees_no_image(evaluation: Evaluation) -> None:
    assert {one.label for one in evaluation.measured} == {"Disc", "Half"}
    for one in evaluation.means:
        assert one.baseline is not None and one.above_baseline is not None
        assert one.above_baseline.value is not None and one.above_baseline.value > 0.2
    package, centre = evaluation.located
    assert (package.method, centre.method, package.label) == ("package", "centre box", "Disc")
    for own, blind in ((package.pointing, centre.pointing), (package.overlap_50, centre.overlap_50)):
        assert own.value is not None and blind.value is not None
        assert own.value > blind.value + 0.2
    assert package.froc_images == evaluation.images == 60
    assert package.froc[0].value is not None and package.froc[0].value > 0.8


def test_masks_are_measured_beside_the_centre_box(evaluation: Evaluation) -> None:
    package, centre = evaluation.masked
    assert package.images == centre.images == 6
    assert package.dice.value is not None and centre.dice.value is not None
    assert package.dice.value > max(0.7, centre.dice.value)
    assert package.hausdorff.value is not None and package.hausdorff.value < 40


def test_the_centre_box_has_the_size_of_the_training_boxes(evaluation: Evaluation) -> None:
    assert "mean box size of the training split for Disc" in evaluation.notes["centre box"]


def test_the_best_overlap_more_than_the_worst(evaluation: Evaluation) -> None:
    assert len(evaluation.best) == len(evaluation.worst) == 10
    assert min(one.overlap or 0 for one in evaluation.best) >= max(one.overlap or 0 for one in evaluation.worst)
    assert not {one.image for one in evaluation.best} & {one.image for one in evaluation.worst}
    assert "positives with boxes that reach the threshold" in evaluation.notes["ranking"]


def test_everything_is_in_the_json(evaluation: Evaluation) -> None:
    table = json.loads(json.dumps(evaluation.as_json(), allow_nan=False))
    assert table["calls"][0]["calibration_error"]["low"] is not None
    assert table["located"][0]["froc"][3]["value"] == evaluation.located[0].froc[3].value
    assert table["measured"][0]["baseline"] is not None
    assert (table["data"], table["patients"], table["sources"]) == ("phantom", 30, {"A": 30, "B": 30})


def test_a_folder_without_train_boxes_sources_and_a_label_is_measured_too(data: Path, tmp_path: Path) -> None:
    lines = [line.split(",") for line in (data / "labels.csv").read_text().splitlines()]
    kept = [lines[0], *(line for line in lines if line[0] == "validation")]
    columns = [lines[0].index(name) for name in ("split", "image", "patient", "Half")]
    text = "\n".join(",".join(line[column] for column in columns) for line in kept)
    (tmp_path / "labels.csv").write_text(text.replace("validation", "test") + "\n")
    (tmp_path / "images").symlink_to(data / "images")
    found = evaluate(bright.model(), tmp_path, "test")
    assert found.skipped == ("Disc",)
    assert [(one.label, one.data, one.baseline) for one in found.measured] == [("Half", "test all", None)]
    assert (found.located, found.masked, found.pointing) == ((), (), ())
    assert found.notes["baseline"].startswith("none")
    assert "No boxes" in found.notes["ranking"]
    assert len(found.best) == 10
    (tmp_path / "labels.csv").write_text("split,image,patient,Other\ntest,000.png,1,1\n")
    with pytest.raises(DataError, match="no column for any label of phantom: Disc, Half"):
        evaluate(bright.model(), tmp_path, "test")


def test_a_split_of_few_positives_is_said_and_not_measured(data: Path, tmp_path: Path) -> None:
    lines = (data / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join([lines[0], *lines[-4:]]) + "\n")
    (tmp_path / "images").symlink_to(data / "images")
    found = evaluate(bright.model(), tmp_path)
    assert (found.measured, found.means, found.calls, found.few) == ((), (), (), ("Disc", "Half"))
