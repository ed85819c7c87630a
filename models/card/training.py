"""How a package was made and measured."""

from __future__ import annotations

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
    penalty: float | None = None
    """L2 penalty of the linear head, chosen by cross-validation inside the training split."""
    backbone: str = ""
    """How its weights were made where they are not the published ones."""
    baseline: str = ""
    simulated: bool = False
    """Trained on simulated lesions: results say so, and the card lets no finding raise a priority."""
    measured: tuple[Measurement, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
