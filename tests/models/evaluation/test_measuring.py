from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.data.datasets import read_boxes, read_examples
from models.data.images import read_grey
from models.errors import DataError
from models.evaluation.blind_points import (
    BRIGHTER_LOWER,
    LOWER_RIGHT,
    MAP_IN_LUNGS,
    RANDOM_IN_IMAGE,
    RANDOM_IN_LUNGS,
)
from models.evaluation.figures import Evaluation, Paired
from models.evaluation.measuring import evaluate
from models.evaluation.paired import CENTRE_BOX, CENTRE_POINT, MEAN_MAP, METADATA, TEACHER
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


def lungs(path: Path) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The left half of the picture is the right lung, without its outer eighth."""
    right = np.zeros((phantoms.SIZE, phantoms.SIZE), np.bool_)
    right[16:-16, 16:64] = True
    return right, right[:, ::-1]


@pytest.fixture(scope="module")
def compared(data: Path) -> Evaluation:
    """Beside a package whose maps are upside down, and with lungs."""
    return evaluate(bright.model(), data, against=bright.upside_down(), lungs=lungs)


def paired(evaluation: Evaluation, figure: str, baseline: str) -> Paired:
    return next(one for one in evaluation.paired if (one.figure, one.baseline) == (figure, baseline))


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


def test_each_baseline_stands_beside_the_package_with_a_paired_difference(compared: Evaluation) -> None:
    figure, upside_down = "peak in a box of Disc", "phantom 9.9.9"
    for baseline in (CENTRE_POINT, MEAN_MAP, RANDOM_IN_IMAGE, RANDOM_IN_LUNGS, LOWER_RIGHT, BRIGHTER_LOWER):
        one = paired(compared, figure, baseline)
        assert one.own.value is not None and one.other.value is not None and one.difference.value is not None
        assert one.difference.value == pytest.approx(one.own.value - one.other.value, abs=1e-3)
        assert (one.difference.low or one.difference.value) > 0
    assert paired(compared, figure, upside_down).difference.low > 0  # type: ignore[operator]
    for name in (
        "at IoU 0.1",
        "at IoU 0.5",
        "found at 0.5 false regions an image",
        "found at 4 false regions an image",
    ):
        for baseline in (CENTRE_BOX, upside_down):
            one = paired(compared, f"boxes of Disc {name}", baseline)
            assert one.difference.value is not None
            assert one.difference.value == pytest.approx((one.own.value or 0) - (one.other.value or 0), abs=2e-4)
    ranks = [one for one in compared.paired if one.figure == "mean AUC"]
    assert [(one.data, one.baseline) for one in ranks] == [
        (f"validation {source}, 2 labels", baseline) for baseline in (METADATA, upside_down) for source in "AB"
    ]


def test_the_same_package_beside_itself_differs_in_nothing(data: Path) -> None:
    found = evaluate(bright.model(), data, against=bright.model())
    same = [one for one in found.paired if one.baseline.startswith("phantom")]
    assert len(same) == 9
    assert all(one.difference.value == 0.0 and one.own == one.other for one in same)


def test_chance_is_the_part_that_boxes_cover_and_the_cut_map_stays_in_the_lungs(
    compared: Evaluation, data: Path
) -> None:
    boxes = {box.image: box.rectangle for box in read_boxes(data)}
    names = [path.name for path in read_examples(data, "validation", ["Disc"]).files if path.name in boxes]
    covered = [boxes[name][2] * boxes[name][3] / phantoms.SIZE**2 for name in names]
    assert paired(compared, "peak in a box of Disc", RANDOM_IN_IMAGE).other.value == pytest.approx(
        np.mean(covered), abs=1e-3
    )
    cut = paired(compared, "peak in a box of Disc", MAP_IN_LUNGS)
    assert cut.other.value is not None and cut.other.value > 0.5


def test_the_lower_lungs_are_where_they_are(data: Path, tmp_path: Path) -> None:
    """A disc drawn in the lower left lung: its middle hits, that of the lower right does not."""
    lines = (data / "labels.csv").read_text().splitlines()
    chosen = [line for line in lines[1:] if line.startswith("validation")][:12]
    (tmp_path / "images").mkdir()
    boxes = ["image,label,x,y,width,height"]
    for line in chosen:
        name = line.split(",")[1]
        grey = read_grey(data / "images" / name).copy()
        grey[84:110, 76:102] = 1
        Image.fromarray((255 * grey).astype(np.uint8)).save(tmp_path / "images" / name)
        boxes.append(f"{name},Disc,76,84,26,26")
    (tmp_path / "labels.csv").write_text("\n".join([lines[0], *chosen]) + "\n")
    (tmp_path / "boxes.csv").write_text("\n".join(boxes) + "\n")
    found = evaluate(bright.model(), tmp_path, lungs=lungs)
    assert paired(found, "peak in a box of Disc", BRIGHTER_LOWER).other.value == 1.0
    assert paired(found, "peak in a box of Disc", LOWER_RIGHT).other.value == 0.0


def test_the_teacher_stands_beside_the_package_where_it_has_predictions(data: Path, tmp_path: Path) -> None:
    for name in ("labels.csv", "boxes.csv", "images"):
        (tmp_path / name).symlink_to(data / name)
    rows = {split: read_examples(data, split, ["Disc", "Half"]) for split in ("train", "validation")}

    def write(split: str) -> None:
        pairs = zip(rows[split].files, rows[split].truth, strict=True)
        lines = [f"{path.name},{0.9 * disc + 0.05},{0.9 * half + 0.05}" for path, (disc, half) in pairs]
        (tmp_path / "teacher.csv").write_text("\n".join(["image,Disc,Half", *lines]) + "\n")

    write("validation")
    found = [one for one in evaluate(bright.model(), tmp_path).paired if one.baseline == TEACHER]
    assert {(one.data, one.other.value) for one in found} == {
        (f"validation {source}, 2 labels", 1.0) for source in "AB"
    }
    assert all(one.own.value is not None for one in found)
    write("train")
    found = [one for one in evaluate(bright.model(), tmp_path).paired if one.baseline == TEACHER]
    assert {one.data.split(" ")[0] for one in found} == {"train"}
    assert all(one.other.value == 1.0 and one.own.value is None for one in found)


def test_another_package_without_the_labels_is_named(data: Path) -> None:
    other = bright.model()
    other = replace(other, card=other.card.model_copy(update={"labels": other.card.labels[:1]}))
    with pytest.raises(DataError, match="phantom .* cannot be compared: it has no label Half"):
        evaluate(bright.model(), data, against=other)
