"""Makes a package of a user's own masks from a folder of images with masks: fitted, measured, its card of the run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import packages
from models.card import Card, Overlap, Training
from models.ct_training.making import Made, Making, write_package, write_run
from models.data.images import read_fitted, read_grey
from models.data.label_masks import LabelMasks, read_label_masks
from models.errors import DataError
from models.fitting.masks import fit
from models.metrics.draws import figure, patient_draws
from models.metrics.masks import dice, hausdorff95
from models.prediction import Model

RESEARCH = (
    "Research software, not a medical device: no result may be used without a radiologist's reading of the images."
)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Of one label and each image: Dice, and the 95th percentile of the borders' distances in pixels (or nothing)."""

    dice: list[float]
    hausdorff95: list[float]


def make(making: Making) -> Made:
    """Fit on the split "train", measure on the test, and write the package and run.json.

    Raises
    ------
    DataError
        The data are not whole, a patient is in both splits, or the card asks for what is not fitted here.
    """
    like, names = making.like, [label.name for label in making.like.labels]
    size = like.input.size
    if making.test == "train":
        raise DataError("The split train cannot be the test, too: give --test a split that nothing is fitted on.")
    if like.network is None or like.network.backbone != "unet-masks" or size is None or size[0] != size[1]:
        raise DataError(
            f'{like.name} cannot be trained on masks: its card needs network.backbone "unet-masks" and a square'
            " input.size that is a multiple of 16."
        )
    fitted, tested = read_label_masks(making.data, names, "train", making.test)
    module = fit(fitted, size[0], like.network.channels, making.seed, making.advance)
    folder = making.run / like.name
    write_package(folder, module, like)
    found = measure(packages.load(folder, "cpu"), tested)
    overlaps = tuple(overlap(name, making.test, one, tested) for name, one in zip(names, found, strict=True))
    write_package(folder, module, of_the_run(making, fitted, tested, overlaps))
    write_run(making, {
        "digest": packages.digest(folder),
        "images": [path.name for path in tested.images],
        "dice": {name: one.dice for name, one in zip(names, found, strict=True)},
        "hausdorff95_pixels": {name: one.hausdorff95 for name, one in zip(names, found, strict=True)},
    })  # fmt: skip
    return Made(folder, tuple(map(sentence, overlaps)))


def of_the_run(making: Making, fitted: LabelMasks, tested: LabelMasks, overlaps: tuple[Overlap, ...]) -> Card:
    """The card: what was trained on and measured is this run's, nothing is the pattern's."""
    counts = [f"{len(one)} images of {len(set(one.patients))} patients" for one in (fitted, tested)]
    training = Training(
        data=f"{counts[0]}, split train of {making.data.name}",
        split=f"By patient: {counts[1]} are the split {making.test}, on which nothing was chosen.",
        method="A U-Net by AdamW (cross-entropy and soft Dice), images moved, turned, scaled and bent, never mirrored.",
        citation="Ronneberger O, Fischer P, Brox T. U-Net. MICCAI 2015.",
        seed=making.seed,
        overlaps=overlaps,
    )
    summary = f"{making.like.title}: masks by a U-Net trained on {counts[0]}."
    limits = (RESEARCH, *map(sentence, overlaps), "How good the masks are on images of other places is not known.")
    return making.like.model_copy(update={"training": training, "limits": limits, "summary": summary})


def measure(model: Model, tested: LabelMasks) -> list[Measured]:
    """For each label its figures, at each file's own size."""
    card, found = model.card, [Measured([], []) for _ in model.card.labels]
    assert card.input.size is not None
    for path, masks in zip(tested.images, tested.masks, strict=True):
        image, letterbox = read_fitted(path, card.input.size)
        maps = model.predict(image).saliency
        for label, own, map_, mask in zip(card.labels, found, maps, masks, strict=True):
            drawn, true = letterbox.to_file(map_) >= label.saliency_threshold, read_grey(mask) >= 0.5
            if drawn.shape != true.shape:
                raise DataError(f"{mask} is {true.shape}, and its image {path} is {drawn.shape} rows and columns.")
            own.dice.append(round(dice(drawn, true), 4))
            distance = hausdorff95(drawn, true)
            own.hausdorff95.append(math.nan if distance is None else round(distance, 2))
    return found


def overlap(name: str, split: str, found: Measured, tested: LabelMasks) -> Overlap:
    """The means over the images with their intervals by patient; distances of images in which both masks are there."""
    low, mean, high = _interval(np.array(found.dice), tested.groups)
    far = np.array(found.hausdorff95)
    distance = _interval(far, tested.groups) if np.isfinite(far).any() else None
    return Overlap(
        data=f"{split}, {name}", images=len(tested), dice=mean, interval=(low, high), lowest=min(found.dice),
        hausdorff95=distance[1] if distance else None,
        hausdorff95_interval=(distance[0], distance[2]) if distance else None,
    )  # fmt: skip


def sentence(found: Overlap) -> str:
    """A label's figures."""
    low, high = found.interval
    interval = f"95 % by patient {low:.3f} to {high:.3f}"
    words = f"Masks on {found.data}, {found.images} images: Dice {found.dice:.3f} ({interval})"
    if found.hausdorff95 is None or found.hausdorff95_interval is None:
        return f"{words}."
    near, away = found.hausdorff95_interval
    return f"{words}, Hausdorff distance (95 %) {found.hausdorff95:.1f} pixels ({near:.1f} to {away:.1f})."


def _interval(values: NDArray[np.float64], groups: NDArray[np.int64]) -> tuple[float, float, float]:
    """(low, mean, high) of the images that have a value: 95 %, bootstrap by patient."""
    there = np.isfinite(values)
    draws = patient_draws(groups)[:, there]
    counts = draws.sum(axis=1)
    means = (draws @ values[there])[counts > 0] / counts[counts > 0]
    found = figure(float(values[there].mean()), means)
    mean = round(float(values[there].mean()), 4)
    return (mean, mean, mean) if found.low is None or found.high is None else (found.low, mean, found.high)
