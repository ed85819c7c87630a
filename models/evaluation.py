"""What a package is worth on images that it has not seen: AUC within each source, and where its maps point."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.card import Card, Measurement
from models.datasets import (
    Box,
    Examples,
    file_size,
    in_file,
    read_boxes,
    read_examples,
    read_image,
    require_images,
    splits,
)
from models.errors import DataError
from models.metrics import auc, auc_interval, hits, peak
from models.prediction import Model

FEWEST_POSITIVES = 10
# RSNA's boxes are of pneumonia-like opacities; no label of ours is called so.
SAME_FINDING = {"Lung Opacity": "Pneumonia"}


@dataclass(frozen=True, slots=True)
class Pointing:
    """The pointing game of one kind of box: is the map's peak inside? Zhang et al., ECCV 2016."""

    boxes: str
    label: str
    images: int
    hits: int
    centre_hits: int
    """The same for the image's centre, which sees nothing."""
    chance: float
    """Mean part of the image that the boxes cover: hits of a random point."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one package on one split."""

    package: str
    digest: str
    split: str
    images: int
    measured: tuple[Measurement, ...]
    pointing: tuple[Pointing, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        table = {"package": self.package, "digest": self.digest, "split": self.split, "images": self.images}
        measured = [one.model_dump(exclude_none=True) for one in self.measured]
        return table | {"measured": measured, "pointing": [asdict(one) for one in self.pointing]}


def evaluate(
    model: Model, folder: Path, split: str = "validation", advance: Callable[[], None] = lambda: None
) -> Evaluation:
    """Measure a package that sees images on one split of a folder of data; `advance` is called after each image.

    The baseline is fitted on the split "train" of the same folder; without such rows there is none.
    """
    card = model.card
    if card.input.kind != "image":
        raise DataError(f"{card.name} sees volumes; `evaluate` reads folders of images.")
    examples = read_examples(folder, split, [label.name for label in card.labels])
    require_images(examples)
    boxes = _boxes_of(read_boxes(folder))
    train = read_examples(folder, "train", examples.labels) if "train" in splits(folder) else None
    probabilities, points = _predicted(model, examples, boxes, advance)
    baseline = None if train is None else metadata_baseline(train, examples)
    measured = measurements(split, examples, probabilities, baseline, card)
    return Evaluation(card.name, model.digest, split, len(examples), measured, _pointing(points))


def measurements(
    data: str,
    examples: Examples,
    scores: NDArray[np.float64],
    baseline: NDArray[np.float64] | None,
    card: Card | None = None,
) -> tuple[Measurement, ...]:
    """AUC per label within each source that has ten positives or more; `scores`, `baseline` are (N, L).

    With a card, sensitivity and specificity at its operating points.
    """
    return tuple(
        _measurement(f"{data} {source}", index, examples.sources == source, examples, scores, baseline, card)
        for index in range(len(examples.labels))
        for source in sorted(set(examples.sources.tolist()))
        if FEWEST_POSITIVES
        <= examples.truth[examples.sources == source, index].sum()
        < (examples.sources == source).sum()
    )


def _measurement(
    data: str,
    index: int,
    rows: NDArray[np.bool_],
    examples: Examples,
    scores: NDArray[np.float64],
    baseline: NDArray[np.float64] | None,
    card: Card | None,
) -> Measurement:
    truth, score = examples.truth[rows, index], scores[rows, index]
    area = auc_interval(score, truth, examples.patients[rows])
    present = None if card is None else score >= card.labels[index].operating_point
    return Measurement(
        label=examples.labels[index],
        data=data,
        positives=int(truth.sum()),
        images=len(truth),
        auc=round(area.value, 3),
        interval=(round(area.low, 3), round(area.high, 3)),
        baseline=None if baseline is None else round(auc(baseline[rows, index], truth), 3),
        sensitivity=None if present is None else round(float(present[truth].mean()), 3),
        specificity=None if present is None else round(float((~present[~truth]).mean()), 3),
    )


def metadata_baseline(train: Examples, test: Examples) -> NDArray[np.float64]:
    """Scores (N, L) of a logistic regression on view, sex, age, follow-up number and source, which sees no image."""
    sources = sorted(set(train.sources.tolist()))
    x, y = _metadata(train, sources), _metadata(test, sources)
    scores = np.zeros((len(test), len(test.labels)))
    for index in range(len(test.labels)):
        if 0 < train.truth[:, index].sum() < len(train):
            scores[:, index] = LogisticRegression(max_iter=1000).fit(x, train.truth[:, index]).decision_function(y)
    return scores


def _metadata(examples: Examples, sources: list[str]) -> NDArray[np.float64]:
    columns = [examples.metadata] + [(examples.sources == source)[:, None].astype(float) for source in sources]
    return np.concatenate(columns, 1)


# One kind of box on one image: its name, the map's peak (x, y), the boxes, the (rows, columns); in pixels of the file.
Point = tuple[str, tuple[float, float], list[Box], tuple[int, int]]


def _predicted(
    model: Model, examples: Examples, boxes: dict[str, dict[str, list[Box]]], advance: Callable[[], None]
) -> tuple[NDArray[np.float64], list[Point]]:
    """Probabilities (N, L), and where the maps point on images that have boxes."""
    names = [label.name for label in model.card.labels]
    size = model.card.input.size
    assert size is not None
    rows, points = [], list[Point]()
    for path in examples.files:
        prediction = model.predict(read_image(path, size))
        rows.append(prediction.probabilities.astype(np.float64))
        for kind, drawn in boxes.get(path.name, {}).items():
            label = SAME_FINDING.get(kind, kind)
            if label in names:
                at = peak(prediction.saliency[names.index(label)], size)
                points.append((kind, in_file(at, path, size), drawn, file_size(path)))
        advance()
    return np.stack(rows), points


def _boxes_of(boxes: Iterable[Box]) -> dict[str, dict[str, list[Box]]]:
    table: dict[str, dict[str, list[Box]]] = defaultdict(lambda: defaultdict(list))
    for box in boxes:
        table[box.image][box.label].append(box)
    return table


def _pointing(points: list[Point]) -> tuple[Pointing, ...]:
    kinds = sorted({kind for kind, *_ in points})
    return tuple(_pointing_of(kind, [point for point in points if point[0] == kind]) for kind in kinds)


def _pointing_of(kind: str, points: list[Point]) -> Pointing:
    rectangles = [[box.rectangle for box in drawn] for _, _, drawn, _ in points]
    sizes = [size for *_, size in points]
    covered = [
        sum(w * h for _, _, w, h in some) / math.prod(size) for some, size in zip(rectangles, sizes, strict=True)
    ]
    return Pointing(
        boxes=kind,
        label=SAME_FINDING.get(kind, kind),
        images=len(points),
        hits=sum(hits(at, some) for (_, at, _, _), some in zip(points, rectangles, strict=True)),
        centre_hits=sum(hits((s[1] / 2, s[0] / 2), some) for s, some in zip(sizes, rectangles, strict=True)),
        chance=round(float(np.mean(covered)), 3),
    )
