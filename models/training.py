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
from models.datasets import Examples, read_examples, read_images, require_images
from models.errors import DataError
from models.evaluation import FEWEST_POSITIVES, Evaluation, evaluate, measurements, metadata_baseline
from models.heads import Head
from models.networks import CamNetwork, halved, on_one_grid, pooled, to_bytes
from models.packages import CARD, digest, load

PENALTIES = (0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
# The largest penalty whose mean out-of-fold AUC is this near to the best: its maps are the calmest.
NEAR_BEST = 0.005
FOLDS = 5
SPECIFICITY = 0.95  # part of the negatives that stays below the operating point
BATCH = 8
# Part of the cells that stays below the saliency threshold in called positives: small findings cover less.
QUANTILE = 0.90
SMALL_FINDINGS = {"Nodule": 0.97, "Mass": 0.95}
WEAK = "Not shown to be better than chance"

Advance = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Of N images: pooled (N, C), per tap the inner cells (N, c, h, w) in float16, and how cells vary within images."""

    pooled: NDArray[np.float64]
    cells: tuple[torch.Tensor, ...]
    covariance: NDArray[np.float64]


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
    require_images(examples)
    network = CamNetwork(like.network.taps, len(like.labels), like.network.border).eval()
    network.backbone.load_imagenet(weights)
    halved(network.backbone)
    features = extract(network, examples, like.network, like.input.size, advance)
    fitted = fit(network, features, examples, like.labels, seed, advance)
    _set_head(network, fitted.head)
    folder = run / like.name
    _write(folder, network, _card(like, fitted, seed))
    evaluation = _measured_on_test(folder, data, test, advance)
    report = {"data": str(data), "seed": seed, "weights": weights.name, "seconds": round(time.monotonic() - started, 1)}
    _write_run(run, report, fitted, evaluation)
    return folder, evaluation


def extract(network: CamNetwork, examples: Examples, how: Network, size: tuple[int, int], advance: Advance) -> Features:
    """Features of all images by the frozen backbone, without the border."""
    averages, cells, covariances = [], [], []
    for batch in read_images(examples.files, size, BATCH):
        with torch.inference_mode():
            x = (torch.from_numpy(batch)[:, None] - how.mean) / how.std
            features = network.features(x.expand(-1, 3, -1, -1))
        averages.append(pooled(features).double().numpy())
        cells.append([feature.half() for feature in features])
        covariances.append(_within(features) * len(batch))
        advance("features", sum(map(len, averages)), len(examples))
    joined = tuple(torch.cat(parts) for parts in zip(*cells, strict=True))
    return Features(np.concatenate(averages), joined, np.sum(covariances, axis=0) / len(examples))


def _within(features: tuple[torch.Tensor, ...]) -> NDArray[np.float64]:
    """Covariance (C, C) of the cells of each image around its own mean."""
    cells = on_one_grid(features).flatten(2).double().numpy()
    centred = cells - cells.mean(2, keepdims=True)
    products: NDArray[np.float64] = np.einsum("nck,ndk->cd", centred, centred, optimize=True)
    products /= cells.shape[0] * cells.shape[2]
    return products


def fit(
    network: CamNetwork, features: Features, examples: Examples, labels: Sequence[Label], seed: int, advance: Advance
) -> Fitted:
    """Choose the penalty by cross-validation by patient; fit, calibrate and set thresholds on out-of-fold values."""
    few = [name for name, count in zip(examples.labels, examples.truth.sum(0), strict=True) if count < 2 * FOLDS]
    if few:
        raise DataError(f"Too few positive images to train: {', '.join(few)} (at least {2 * FOLDS} are needed).")
    x, truth, whiten = features.pooled, examples.truth, heads.whitening(features.covariance)
    held_out = heads.folds(examples.patients, FOLDS, seed)
    tried: dict[float, tuple[float, list[Head]]] = {}
    for index, penalty in enumerate(PENALTIES, start=1):
        crossed = heads.fold_heads(x, truth, held_out, penalty, whiten)
        logits = heads.out_of_fold(x, held_out, crossed, np.zeros(truth.shape[1]))
        tried[penalty] = heads.mean_auc(logits, truth, examples.sources, FEWEST_POSITIVES), crossed
        advance("penalty", index, len(PENALTIES))
    best = max(score for score, _ in tried.values())
    penalty = max(one for one, (score, _) in tried.items() if score >= best - NEAR_BEST)
    head, crossed = heads.fit(x, truth, penalty, whiten), tried[penalty][1]
    logits = heads.out_of_fold(x, held_out, crossed, head.bias)
    decided = _decided(labels, logits, truth)
    probabilities = calibrated(logits.astype(np.float32), [label.calibration for label in decided]).astype(np.float64)
    maps = _out_of_fold_maps(network, features.cells, held_out, crossed)
    chosen = _with_saliency_thresholds(decided, maps, probabilities, truth)
    measured = measurements("training, out of fold,", examples, probabilities, _baseline(examples, held_out))
    return Fitted(head, penalty, {one: score for one, (score, _) in tried.items()}, chosen, measured)


def _decided(labels: Sequence[Label], logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[Label, ...]:
    """The labels with calibration and operating point."""
    done = []
    for index, label in enumerate(labels):
        calibration = Calibration(*(round(value, 5) for value in platt(logits[:, index], truth[:, index])))
        probabilities = calibrated(logits[:, [index]].astype(np.float32), [calibration])[:, 0].astype(np.float64)
        point = operating_point(probabilities, truth[:, index], SPECIFICITY)
        done.append(label.model_copy(update={"calibration": calibration, "operating_point": point}))
    return tuple(done)


def _out_of_fold_maps(
    network: CamNetwork,
    cells: tuple[torch.Tensor, ...],
    held_out: Sequence[NDArray[np.int64]],
    crossed: Sequence[Head],
) -> NDArray[np.float32]:
    """Class activation (N, L, h, w) of each image by the head that did not see it."""
    maps: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(cells[0])
    for rows, head in zip(held_out, crossed, strict=True):
        _set_head(network, head)
        for row in rows:
            with torch.inference_mode():
                maps[row] = network.maps(tuple(tap[row : row + 1].float() for tap in cells))[0].numpy()
    return np.stack(maps)


def _with_saliency_thresholds(
    labels: Sequence[Label], maps: NDArray[np.float32], probabilities: NDArray[np.float64], truth: NDArray[np.bool_]
) -> tuple[Label, ...]:
    done = []
    for index, label in enumerate(labels):
        called = _called(probabilities[:, index], truth[:, index], label.operating_point)
        threshold = np.quantile(maps[called, index], SMALL_FINDINGS.get(label.name, QUANTILE))
        done.append(label.model_copy(update={"saliency_threshold": round(float(threshold), 4)}))
    return tuple(done)


def _called(probabilities: NDArray[np.float64], truth: NDArray[np.bool_], point: float) -> NDArray[np.int64]:
    """Row numbers of the positives that reach the operating point, or of the ten most probable where they are fewer."""
    positives = np.flatnonzero(truth)
    ranked = positives[np.argsort(-probabilities[positives], kind="stable")]
    return ranked[: max(10, int((probabilities[ranked] >= point).sum()))]


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
