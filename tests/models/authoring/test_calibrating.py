"""Calibration on labelled images: figures are of patients on whom nothing was chosen, and the card says so."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from models import packages
from models.authoring.calibrating import calibrate
from models.authoring.package import NOT_MEASURED, Package
from models.errors import DataError, PackageError

SIZE = 32


class Brightness(nn.Module):
    """Logits by the image's mean: `slope` times it plus each of the biases."""

    def __init__(self, slopes: list[float], biases: list[float]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 1, 1), nn.Linear(1, len(biases))
        with torch.no_grad():
            self.first.weight[:], self.first.bias[:] = 1.0, 0.0
            self.last.weight[:], self.last.bias[:] = torch.tensor(slopes)[:, None], torch.tensor(biases)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(torch.relu(self.first(x)).mean((2, 3)))
        return found


def package(net: nn.Module, names: list[str], activation: str) -> Package:
    made = Package("bright", net, licence="MIT", trained_on="nothing")
    made.input(modality=["DX"], size=(SIZE, SIZE))
    for name in names:
        made.finding(name, sct="64572001", site="39937001", urgency="HIGH")
    made.output(activation)  # type: ignore[arg-type]
    return made


def folder(path: Path, columns: list[str], splits: dict[str, int], levels: int = 2) -> Path:
    """Images of noise around a level of brightness; two of a patient, who are of one level; the columns say which."""
    (path / "images").mkdir(parents=True)
    generator, rows = np.random.default_rng(0), []
    for split, patients in splits.items():
        for patient in range(patients):
            level = patient % levels
            for image in range(2):
                name = f"{split}-{patient}-{image}.png"
                grey = np.clip(0.3 + 0.3 * level / (levels - 1) + generator.normal(0, 0.08), 0, 1)
                Image.fromarray(np.full((SIZE, SIZE), round(255 * grey), np.uint8)).save(path / "images" / name)
                cells = [str(int(level > 0))] if columns == ["Bright"] else [f"grade {level}"]
                rows.append([split, name, f"{split}-{patient}", *cells])
    with (path / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream, delimiter=";").writerows([["split", "image", "patient", *columns], *rows])
    return path


def test_one_split_is_cross_fitted_by_patient_and_the_card_says_so(tmp_path: Path) -> None:
    made = package(Brightness([3.0], [5.0]), ["Bright"], "sigmoid")
    assert NOT_MEASURED in made.card().limits
    about = made.calibrate(folder(tmp_path, ["Bright"], {"validation": 60}) / "labels.csv")
    card = packages.load_card(made.save(tmp_path / "bright"))
    (label,), (measured,) = card.labels, card.training.measured
    assert about == card.training.split
    assert "120 images of 60 patients" in about
    assert "cross-fitted by patient in 5 folds" in about
    assert NOT_MEASURED not in card.limits
    assert about in card.limits
    assert card.quantity == "probability"
    assert (measured.images, measured.positives, measured.data) == (120, 60, "validation, cross-fitted by patient, all")
    assert measured.auc > 0.95
    assert measured.specificity is not None
    assert 0.85 < measured.specificity < 1
    model = packages.load(tmp_path / "bright", "cpu")
    low, high = (float(model.predict(np.full((SIZE, SIZE), grey, np.float32)).probabilities[0]) for grey in (0.3, 0.6))
    assert low < 0.1 < 0.9 < high  # uncalibrated both are above 0.99
    assert low < label.operating_point < high
    assert label.triage is None


