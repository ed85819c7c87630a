"""Makes a package again from a folder of data: frozen features, a linear head, calibration, thresholds, a card.

Nothing but the split "train" is used to choose anything. The test split is measured at the end, for the card.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models import heads
from models.calibration import calibrated, operating_point, platt
from models.card import Calibration, Card, Label, Measurement, Network, Training, Weights
from models.cardfile import card_text
from models.datasets import Examples, read_examples, read_images
from models.errors import DataError
from models.evaluation import FEWEST_POSITIVES, Evaluation, evaluate, measurements, metadata_baseline
from models.heads import Head
from models.networks import CamNetwork, halved, pooled, to_bytes
from models.packages import CARD, digest, load

PENALTIES = (0.03, 0.05, 0.1, 0.2, 0.5, 1.0)
FOLDS = 5
SPECIFICITY = 0.95
BATCH = 8
# Which part of the cells stays below the saliency threshold in out-of-fold positives: small findings cover less.
QUANTILE = 0.90
SMALL_FINDINGS = {"Nodule": 0.97, "Mass": 0.95}
WEAK = "Not shown to be better than chance"

Advance = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Of N images: pooled (N, C) and, per tap, maps (N, c, h, w) in float16."""

    pooled: NDArray[np.float64]
    maps: tuple[NDArray[np.float16], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """All that is chosen on the training split."""

    head: Head
    penalty: float
    scores: dict[float, float]
    labels: tuple[Label, ...]
    measured: tuple[Measurement, ...]


def train(
    data: Path, like: Card, weights: Path, run: Path, *, seed: int, test: str = "validation", advance: Advance
) -> tuple[Path, Evaluation]:
    """Train a package after the pattern of the card `like` and write it to `run`/name, its figures to run.json.

    Parameters
    ----------
    like
        Gives names, codes, colours, urgency, input, texts; thresholds, calibration, weights and figures are made new.
    weights
        The published ImageNet weights of the backbone.
    advance
        Called with (stage, done, of all) as the work goes on.

    Raises
    ------
    DataError
        The data lack what the card's labels need.
    PackageError
        The weights cannot be read.
    """
    if like.network is None or like.input.size is None:
        raise DataError(f"{like.name} has no [network]: there is nothing to train.")
    started = time.monotonic()
    torch.manual_seed(seed)
    examples = read_examples(data, "train", [label.name for label in like.labels])
    network = CamNetwork(like.network.taps, len(like.labels)).eval()
    network.backbone.load_imagenet(weights)
    halved(network.backbone)
    features = extract(network, examples, like.network, like.input.size, advance)
    fitted = fit(features, examples, like.labels, seed, advance)
    _set_head(network, fitted.head)
    folder = run / like.name
    _write(folder, network, _card(like, fitted, seed))
    evaluation = _measured_on_test(folder, data, test, advance)
    report = {"data": str(data), "seed": seed, "weights": weights.name, "seconds": round(time.monotonic() - started, 1)}
    _write_run(run, report, fitted, evaluation)
    return folder, evaluation


def extract(network: CamNetwork, examples: Examples, how: Network, size: tuple[int, int], advance: Advance) -> Features:
    """Features of all images by the frozen backbone."""
    averages, maps = [], []
    for batch in read_images(examples.files, size, BATCH):
        with torch.inference_mode():
            x = (torch.from_numpy(batch)[:, None] - how.mean) / how.std
            features = network.backbone(x.expand(-1, 3, -1, -1))
            averages.append(pooled(features).double().numpy())
            maps.append([feature.half().numpy() for feature in features])
        advance("features", sum(map(len, averages)), len(examples))
    return Features(np.concatenate(averages), tuple(np.concatenate(parts) for parts in zip(*maps, strict=True)))


def fit(features: Features, examples: Examples, labels: Sequence[Label], seed: int, advance: Advance) -> Fitted:
    """Choose the penalty by cross-validation by patient; fit, calibrate and set thresholds on out-of-fold values."""
    few = [name for name, count in zip(examples.labels, examples.truth.sum(0), strict=True) if count < 2 * FOLDS]
    if few:
        raise DataError(f"Too few positive images to train: {', '.join(few)} (at least {2 * FOLDS} are needed).")
    x, truth = features.pooled, examples.truth
    held_out = heads.folds(examples.patients, FOLDS, seed)
    scores, best = {}, dict[float, list[Head]]()
    for index, penalty in enumerate(PENALTIES, start=1):
        best[penalty] = heads.fold_heads(x, truth, held_out, penalty)
        logits = heads.out_of_fold(x, held_out, best[penalty], np.zeros(truth.shape[1]))
        scores[penalty] = heads.mean_auc(logits, truth, examples.sources, FEWEST_POSITIVES)
        advance("penalty", index, len(PENALTIES))
    penalty = max(scores, key=lambda one: scores[one])
    head = heads.fit(x, truth, penalty)
    logits = heads.out_of_fold(x, held_out, best[penalty], head.bias)
    calibrations = [platt(logits[:, index], truth[:, index]) for index in range(len(labels))]
    probabilities = calibrated(logits.astype(np.float32), calibrations).astype(np.float64)
    chosen = tuple(
        _label(label, index, calibrations[index], probabilities, truth, features.maps, (held_out, best[penalty]))
        for index, label in enumerate(labels)
    )
    measured = measurements("training, out of fold,", examples, probabilities, _baseline(examples, held_out))
    return Fitted(head, penalty, scores, chosen, measured)


def _label(
    label: Label,
    index: int,
    calibration: Calibration,
    probabilities: NDArray[np.float64],
    truth: NDArray[np.bool_],
    maps: tuple[NDArray[np.float16], ...],
    cross: tuple[Sequence[NDArray[np.int64]], Sequence[Head]],
) -> Label:
    point = operating_point(probabilities[:, index], truth[:, index], SPECIFICITY)
    cells = _cells(_called(probabilities[:, index], truth[:, index], point), index, maps, cross)
    threshold = float(np.quantile(cells, SMALL_FINDINGS.get(label.name, QUANTILE)))
    rounded = Calibration(round(calibration.slope, 5), round(calibration.intercept, 5))
    update = {"calibration": rounded, "operating_point": point, "saliency_threshold": round(threshold, 4)}
    return label.model_copy(update=update)


def _called(probabilities: NDArray[np.float64], truth: NDArray[np.bool_], point: float) -> NDArray[np.int64]:
    """Row numbers of the positives that reach the operating point, or of the ten most probable where they are fewer."""
    ranked = np.flatnonzero(truth)[np.argsort(-probabilities[truth], kind="stable")]
    return ranked[: max(10, int((probabilities[ranked] >= point).sum()))]


def _cells(
    rows: NDArray[np.int64],
    index: int,
    maps: tuple[NDArray[np.float16], ...],
    cross: tuple[Sequence[NDArray[np.int64]], Sequence[Head]],
) -> NDArray[np.float64]:
    """Raw class activation of these images' cells, each by the head that did not see the image."""
    found = []
    for held, head in zip(*cross, strict=True):
        for row in np.intersect1d(rows, held):
            found.append(_map([tap[row] for tap in maps], head.weight[index], head.centre).ravel())
    return np.concatenate(found)


def _map(
    features: Sequence[NDArray[np.float16]], weight: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    total, start = -float(weight @ centre), 0
    finest = features[0].shape[1]
    result = np.full(features[0].shape[1:], total)
    for feature in features:
        part = np.tensordot(weight[start : start + len(feature)], feature.astype(np.float64), 1)
        result += part.repeat(finest // len(part[0]), 0).repeat(finest // len(part[0]), 1)
        start += len(feature)
    return result


def _baseline(examples: Examples, held_out: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    scores = np.zeros(examples.truth.shape)
    for held in held_out:
        kept = np.setdiff1d(np.arange(len(examples)), held)
        scores[held] = metadata_baseline(examples.rows(kept), examples.rows(held))
    return scores


def _set_head(network: CamNetwork, head: Head) -> None:
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(head.weight))
        network.head.bias.copy_(torch.from_numpy(head.bias))
        network.centre.copy_(torch.from_numpy(head.centre))


def _card(like: Card, fitted: Fitted, seed: int) -> Card:
    chance = [one for one in fitted.measured if one.interval[0] <= 0.5]
    weak = ", ".join(f"{one.label} ({one.data.removeprefix('training, out of fold, ')})" for one in chance)
    limits = tuple(limit for limit in like.limits if not limit.startswith(WEAK))
    if weak:
        limits += (f"{WEAK} (the interval of the out-of-fold AUC reaches 0.5) within a source: {weak}.",)
    new = {"seed": seed, "penalty": fitted.penalty, "measured": fitted.measured}
    training = Training.model_validate(like.training.model_dump() | new)
    return like.model_copy(update={"labels": fitted.labels, "limits": limits, "training": training})


def _write(folder: Path, network: CamNetwork, card: Card) -> None:
    data = to_bytes(network)
    weights = Weights(file="weights.safetensors", sha256=hashlib.sha256(data).hexdigest())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / weights.file).write_bytes(data)
    (folder / CARD).write_text(card_text(card.model_copy(update={"weights": weights})), encoding="utf-8")


def _measured_on_test(folder: Path, data: Path, test: str, advance: Advance) -> Evaluation:
    """Evaluate the written package and add its figures to its card."""
    model = load(folder)
    count, done = len(read_examples(data, test, [label.name for label in model.card.labels])), iter(range(1, 10**9))
    evaluation = evaluate(model, data, test, lambda: advance("test", next(done), count))
    training = model.card.training
    both = training.model_copy(update={"measured": evaluation.measured + training.measured})
    (folder / CARD).write_text(card_text(model.card.model_copy(update={"training": both})), encoding="utf-8")
    return replace(evaluation, digest=digest(folder))


def _write_run(run: Path, report: dict[str, Any], fitted: Fitted, evaluation: Evaluation) -> None:
    chosen = {"penalty": fitted.penalty, "out_of_fold_auc": {str(key): round(v, 4) for key, v in fitted.scores.items()}}
    measured = [one.model_dump(exclude_none=True) for one in fitted.measured]
    whole = report | chosen | {"out_of_fold": measured, "test": evaluation.as_json()}
    (run / "run.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
