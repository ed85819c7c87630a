"""Calibration, operating points and figures of a network on labelled images of its maker's.

Figures are of patients on whom nothing was chosen: of the split `test`, or else cross-fitted by patient, each fold with
the calibration and operating points that the other folds gave. What is on the card then is fitted on all of the split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import decision, platt, present, probabilities_of, temperature
from models.card import Agreement, Calibration, Card, Label, Measurement
from models.data.datasets import Examples, read_examples, require_images, splits
from models.data.planes import read_input
from models.data.tables import column_names
from models.errors import DataError
from models.evaluation.classes.levels import Level, level
from models.evaluation.classes.levels import measurements as class_measurements
from models.evaluation.discrimination import FEWEST_POSITIVES, cells, measurements
from models.evaluation.triage import triage_points, with_triage
from models.fitting.deciding import decided
from models.fitting.heads import folds
from models.metrics.draws import Figure
from models.prediction import Model

Floats = NDArray[np.float64]
TABLE = "labels.csv"
FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A card with what was found on labelled images, and in a sentence on which."""

    before: Card
    card: Card
    about: str


def calibrate(
    model: Model, table: Path, split: str = "", test: str = "", advance: Callable[[], None] = lambda: None
) -> Calibrated:
    """Predict all images of a table, and put calibration and figures on the card; `advance` is called after each.

    Parameters
    ----------
    table
        labels.csv, with images/ beside it, as `models.data.datasets` reads it, or the folder.
    split, test
        Rows to calibrate on, and rows to measure on; by default "validation" and "test" where there are both, else the
        only split that is not "train", cross-fitted by patient.

    Raises
    ------
    DataError
        The table or an image cannot be read, a column is missing, a patient is in two splits, or a label has too few.
    """
    card = model.card
    folder = _folder(table)
    split, test = _chosen(splits(folder), split, test, folder / TABLE)
    names = [label.name for label in card.labels]
    _require_columns(folder / TABLE, names)
    examples = read_examples(folder, split, names)
    others = read_examples(folder, test, names) if test else None
    for each in filter(None, (examples, others)):
        require_images(each)
        _require_enough(each, card)
    logits = _logits(model, examples, advance)
    found = _fitted(card, logits, examples.truth)
    if others is None:
        seen, scores, cards = examples, logits, _crossed(card, logits, examples)
    else:
        seen, scores = others, _logits(model, others, advance)
        cards = [(found, np.arange(len(others)))]
    about = _about(split, examples, test, others)
    data = f"{test}, of other patients" if test else f"{split}, cross-fitted by patient,"
    training = _measured(cards, data, seen, scores)
    if others is not None and card.activation == "sigmoid":
        found = _with_triage(found, (split, examples, logits), (test, others, scores))
    return Calibrated(card, _on_card(found, training, about), about)


def _folder(table: Path) -> Path:
    if table.is_dir():
        return table
    if table.name != TABLE:
        raise DataError(f"{table} is not read: the table is called {TABLE}, and its images are in images/ beside it.")
    return table.parent


def _chosen(there: set[str], split: str, test: str, path: Path) -> tuple[str, str]:
    """The splits to calibrate and to measure on; "" where the two are one."""
    others = there - {"train", test}
    if split:
        return split, test
    if {"validation", "test"} <= there and test in ("", "test"):
        return "validation", "test"
    if len(others) == 1:
        return others.pop(), test
    if not others:
        raise DataError(f"{path} has no rows but those of train, on which the network was made: add others.")
    raise DataError(f'{path} has the splits {", ".join(sorted(others))}: give split="…" to calibrate on one of them.')


def _require_columns(path: Path, names: list[str]) -> None:
    there = column_names(path)
    missing = [name for name in names if name not in there and "class" not in there]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}: it needs one of 0 and 1 for each finding, or one named class;"
            f" there are {', '.join(there)}."
        )


def _require_enough(examples: Examples, card: Card) -> None:
    """DataError where a label has too few images or patients for figures and folds."""
    for label, truth in zip(examples.labels, examples.truth.T, strict=True):
        for word, rows in (("with", truth), ("without", ~truth)):
            images, patients = int(rows.sum()), len(set(examples.patients[rows].tolist()))
            if images < FEWEST_POSITIVES or patients < FOLDS:
                raise DataError(
                    f"{label} cannot be calibrated: {images} images of {patients} patients are {word} it, and"
                    f" {FEWEST_POSITIVES} of {FOLDS} are the fewest."
                )
    if card.exclusive and not (examples.truth.sum(1) == 1).all():
        raise DataError(f"Each image must have exactly one of {', '.join(examples.labels)}: they are exclusive.")


def _logits(model: Model, examples: Examples, advance: Callable[[], None]) -> Floats:
    """(N, L) of all images, in the order of the card's labels."""
    found = []
    for path in examples.files:
        found.append(model.predict(read_input(path, model.card.input)[0]).logits)
        advance()
    return np.stack(found).astype(np.float64)


