"""The figures of exclusive classes, from probabilities and truth alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.card import Measurement
from models.metrics.classes import (
    Flags,
    Floats,
    accuracy,
    balanced_accuracy,
    confusion,
    one_vs_rest,
    quadratic_kappa,
    recalls,
)
from models.metrics.draws import Figure, figure, patient_draws


@dataclass(frozen=True, slots=True)
class Level:
    """Figures over images or over groups; intervals 95 %, bootstrap by group.

    `confusion` has a row for each class that is true and a column for each that was predicted; lists are in the order
    of the card's labels. Figures that need a class which a draw lacks are of the draws that have it.
    """

    unit: str
    """"images" or "groups"."""
    counts: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]
    accuracy: Figure
    balanced_accuracy: Figure
    recalls: tuple[Figure, ...]
    one_vs_rest: tuple[Figure, ...]
    macro: Figure
    """Mean of the areas."""
    majority: Figure
    """Accuracy of the most frequent class alone; its balanced accuracy is one over the classes."""
    kappa: Figure | None = None
    """Of ordinal grades: Cohen's kappa with quadratic weights."""


def level(
    unit: str,
    probabilities: Floats,
    truth: Flags,
    groups: NDArray[np.int64],
    decided: NDArray[np.intp] | None = None,
) -> Level:
    """Figures of N rows: probabilities (N, L), truth (N, L) with one class a row, groups (N,).

    With `decided` (N,) the labels are ordinal grades, and these were reported; else the most probable ones are.
    """
    draws, once = patient_draws(groups), np.ones((1, len(truth)))
    predicted = probabilities.argmax(1) if decided is None else decided
    counts, drawn = confusion(truth, predicted, once), confusion(truth, predicted, draws)
    areas, drawn_areas = one_vs_rest(probabilities, truth, once), one_vs_rest(probabilities, truth, draws)
    always = np.full(len(truth), truth.sum(0).argmax())
    return Level(
        unit=unit,
        counts=tuple(int(one) for one in truth.sum(0)),
        confusion=tuple(tuple(int(cell) for cell in row) for row in counts[0]),
        accuracy=figure(float(accuracy(counts)[0]), accuracy(drawn)),
        balanced_accuracy=figure(float(balanced_accuracy(counts)[0]), balanced_accuracy(drawn)),
        recalls=_each(recalls(counts), recalls(drawn)),
        one_vs_rest=_each(areas, drawn_areas),
        macro=figure(float(areas.mean()), drawn_areas.mean(1)),
        majority=figure(
            float(accuracy(confusion(truth, always, once))[0]), accuracy(confusion(truth, always, draws))
        ),
        kappa=None if decided is None else figure(float(quadratic_kappa(counts)[0]), quadratic_kappa(drawn)),
    )  # fmt: skip


def measurements(data: str, names: tuple[str, ...], found: Level) -> tuple[Measurement, ...]:
    """One-vs-rest areas for a card, of the classes that have one; sensitivity and specificity of the first of all."""
    total, made = sum(found.counts), []
    for index, name in enumerate(names):
        area, row = found.one_vs_rest[index], found.confusion[index]
        if area.value is None or not 0 < found.counts[index] < total:
            continue
        false = sum(other[index] for other in found.confusion) - row[index]
        made.append(
            Measurement(
                label=name, data=data, positives=found.counts[index], images=total, auc=area.value,
                interval=(area.value if area.low is None else area.low, area.value if area.high is None else area.high),
                baseline=0.5, sensitivity=round(row[index] / found.counts[index], 4),
                specificity=round(1 - false / (total - found.counts[index]), 4),
            )
        )  # fmt: skip
    return tuple(made)


def _each(once: Floats, drawn: Floats) -> tuple[Figure, ...]:
    return tuple(figure(float(value), draws) for value, draws in zip(once[0], drawn.T, strict=True))
