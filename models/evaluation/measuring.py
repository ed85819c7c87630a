"""The whole evaluation: every method sees every image once, then all figures are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from models.data.datasets import Examples, label_columns, read_boxes, read_examples, require_images, splits
from models.errors import DataError
from models.evaluation import discrimination
from models.evaluation.annotations import Annotations
from models.evaluation.blind_points import NOTES as BLIND_NOTES
from models.evaluation.blind_points import BlindPoints, LungMasks
from models.evaluation.discrimination import FEWEST_POSITIVES, measurements, metadata_baseline
from models.evaluation.figures import Compared, Evaluation, Located, Masked
from models.evaluation.locating import LEAST_OVERLAP, Split, centre_parts, located, masked, pointing
from models.evaluation.methods import Method, NetworkMethod, OtherPackage
from models.evaluation.paired import METADATA, localization, ranking, teacher
from models.evaluation.ranking import ranked
from models.evaluation.records import MOST_FOR_FROC, CentreBox, MethodRecord, record_image
from models.evaluation.triage import normal_alerts, normal_images, triage_points, with_missing_triage
from models.metrics.decisions import BINS
from models.metrics.draws import DRAWS, patient_draws
from models.prediction import Model
from models.regions import MOST_REGIONS

CENTRE = "centre box"


def evaluate(
    model: Model,
    folder: Path,
    split: str = "validation",
    advance: Callable[[], None] = lambda: None,
    others: Sequence[Method] = (),
    against: Model | None = None,
    lungs: LungMasks | None = None,
) -> Evaluation:
    """Measure a package that sees images on one split of a folder of data; `advance` is called after each image.

    The metadata baseline is fitted on the split "train" of the same folder; without such rows there is none.

    Parameters
    ----------
    others
        Measured beside the package on the same images.
    against
        Another package with the same labels, compared pair by pair.
    lungs
        Gives the lungs of an image; None: what they are needed for is left out.

    Raises
    ------
    DataError
        The package sees volumes, or the folder is not what `datasets` reads.
    """
    card = model.card
    if card.input.kind != "image":
        raise DataError(f"{card.name} sees volumes; `evaluate` reads folders of images.")
    if card.input.planes > 1 or card.input.crop:
        raise DataError(
            f"{card.name} sees colour, windows or a crop: `evaluate` measures single findings of grey images."
        )
    assert card.input.size is not None
    examples = evaluated(folder, split, card)
    train = read_examples(folder, "train", examples.labels) if "train" in splits(folder) else None
    boxes = read_boxes(folder)
    annotations = Annotations(folder, boxes, card, [path.name for path in examples.files])
    learned = () if train is None or split == "train" else train.files
    centre = CentreBox(*centre_parts(folder, boxes, learned, annotations.labels))
    records = [
        MethodRecord(NetworkMethod(model), annotations.labels),
        *(MethodRecord(method, annotations.often()) for method in others),
    ]
    packages = [] if against is None else [_other_package(against, card, annotations)]
    points = BlindPoints(lungs)
    for row, path in enumerate(examples.files):
        record_image([*records, *packages], centre, points, annotations, row, path, card.input.size)
        advance()
    baseline = None if train is None else metadata_baseline(train, examples)
    evaluation = _evaluation(model, folder, split, examples, baseline, records, centre, annotations)
    every = np.stack(records[0].probabilities)
    scores = _of_examples(every, annotations, examples)
    named = {METADATA: baseline}
    named |= {one.method.name: _of_examples(np.stack(one.probabilities), annotations, examples) for one in packages}
    measure = Split(examples, patient_draws(examples.patients), {})
    where = localization(
        records[0], packages, centre.locations, points.hits, annotations.often(), card.input.size, measure
    )
    points_here = triage_points(card, split, examples, scores)
    ranks = chain(ranking(split, examples, scores, named), teacher(folder, split, examples, scores))
    left_out = int((every.max(axis=1) == 0).sum())
    seen = f"{left_out} of {len(examples)} images are not analysed by the package: their probabilities count as 0"
    return replace(
        evaluation,
        notes=evaluation.notes | ({"not analysed": seen} if left_out else {}),
        paired=(*ranks, *where),
        triage=points_here,
        normal_alerts=normal_alerts(
            with_missing_triage(card, points_here), normal_images(folder, split), examples.patients, every
        ),
    )


def _other_package(model: Model, card: Card, annotations: Annotations) -> MethodRecord:
    method = OtherPackage.of(model, [label.name for label in card.labels])
    return MethodRecord(method, annotations.often(), model.card.input.size)


def evaluated(folder: Path, split: str, card: Card) -> Examples:
    """The rows of a split with those labels of the card that labels.csv has; DataError if it has none of them."""
    names = [label.name for label in card.labels]
    there = label_columns(folder, names)
    if not there:
        raise DataError(f"{folder / 'labels.csv'} has no column for any label of {card.name}: {', '.join(names)}.")
    examples = read_examples(folder, split, there)
    require_images(examples)
    return examples


def _evaluation(
    model: Model,
    folder: Path,
    split: str,
    examples: Examples,
    baseline: NDArray[np.float64] | None,
    records: Sequence[MethodRecord],
    centre: CentreBox,
    annotations: Annotations,
) -> Evaluation:
    card, own = model.card, records[0]
    every = np.stack(own.probabilities)
    scores = _of_examples(every, annotations, examples)
    present = {label.name: every[:, index] >= label.operating_point for index, label in enumerate(card.labels)}
    measure = Split(examples, patient_draws(examples.patients), present)
    found, with_masks = _localized(own, centre, measure, annotations)
    measured = measurements(split, examples, scores, baseline, card)
    best, worst, how = ranked(examples, scores, present, own.locations)
    names = [label.name for label in card.labels]
    return Evaluation(
        package=card.name,
        digest=model.digest,
        split=split,
        images=len(examples),
        measured=measured,
        pointing=pointing(own.locations),
        version=card.version,
        data=folder.resolve().name,
        patients=len(set(examples.patients.tolist())),
        sources={source: int((examples.sources == source).sum()) for source in sorted(set(examples.sources.tolist()))},
        skipped=tuple(name for name in names if name not in examples.labels),
        few=tuple(name for name in examples.labels if name not in {one.label for one in measured}),
        means=discrimination.means(split, examples, scores, baseline),
        calls=discrimination.calls(split, examples, scores, card),
        located=found,
        masked=with_masks,
        compared=_compared(records, centre, examples, split, measure, annotations) if len(records) > 1 else (),
        best=best,
        worst=worst,
        notes=_notes(baseline is not None, centre, how),
    )


def _of_examples(every: NDArray[np.float64], annotations: Annotations, examples: Examples) -> NDArray[np.float64]:
    """Columns (N, L) of the labels that labels.csv has, of those of the card."""
    return every[:, [annotations.index[name] for name in examples.labels]]


def _localized(
    own: MethodRecord, centre: CentreBox, measure: Split, annotations: Annotations
) -> tuple[tuple[Located, ...], tuple[Masked, ...]]:
    both = ((own.method.name, own.locations, True), (CENTRE, centre.locations, False))
    tried = [(name, label, locations[label], calls) for label in annotations.labels for name, locations, calls in both]
    boxes = [located(name, label, locations, measure, calls=calls) for name, label, locations, calls in tried]
    masks = [masked(name, label, locations, measure) for name, label, locations, _ in tried]
    return tuple(one for one in boxes if one), tuple(one for one in masks if one)


def _compared(
    records: Sequence[MethodRecord],
    centre: CentreBox,
    examples: Examples,
    split: str,
    measure: Split,
    annotations: Annotations,
) -> tuple[Compared, ...]:
    rows = [(record.method.name, record.method.note, record.probabilities, record.locations) for record in records]
    rows.append((CENTRE, centre.note, [], centre.locations))
    result = []
    for name, note, probabilities, locations in rows:
        scores = _of_examples(np.stack(probabilities), annotations, examples) if probabilities else None
        means = () if scores is None else discrimination.means(split, examples, scores, None)
        found = [located(name, label, locations[label], measure, calls=False) for label in annotations.often()]
        result.append(Compared(name, note, means, tuple(one for one in found if one)))
    return tuple(result)


def _notes(baseline: bool, centre: CentreBox, how: str) -> dict[str, str]:
    blind = (
        "logistic regression on view, sex, age, follow-up number and source, which sees no image, fitted on the split"
        ' "train" of the same folder'
    )
    return {
        "baseline": blind if baseline else 'none: labels.csv has no rows of the split "train" to fit it on',
        "centre box": centre.note,
        "intervals": f"95 %, percentile bootstrap of {DRAWS:,} draws of whole patients; none where no draw differs",
        "cells": f"within each source, labels with {FEWEST_POSITIVES} positives or more",
        "calibration": f"expected calibration error over {BINS} bins of equal width (Guo et al., ICML 2017); the"
        " bootstrap of an absolute error is biased upwards",
        "regions": "the raw map interpolated at the file's pixels, at the card's threshold, closed, holes filled,"
        f" opened, in connected parts, as the node makes them; the best {MOST_REGIONS} count for IoU, Dice and"
        " Hausdorff distance, whether or not the finding is present",
        "froc": f"a box is found by a region of IoU {LEAST_OVERLAP:g} or more; a region's score is the peak of its raw"
        f" saliency; at most {MOST_FOR_FROC} regions an image; over images with boxes and images labelled without the"
        " finding; linear between thresholds, flat past the loosest",
        "ranking": how,
        "paired": "differences are of the same images and the same draws of patients",
    } | BLIND_NOTES
