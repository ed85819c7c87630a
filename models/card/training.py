"""How a package was made and measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.card.table import Fraction, Interval, Table, Text


class Measurement(Table):
    """One measured area under the ROC curve, beside the baseline that sees no image."""

    label: Text
    data: Text
    """Which images, for instance "validation A"."""
    positives: int
    images: int
    auc: Fraction
    interval: Interval
    """95 % bootstrap interval, resampled by patient."""
    baseline: Fraction | None = None
    """AUC of view, sex, age, follow-up number and source alone on the same images."""
    sensitivity: Fraction | None = None
    specificity: Fraction | None = None
    """At the operating point."""


class Agreement(Table):
    """How often exclusive classes or ordinal grades were recognised on some images."""

    data: Text
    """Which images, for instance "test, of other patients"."""
    images: int
    accuracy: Fraction
    accuracy_interval: Interval | None = None
    """95 % bootstrap interval, resampled by patient, as the other one."""
    kappa: Annotated[float, Field(ge=-1.0, le=1.0)] | None = None
    """Of ordinal grades: Cohen's kappa with quadratic weights."""
    kappa_interval: tuple[float, float] | None = None
    confusion: tuple[tuple[int, ...], ...] = ()
    """A row for each class that is true, a column for each that was reported."""


class Overlap(Table):
    """How far masks agree with people's on some images."""

    data: Text
    """Which images, for instance "validation"."""
    images: int
    dice: Fraction
    """Mean over the images, each at its file's size."""
    interval: tuple[Fraction, Fraction]
    """95 % bootstrap interval, resampled by patient."""
    lowest: Fraction
    """Of one image."""
    hausdorff95: float | None = None
    """95th percentile of the distances between the borders, in pixels of the files, mean over the images."""
    hausdorff95_interval: tuple[float, float] | None = None


class Training(Table):
    """How the package was made and measured."""

    data: Text
    split: Text
    method: Text
    citation: str = ""
    seed: int | None = None
    date: str = ""
    """Day on which the run began, YYYY-MM-DD."""
    penalty: float | None = None
    """L2 penalty of the linear head, chosen by cross-validation inside the training split."""
    backbone: str = ""
    """How its weights were made where they are not the published ones."""
    baseline: str = ""
    simulated: bool = False
    """Trained on simulated lesions: results say so, and the card lets no finding raise a priority."""
    measured: tuple[Measurement, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    agreements: tuple[Agreement, ...] = ()