def test_a_test_split_gives_figures_of_other_patients_and_a_point_for_triage(tmp_path: Path) -> None:
    made = package(Brightness([3.0], [5.0]), ["Bright"], "sigmoid")
    data = folder(tmp_path, ["Bright"], {"train": 4, "validation": 60, "test": 80})
    made.calibrate(data)
    card = made.card()
    (measured,), point = card.training.measured, card.labels[0].triage
    assert measured.images == 160
    assert point is not None
    assert (point.positives, point.negatives, point.data) == (80, 80, "test all")
    assert point.raises_priority
    moved = Package("bright", Brightness([3.0], [-100.0]), licence="MIT", trained_on="nothing")
    moved.input(modality=["DX"], size=(SIZE, SIZE))
    moved.finding("Bright", sct="64572001", site="39937001")
    found = calibrate(moved.load(), data, split="validation", test="test").card
    assert found.training.measured[0].auc == measured.auc


def test_grades_are_calibrated_with_kappa_accuracy_and_confusion(tmp_path: Path) -> None:
    names = ["Grade 0", "Grade 1", "Grade 2"]
    made = package(Brightness([40.0, 40.0], [0.0, 0.0]), names, "ordinal")
    made.calibrate(folder(tmp_path, ["class"], {"validation": 60}, levels=3))
    (found,) = made.card().training.agreements
    assert found.kappa is not None
    assert found.kappa_interval is not None
    assert found.kappa_interval[0] < found.kappa < found.kappa_interval[1]
    assert found.kappa > 0.7  # without calibration every image has grade 2, and the kappa is 0
    assert sum(map(sum, found.confusion)) == 120
    assert found.accuracy == pytest.approx(sum(found.confusion[n][n] for n in range(3)) / 120, abs=1e-4)


def test_exclusive_classes_get_one_temperature(tmp_path: Path) -> None:
    made = package(Brightness([-200.0, 200.0], [60.0, -60.0]), ["Grade 0", "Grade 1"], "softmax")
    made.calibrate(folder(tmp_path, ["class"], {"calibration": 60}))
    card = made.card()
    assert {label.calibration.slope for label in card.labels} == {card.labels[0].calibration.slope}
    assert 0 < card.labels[0].calibration.slope < 0.5
    assert [one.label for one in card.training.measured] == ["Grade_0", "Grade_1"]
    assert card.training.agreements[0].kappa is None


@pytest.mark.parametrize(
    ("columns", "splits", "sentence"),
    [
        (["Dark"], {"validation": 40}, "has no column Bright: it needs one of 0 and 1 for each finding"),
        (["Bright"], {"validation": 6}, "Bright cannot be calibrated: 6 images of 3 patients are with it"),
        (["Bright"], {"train": 40}, "has no rows but those of train"),
        (["Bright"], {"a": 40, "b": 40}, 'has the splits a, b: give split="…"'),
    ],
)
def test_what_cannot_be_calibrated_is_said_in_one_sentence(
    tmp_path: Path, columns: list[str], splits: dict[str, int], sentence: str
) -> None:
    made = package(Brightness([3.0], [0.0]), ["Bright"], "sigmoid")
    with pytest.raises(DataError, match=sentence):
        made.calibrate(folder(tmp_path, columns, splits))


def test_patients_in_two_splits_and_other_tables_are_refused(tmp_path: Path) -> None:
    made = package(Brightness([3.0], [0.0]), ["Bright"], "sigmoid")
    table = folder(tmp_path, ["Bright"], {"validation": 40, "test": 40}) / "labels.csv"
    table.write_text(table.read_text().replace("test-0;", "validation-0;"))
    with pytest.raises(DataError, match="1 patients are in more than one split"):
        made.calibrate(table)
    with pytest.raises(DataError, match=r"the table is called labels\.csv"):
        made.calibrate(tmp_path / "truth.csv")


def test_a_card_that_was_changed_afterwards_is_not_written(tmp_path: Path) -> None:
    made = package(Brightness([3.0], [0.0]), ["Bright"], "sigmoid")
    made.calibrate(folder(tmp_path, ["Bright"], {"validation": 40}))
    made.input(modality=["CR"], size=(SIZE, SIZE))
    with pytest.raises(PackageError, match=r"calibrate\(\) must come after input\(\)"):
        made.card()