def _fitted(card: Card, logits: Floats, truth: NDArray[np.bool_]) -> Card:
    """The card with calibration, and of single findings with operating points, of these images."""
    labels: tuple[Label, ...]
    if card.activation == "sigmoid":
        labels = decided(card.labels, logits, truth)
    elif card.activation == "softmax":
        scale = Calibration(round(temperature(logits, truth), 5), 0.0)
        labels = tuple(label.model_copy(update={"calibration": scale}) for label in card.labels)
    else:
        reached = [np.asarray(truth[:, index:].any(1), np.bool_) for index in range(len(card.labels))]
        scales = [platt(logits[:, index], reached[index]) for index in range(1, len(card.labels))]
        rounded = [Calibration(1.0, 0.0), *(Calibration(round(one[0], 5), round(one[1], 5)) for one in scales)]
        labels = tuple(
            label.model_copy(update={"calibration": one}) for label, one in zip(card.labels, rounded, strict=True)
        )
    return card.model_copy(update={"labels": labels})


Parts = list[tuple[Card, NDArray[np.int64]]]
"""Cards, and the rows that each of them decides on and was not fitted on."""


def _crossed(card: Card, logits: Floats, examples: Examples) -> Parts:
    found = []
    for held in folds(examples.patients, FOLDS, 0):
        kept = np.setdiff1d(np.arange(len(examples)), held)
        truth = examples.truth[kept]
        if not (truth.any(0) & ~truth.all(0)).all():
            raise DataError("Too few patients for cross-fitting: without a fifth of them a label has no image at all.")
        found.append((_fitted(card, logits[kept], truth), held))
    return found


def _measured(cards: Parts, data: str, seen: Examples, logits: Floats) -> dict[str, Any]:
    """`measured` and `agreements` of a card's [training], and `reliability` of its labels."""
    card = cards[0][0]
    probabilities, positive = np.zeros(logits.shape), np.zeros(logits.shape, np.bool_)
    for one, rows in cards:
        probabilities[rows] = probabilities_of(one, logits[rows])
        positive[rows] = present(one, probabilities[rows])
    if card.activation == "sigmoid":
        return {"measured": _of_findings(data, seen, logits, positive), "agreements": ()}
    grades = decision(card, probabilities) if card.activation == "ordinal" else None
    found = level("images", probabilities, seen.truth, seen.patients, grades)
    return {"measured": class_measurements(data, seen.labels, found), "agreements": (_agreement(data, found),)}


def _of_findings(data: str, seen: Examples, logits: Floats, positive: NDArray[np.bool_]) -> tuple[Measurement, ...]:
    """Areas of the logits, which no calibration changes, and decisions at the operating points."""
    areas = measurements(data, seen, logits, None)
    rates = []
    for _, index, rows in cells(seen):
        truth, found = seen.truth[rows, index], positive[rows, index]
        sensitivity, specificity = float(found[truth].mean()), float((~found[~truth]).mean())
        rates.append({"sensitivity": round(sensitivity, 3), "specificity": round(specificity, 3)})
    return tuple(one.model_copy(update=rate) for one, rate in zip(areas, rates, strict=True))


def _agreement(data: str, found: Level) -> Agreement:
    return Agreement(
        data=data, images=sum(found.counts),
        accuracy=found.accuracy.value or 0.0, accuracy_interval=_ends(found.accuracy),
        kappa=found.kappa.value if found.kappa else None, kappa_interval=_ends(found.kappa) if found.kappa else None,
        confusion=found.confusion,
    )  # fmt: skip


def _ends(one: Figure) -> tuple[float, float] | None:
    return None if one.low is None or one.high is None else (one.low, one.high)


Measured = tuple[str, Examples, Floats]


def _with_triage(card: Card, chosen_on: Measured, measured_on: Measured) -> Card:
    """Thresholds for triage of the first images, with their figures on the second, of other patients."""
    points: dict[str, Any] = {}
    for name, examples, logits in (chosen_on, measured_on):
        probabilities = probabilities_of(card, logits).astype(np.float64)
        found = triage_points(card, name, examples, probabilities)
        points = {label: one for label, one in found.items() if not points or label in points}
        card = with_triage(card, points)
    return card


def _on_card(card: Card, training: dict[str, Any], about: str) -> Card:
    table = card.model_dump()
    table["training"] |= training | {"split": about}
    table["quantity"] = "probability"
    return Card.model_validate(table)


def _about(split: str, examples: Examples, test: str, others: Examples | None) -> str:
    """On which images, for the card."""
    if others is None:
        how = f"measured on the same ones, cross-fitted by patient in {FOLDS} folds"
    else:
        how = f'measured on {_counted(others)} of the split "{test}"'
    return (
        f'Calibrated on {_counted(examples)} of the split "{split}", {how}; that the network had seen none of them is'
        " its maker's word."
    )


def _counted(examples: Examples) -> str:
    return f"{len(examples)} images of {len(set(examples.patients.tolist()))} patients"
