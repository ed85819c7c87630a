"""Makes a package of exclusive classes from a folder of labelled images or slices.

Nothing but the split "train" is used to fit or choose anything. The test split is measured at the end, for the card.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from models.calibration import temperature
from models.card import Calibration, Card, Label, Training, Weights
from models.cardfile import card_text
from models.data.datasets import Examples, read_examples, require_images, splits
from models.data.files import write_whole
from models.errors import DataError
from models.evaluation.classes.figures import ClassEvaluation
from models.evaluation.classes.levels import level, measurements
from models.evaluation.classes.measuring import evaluate
from models.fitting.classes.fit import ClassFit
from models.fitting.classes.multinomial import class_folds
from models.fitting.rows import Rows, parts
from models.fitting.task import Advance, Task
from models.learning.machine import machine
from models.learning.record import FILE as RUN
from models.learning.record import begin, training_record
from models.localizers.registry import LOCALIZERS
from models.metrics.bags import bags_of
from models.networks.modules.backbone_file import backbone_note
from models.networks.modules.storage import to_bytes
from models.packages import CARD, load
from models.provenance import UNNAMED, Facts, Owner, counted, own

FOLDS = 5
FEATURES = "features"  # below the run folder, while it trains
QUANTILE = 0.95  # part of the cells below the saliency threshold in images whose class is recognised
MAPS = 256  # in memory at once
CALIBRATED = (
    "Probabilities are calibrated to the training images, whose classes weigh alike: they rank and are no risks."
)


def train(
    data: Path,
    like: Card,
    weights: Path,
    run: Path,
    *,
    seed: int,
    localizer: str = "",
    test: str = "validation",
    device: str = "cpu",
    resume: bool = False,
    owner: Owner = UNNAMED,
    advance: Advance,
) -> tuple[Path, ClassEvaluation]:
    """Train a package after the pattern of the card `like`, and write it to `run`/name, its figures to run.json.

    Parameters and errors are those of `models.training.train`.
    """
    method = localizer or like.localizer
    _check(data, like, method, test)
    started = time.monotonic()
    torch.manual_seed(seed)
    examples = read_examples(data, "train", [label.name for label in like.labels])
    require_images(examples)
    held_out = class_folds(examples, FOLDS, seed)
    where, pattern = machine(device, 0).device, like.model_copy(update={"localizer": method})
    record = training_record(data, pattern, weights, seed, test, str(where))
    record["date"] = begin(run, record, resume=resume).get("date", record["date"])
    task = Task(examples, pattern, weights, held_out, seed, advance, run / FEATURES, where)
    fitter = LOCALIZERS.get(method).fit_classes
    assert fitter is not None
    found = fitter(task)
    folder = run / like.name
    card = _card(pattern, found, examples, seed, backbone_note(weights))
    _write(folder, found, _owned(card, owner, found, _facts(data, examples, test, found, record)))
    evaluation = _measured_on_test(folder, data, test, device, advance)
    record |= {"seconds": round(time.monotonic() - started, 1), "penalty": found.penalty}
    record |= {"out_of_fold": found.scores, "forecast": [], "test": evaluation.as_json()}
    write_whole(run / RUN, (json.dumps(record, indent=2) + "\n").encode("utf-8"))
    shutil.rmtree(run / FEATURES, ignore_errors=True)
    return folder, evaluation


def _check(data: Path, like: Card, method: str, test: str) -> None:
    if test == "train":
        raise DataError("The split train cannot be the test, too: give --test a split that nothing is fitted on.")
    able = tuple(entry.name for entry in LOCALIZERS.entries() if entry.fit_classes)
    if method not in able:
        raise DataError(f"Localizer {method!r} fits no exclusive classes; those that do: {', '.join(able)}.")
    if test not in splits(data):
        raise DataError(
            f'{data / "labels.csv"} has no rows whose split is "{test}", to measure on: add some, or --test.'
        )


def _card(like: Card, found: ClassFit, examples: Examples, seed: int, backbone: str) -> Card:
    """The card with temperature, saliency thresholds and out-of-fold figures."""
    bags = bags_of(examples.patients, examples.truth)
    if found.bag_logits is None:
        slope = temperature(found.logits, examples.truth, bags.balanced)
    else:
        slope = temperature(found.bag_logits, bags.truth, bags_of(np.arange(len(bags)), bags.truth).balanced)
    scaled = softmax(slope * found.logits, 1)
    calibration = Calibration(round(slope, 5), 0.0)
    labels = tuple(
        label.model_copy(
            update={
                "calibration": calibration, "operating_point": 0.0, "reliability": (), "triage": None,
                "saliency_threshold": _saliency_threshold(label, index, found.maps, scaled, examples.truth),
            }
        )
        for index, label in enumerate(like.labels)
    )  # fmt: skip
    names = examples.labels
    measured = measurements(
        "training, out of fold, images", names, level("images", scaled, examples.truth, examples.patients)
    )
    if found.bag_logits is not None:
        of_bags = softmax(slope * found.bag_logits, 1)
        measured += measurements(
            "training, out of fold, groups", names, level("groups", of_bags, bags.truth, bags.groups)
        )
    new = {"seed": seed, "penalty": found.penalty, "measured": measured, "method": found.method, "backbone": backbone}
    training = Training.model_validate(like.training.model_dump() | new)
    return like.model_copy(update={"labels": labels, "network": found.network, "training": training})


def _facts(data: Path, examples: Examples, test: str, found: ClassFit, record: dict[str, Any]) -> Facts:
    return Facts(
        what="images",
        train=counted(examples.patients.tolist()),
        test=counted(read_examples(data, test, []).patients.tolist()),
        split=test,
        labels_sha256=record["labels_sha256"],
        choices="and penalty and temperature chosen on it by folds by group",
        method=found.method,
        date=record["date"],
    )


def _owned(card: Card, owner: Owner, found: ClassFit, facts: Facts) -> Card:
    """The card with texts of this run alone."""
    shown = any(label.finding and label.shows_regions for label in card.labels)
    limits = (CALIBRATED, *([found.regions] if shown else []))
    written = own(card, owner, facts, card.localizer, limits)
    kept = {name: getattr(card.training, name) for name in ("seed", "penalty", "measured", "backbone")}
    return written.model_copy(update={"training": written.training.model_copy(update=kept)})


def _saliency_threshold(
    label: Label, index: int, maps: Rows, probabilities: NDArray[np.float64], truth: NDArray[np.bool_]
) -> float:
    """The quantile of the cells of the class's images that are recognised out of fold, of all of them where none is."""
    if not label.finding:
        return 0.0
    own = truth[:, index]
    recognised = np.flatnonzero(own & (probabilities.argmax(1) == index))
    rows = recognised if len(recognised) else np.flatnonzero(own)
    cells = np.concatenate([maps[some][:, index].ravel() for some in parts(rows, MAPS)])
    return round(float(np.quantile(cells, QUANTILE)), 4)


def _write(folder: Path, found: ClassFit, card: Card) -> None:
    data = to_bytes(found.module)
    weights = Weights(file="weights.safetensors", sha256=hashlib.sha256(data).hexdigest())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / weights.file).write_bytes(data)
    (folder / CARD).write_text(card_text(card.model_copy(update={"weights": weights})), encoding="utf-8")


def _measured_on_test(folder: Path, data: Path, test: str, device: str, advance: Advance) -> ClassEvaluation:
    """Evaluate the written package and add its figures to its card."""
    model = load(folder, device)
    count, done = len(read_examples(data, test, [label.name for label in model.card.labels])), iter(range(1, 10**9))
    evaluation = evaluate(model, model.localizer, data, test, lambda: advance("test", next(done), count))
    training = model.card.training
    both = training.model_copy(update={"measured": evaluation.measured + training.measured})
    (folder / CARD).write_text(card_text(model.card.model_copy(update={"training": both})), encoding="utf-8")
    return evaluation
