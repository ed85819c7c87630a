"""Makes a package from a folder of labelled volumes: a fitted method, calibration, thresholds, a card.

Nothing but the labels of the split "train" is used to fit anything; no mask is read. The test split is measured at
the end, for the card.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.calibration import calibrated
from models.card import Card, Label, Measurement, Weights
from models.cardfile import card_text
from models.data.files import write_whole
from models.data.tables import column_names
from models.data.volumes.folders import VolumeExamples, read_volume_examples
from models.data.volumes.reading import read_volume
from models.errors import DataError
from models.evaluation.curves import reliability_diagram
from models.fitting.deciding import QUANTILE, decided, with_saliency_thresholds
from models.fitting.heads import few_patients, spread_folds
from models.fitting.task import Advance
from models.fitting.volumes.task import VolumeFit, VolumeTask
from models.learning.machine import machine
from models.learning.record import FILE as RUN
from models.learning.record import begin, training_record
from models.localizers.registry import LOCALIZERS
from models.metrics.ranking import Auc, auc, auc_interval, small_auc_interval
from models.networks.modules.storage import to_bytes
from models.packages import CARD, RELIABILITY, load, sha256
from models.provenance import UNNAMED, Facts, Owner, counted, own

FOLDS = 5
FEATURES = "features"  # below the run folder, while it trains
# Part of a volume's cells below the saliency threshold in positives that are found: lesions fill little of a chest.
SMALL = {"Nodule": 0.998, "Ground_Glass_Nodule": 0.998, "Emphysema": QUANTILE, "Cardiomegaly": QUANTILE}
REST = 0.97
FEW = "Few positive training volumes, so that figures and thresholds are uncertain: {}."
SIMULATION = "simulation"  # the column that `readfirst models simulate` writes
WEAK = "Not shown to be better than chance"
CHANCE = 0.5


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
) -> tuple[Path, tuple[Measurement, ...]]:
    """Train a package of volumes after the card `like` and write it to `run`/name, its figures to run.json.

    Parameters are those of `models.training.train`; `data` is a folder as `models.data.volumes.folders` reads it.

    Raises
    ------
    DataError
        The data lack what the card's labels need, there is no such method, or what is fitted on was to be the test.
    RunError
        The run folder holds a run and `resume` is not given, or another run than this; or the device is not there.
    """
    method, started = localizer or like.localizer, time.monotonic()
    _check(like, method, test)
    torch.manual_seed(seed)
    names = [label.name for label in like.labels]
    examples, tested = (read_volume_examples(data, split, names) for split in ("train", test))
    held_out = spread_folds(examples.patients, examples.truth, examples.labels, FOLDS, seed)
    where = machine(device, 0).device
    pattern = like.model_copy(update={"localizer": method})
    record = training_record(data, pattern, weights, seed, test, str(where))
    record["date"] = begin(run, record, resume=resume).get("date", record["date"])
    task = VolumeTask(examples, pattern, weights, held_out, seed, advance, run / FEATURES, where)
    fit = LOCALIZERS.get(method).fit_volumes
    assert fit is not None
    found = fit(task)
    facts = Facts(
        what="volumes", train=counted(examples.patients.tolist()), test=counted(tested.patients.tolist()), split=test,
        labels_sha256=record["labels_sha256"], method=found.method, date=record["date"],
        choices=f"and penalty, calibration and thresholds chosen on it by {FOLDS} folds by patient",
        simulated=SIMULATION in column_names(data / "labels.csv"),
    )  # fmt: skip
    card, of_training = _card(pattern, found, examples, seed, owner, facts)
    folder = run / like.name
    _write(folder, card, to_bytes(found.module))
    measured = (*_test(folder, tested, test, device, advance), *of_training)
    _write(folder, card.model_copy(update={"training": card.training.model_copy(update={"measured": measured})}))
    _finish(run, record, found, measured, time.monotonic() - started)
    shutil.rmtree(run / FEATURES, ignore_errors=True)
    return folder, measured


def _check(like: Card, method: str, test: str) -> None:
    if test == "train":
        raise DataError("The split train cannot be the test, too: give --test a split that nothing is fitted on.")
    able = [entry.name for entry in LOCALIZERS.entries() if entry.fit_volumes]
    if method not in able:
        raise DataError(f"There is no localizer named {method!r} to train on volumes; there are: {', '.join(able)}.")
    objection = LOCALIZERS.get(method).objection(like.model_copy(update={"weights": Weights(sha256="0" * 64)}))
    if objection:
        raise DataError(f"{like.name} cannot be trained: {objection}.")


def _card(
    like: Card, found: VolumeFit, examples: VolumeExamples, seed: int, owner: Owner, facts: Facts
) -> tuple[Card, tuple[Measurement, ...]]:
    """The card with what was chosen on out-of-fold values, and the figures of these."""
    labels = decided(like.labels, found.logits, examples.truth)
    probabilities = _probabilities(labels, found.logits)
    labels = with_saliency_thresholds(labels, found.maps.cells, probabilities, examples.truth, _quantile)
    measured = measurements("training, out of fold,", labels, examples, probabilities)
    few = few_patients(examples.patients, examples.truth, examples.labels, 2 * FOLDS)
    limits = (found.regions, *_weak(measured), *(FEW.format(", ".join(few)) for _ in few[:1]))
    card = own(like, owner, facts, like.localizer, limits)
    training = card.training.model_copy(update={"seed": seed, "penalty": found.penalty, "measured": measured})
    return card.model_copy(update={"labels": labels, "training": training}), measured


def _weak(measured: Sequence[Measurement]) -> tuple[str, ...]:
    """A sentence on the labels whose out-of-fold interval reaches chance; none where there are none."""
    chance = [one.label.replace("_", " ") for one in measured if one.interval[0] <= CHANCE]
    return (f"{WEAK} (the interval of the out-of-fold AUC reaches 0.5): {', '.join(chance)}.",) if chance else ()


def _quantile(label: Label) -> float:
    return SMALL.get(label.name, REST)


def _probabilities(labels: Sequence[Label], logits: NDArray[np.float64]) -> NDArray[np.float64]:
    calibrations = [label.calibration for label in labels]
    return calibrated(logits.astype(np.float32), calibrations).astype(np.float64)


def measurements(
    data: str, labels: Sequence[Label], examples: VolumeExamples, scores: NDArray[np.float64]
) -> tuple[Measurement, ...]:
    """AUC with its interval by anatomy, and the decisions at the operating points, of all labels with both classes."""
    found = []
    for index, label in enumerate(labels):
        truth, score = examples.truth[:, index], scores[:, index]
        if not 0 < truth.sum() < len(truth):
            continue
        area = _area(score, truth, examples.patients)
        present = score >= label.operating_point
        found.append(
            Measurement(
                label=label.name,
                data=f"{data} all",
                positives=int(truth.sum()),
                images=len(truth),
                auc=round(area.value, 3),
                interval=(round(area.low, 3), round(area.high, 3)),
                sensitivity=round(float(present[truth].mean()), 3),
                specificity=round(float((~present[~truth]).mean()), 3),
            )
        )
    return tuple(found)


def _area(score: NDArray[np.float64], truth: NDArray[np.bool_], patients: NDArray[np.int64]) -> Auc:
    """By bootstrap of anatomies; of fewer than ten with or without the label by a formula, as that sees too little."""
    groups = [len(set(patients[rows].tolist())) for rows in (truth, ~truth)]
    if min(groups) < 2 * FOLDS:
        return small_auc_interval(auc(score, truth), *groups)
    return auc_interval(score, truth, patients)


def _test(folder: Path, examples: VolumeExamples, name: str, device: str, advance: Advance) -> tuple[Measurement, ...]:
    """Figures of the written package on the test split."""
    model, rows = load(folder, device), []
    for done, path in enumerate(examples.files, start=1):
        volume = read_volume(path)
        rows.append(model.predict(volume.array, volume.spacing).probabilities)
        advance("test", done, len(examples))
    return measurements(name, model.card.labels, examples, np.stack(rows).astype(np.float64))


def _write(folder: Path, card: Card, data: bytes | None = None) -> None:
    """Card and diagram, and the weights where they are given; else those that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    if data is not None:
        write_whole(folder / Weights(sha256="0" * 64).file, data)
    weights = Weights(sha256=sha256(folder / Weights(sha256="0" * 64).file))
    write_whole(folder / RELIABILITY, reliability_diagram(card.labels))
    write_whole(folder / CARD, card_text(card.model_copy(update={"weights": weights})).encode("utf-8"))


def _finish(
    run: Path, record: dict[str, Any], found: VolumeFit, measured: tuple[Measurement, ...], seconds: float
) -> None:
    scores = {key: round(value, 4) for key, value in found.scores.items()}
    chosen = {"seconds": round(seconds, 1), "penalty": found.penalty, "out_of_fold_auc": scores}
    figures = {"measured": [one.model_dump(exclude_none=True) for one in measured]}
    write_whole(run / RUN, (json.dumps(record | chosen | figures, indent=2) + "\n").encode("utf-8"))
