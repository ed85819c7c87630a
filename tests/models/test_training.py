from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models import packages
from models.card import Card
from models.cardfile import card_text
from models.data.datasets import read_boxes, read_examples
from models.data.images import read_image
from models.errors import DataError, PackageError, RunError
from models.evaluation.figures import Evaluation
from models.evaluation.measuring import evaluate
from models.fitting import frozen
from models.importers.installing import add
from models.networks.modules.backbone_file import imagenet_weights
from models.provenance import Owner
from models.training import WEAK, forecast_lines, fusion_lines, train
from tests.models import phantoms

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)

Trained = tuple[Path, Path, Evaluation, list[tuple[str, int, int]]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    data = phantoms.write_folder(tmp_path_factory.mktemp("data") / "phantom")
    run, steps = tmp_path_factory.mktemp("run"), list[tuple[str, int, int]]()
    like = phantoms.card()
    folder, evaluation = train(data, like, imagenet_weights(), run, seed=1, advance=lambda *step: steps.append(step))
    return data, folder, evaluation, steps


def test_a_trained_package_is_whole_and_says_how_it_was_made(trained: Trained) -> None:
    _, folder, evaluation, steps = trained
    packages.verify(folder)
    card = packages.load_card(folder)
    assert card.name == folder.name == "phantom"
    assert card.training.seed == 1
    assert {one.data for one in card.training.measured} == {
        "validation A", "validation B", "training, out of fold, A", "training, out of fold, B",
    }  # fmt: skip
    assert not any(limit.startswith(WEAK) for limit in card.limits)
    assert evaluation.digest == packages.digest(folder)
    assert steps[-1] == ("test", 60, 60)
    report = json.loads((folder.parent / "run.json").read_text())
    assert report["test"]["digest"] == evaluation.digest
    assert report["penalty"] == card.training.penalty


def test_the_card_holds_the_reliability_of_its_calibration(trained: Trained) -> None:
    data, folder, _, _ = trained
    images = len(read_examples(data, "train", []))
    for label in packages.load_card(folder).labels:
        assert sum(dot.images for dot in label.reliability) == images
        gap = sum(dot.images * abs(dot.probability - dot.frequency) for dot in label.reliability) / images
        assert gap < 0.1  # Platt's line fits what it was fitted on
    with Image.open(folder / packages.RELIABILITY) as diagram:
        assert diagram.format == "PNG" and min(diagram.size) > 200
    target, _ = add(folder, folder.parent / "added")
    assert (target / packages.RELIABILITY).is_file()


def test_it_learned_what_is_there_to_learn(trained: Trained) -> None:
    _, _, evaluation, _ = trained
    figures = {(one.label, one.data): one for one in evaluation.measured}
    for label in ("Disc", "Half"):
        for source in "AB":
            one = figures[label, f"validation {source}"]
            assert one.auc > 0.9
            assert one.baseline is not None
            assert one.baseline < 0.8


def test_its_maps_point_at_the_disc(trained: Trained) -> None:
    _, _, evaluation, _ = trained
    (pointing,) = evaluation.pointing
    assert pointing.images >= 10
    assert pointing.hits > 0.5 * pointing.images > 2 * pointing.chance * pointing.images
    assert pointing.hits > pointing.centre_hits


def test_regions_cover_part_of_a_called_image(trained: Trained) -> None:
    """The threshold lies where out-of-fold positives put a tenth of their cells."""
    data, folder, _, _ = trained
    model = packages.load(folder, "cpu")
    examples = read_examples(data, "validation", ["Disc", "Half"])
    covered = []
    for path, truth in zip(examples.files, examples.truth, strict=True):
        found = model.predict(read_image(path, (128, 128)))
        if truth[0] and found.probabilities[0] >= model.card.labels[0].operating_point:
            covered.append((found.saliency[0] >= model.card.labels[0].saliency_threshold).mean())
    assert 0.02 < np.mean(covered) < 0.3


def test_what_is_fitted_on_is_no_test(trained: Trained, tmp_path: Path) -> None:
    data, *_ = trained
    with pytest.raises(DataError, match="The split train cannot be the test, too"):
        train(data, phantoms.card(), imagenet_weights(), tmp_path, seed=1, test="train", advance=lambda *step: None)
    assert not list(tmp_path.iterdir())


def test_a_label_too_rare_to_train_is_named(trained: Trained, tmp_path: Path) -> None:
    folder = phantoms.write_folder(tmp_path / "few", train=12, validation=4)
    table = folder / "labels.csv"
    lines = [line.split(",") for line in table.read_text().splitlines()]
    for number, line in enumerate(lines[1:]):
        line[8] = "01"[number == 2]
    table.write_text("\n".join(map(",".join, lines)) + "\n")
    with pytest.raises(DataError, match=r"Too few patients to train: Disc \(two with it and two without it"):
        train(folder, phantoms.card(), imagenet_weights(), tmp_path / "run", seed=0, advance=lambda *step: None)


def test_a_baseline_that_knows_everything_is_seen_as_such(trained: Trained, tmp_path: Path) -> None:
    """Where the view gives the label away, the baseline beside the AUC says so."""
    data, folder, _, _ = trained
    table = (data / "labels.csv").read_text().splitlines()
    told = [table[0]] + [line.replace(",PA,", ",AP,") if line.endswith(",1") else line for line in table[1:]]
    (tmp_path / "images").symlink_to(data / "images")
    (tmp_path / "labels.csv").write_text("\n".join(told) + "\n")
    evaluation = evaluate(packages.load(folder, "cpu"), tmp_path)
    halves = [one for one in evaluation.measured if one.label == "Half"]
    assert halves
    assert all(one.baseline == 1.0 for one in halves)


def test_the_written_card_reads_back(trained: Trained) -> None:
    _, folder, _, _ = trained
    card: Card = packages.load_card(folder)
    assert (folder / packages.CARD).read_text(encoding="utf-8") == card_text(card)
    assert read_boxes(folder) == ()


class Killed(Exception):
    """What stands for a kill."""


def test_the_same_seed_makes_the_same_package_though_the_run_is_killed_on_the_way(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, folder, *_ = trained
    monkeypatch.setattr(frozen, "SAVED_AFTER", 2)
    read = list[int]()

    def advance(stage: str, done: int, count: int) -> None:
        if stage == "features":
            read.append(done)
            if done == 40 and 40 not in read[:-1]:
                raise Killed

    def again(**more: Any) -> Path:
        return train(data, phantoms.card(), imagenet_weights(), tmp_path, seed=1, advance=advance, **more)[0]

    with pytest.raises(Killed):
        again()
    assert (tmp_path / "features" / "done").read_text() == "32"
    with pytest.raises(RunError, match="holds a run already: continue it with --resume"):
        again()
    with pytest.raises(RunError, match="cannot be continued, because this differs: seed was 1 and is 2"):
        train(data, phantoms.card(), imagenet_weights(), tmp_path, seed=2, resume=True, advance=advance)
    read.clear()
    read.append(40)
    assert packages.digest(again(resume=True)) == packages.digest(folder)
    assert read[1] == 40  # goes on after 32
    assert not (tmp_path / "features").exists()


def test_the_forecast_is_in_the_run_and_is_printed(trained: Trained) -> None:
    _, folder, _, steps = trained
    curve, more, caution = forecast_lines(folder.parent)
    assert curve.startswith("Learning curve, mean AUC out of fold: 8 images")
    assert "10 times as many images" in more and caution.startswith("Caution")
    assert ("learning curve", 4, 4) in steps
    recorded = json.loads((folder.parent / "run.json").read_text())["learning_curve"]
    assert len(recorded["measured"]) == 4


def test_the_card_gets_operating_points_for_triage(trained: Trained) -> None:
    _, folder, evaluation, _ = trained
    points = {label.name: label.triage for label in packages.load_card(folder).labels}
    assert points == evaluation.triage
    assert all(point and point.raises_priority and point.specificity >= 0.95 for point in points.values())


def test_a_device_that_is_not_there_is_named(trained: Trained, tmp_path: Path) -> None:
    data, *_ = trained
    with pytest.raises(RunError, match="The device 'cuda:99' cannot be used"):
        train(data, phantoms.card(), imagenet_weights(), tmp_path, seed=1, device="cuda:99", advance=lambda *step: None)


def test_the_card_says_what_is_true_of_this_run_alone(trained: Trained) -> None:
    _, folder, _, _ = trained
    card = packages.load_card(folder)
    packages.require_own(folder)
    assert (card.title, card.manufacturer, card.licence) == ("Disc, Half (phantom)", "not given", "not given")
    assert card.training.data.startswith("80 images of 40 patients of the site (not given)")
    assert "validation (60 images of 30 patients) was measured" in card.training.split
    assert card.training.citation == ""
    written = (folder / packages.CARD).read_text(encoding="utf-8")
    record = json.loads((folder.parent / "run.json").read_text())
    assert card.training.date == record["date"] and record["date"] in card.training.method
    for other in ("NIH", "1,604", 'ReadFirst"', "CheXNet"):
        assert other not in written


def test_metadata_beside_the_image_is_measured_and_not_shipped(trained: Trained, tmp_path: Path) -> None:
    """Where the view gives a label away, and the image does, too, fusion says so for that label alone."""
    data, folder, *_ = trained
    lines = (data / "labels.csv").read_text().splitlines()
    told = [lines[0]] + [line.replace(",PA,", ",AP,") if line.split(",")[8] == "1" else line for line in lines[1:]]
    (tmp_path / "images").symlink_to(data / "images")
    (tmp_path / "labels.csv").write_text("\n".join(told) + "\n")
    owner, run = Owner("Discs", "Hospital X"), tmp_path / "run"
    other, _ = train(
        tmp_path, phantoms.card(), imagenet_weights(), run, seed=1, owner=owner, metadata=["view"],
        advance=lambda *step: None,
    )  # fmt: skip
    disc, half = json.loads((run / "run.json").read_text())["fusion"]
    assert disc["label"] == "Disc" and disc["fused"]["value"] == 1.0
    assert disc["difference"]["value"] == pytest.approx(1.0 - disc["image"]["value"], abs=1e-3)
    assert abs(half["difference"]["value"]) < 0.05
    assert "with view, difference" in fusion_lines(run)[0]
    assert packages.sha256(other / "weights.safetensors") == packages.sha256(folder / "weights.safetensors")
    card = packages.load_card(other)
    assert (card.title, card.manufacturer) == ("Discs", "Hospital X")
    assert "trained on" in card.summary and card.summary.startswith("Discs: cam on efficientnet-lite0")
    with pytest.raises(DataError, match="There is no metadata named weight; there are: age, sex, view"):
        train(tmp_path, phantoms.card(), imagenet_weights(), run, seed=1, metadata=["weight"], advance=lambda *_: None)


def test_few_positives_are_a_warning_with_wide_intervals(tmp_path: Path) -> None:
    data = phantoms.write_folder(tmp_path / "few", train=40, validation=12)
    rows = [line.split(",") for line in (data / "labels.csv").read_text().splitlines()]
    first = [row for row in rows[1:] if row[0] == "train" and row[9] == "1"]
    kept = {row[1] for row in first[:4]}
    for row in rows[1:]:
        row[9] = "1" if row[1] in kept else "0"
    (data / "labels.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    folder, _ = train(data, phantoms.card(), imagenet_weights(), tmp_path / "run", seed=0, advance=lambda *step: None)
    card = packages.load_card(folder)
    patients = len({row[2] for row in first[:4]})
    assert any(f"Half (4 of {patients} patients)" in limit for limit in card.limits)
    assert forecast_lines(tmp_path / "run")[0].startswith("Warning: Few positive training images")
    (few,) = [one for one in card.training.measured if one.label == "Half" and "few" in one.data]
    assert few.positives == 4
    assert few.interval[1] - few.interval[0] > 0.2
