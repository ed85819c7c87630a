"""Makes a package from a folder of data: a fitted method, calibration, thresholds, a card.

Nothing but the split "train" is used to fit anything. The test split is measured at the end, for the card, and gives
the operating points for triage.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.calibration import calibrated
from models.card import Card, Label, Measurement, Training, Weights
from models.cardfile import card_text
from models.data.datasets import Examples, read_examples, require_images, splits
from models.data.files import write_whole
from models.errors import DataError
from models.evaluation.curves import reliability_diagram
from models.evaluation.discrimination import few_measurements, measurements, metadata_baseline
from models.evaluation.figures import Evaluation
from models.evaluation.measuring import evaluate
from models.evaluation.triage import with_triage
from models.fitting.deciding import decided, with_saliency_thresholds
from models.fitting.forecast import Forecast, forecast
from models.fitting.fusion import fused_columns, fusions
from models.fitting.heads import few_patients, spread_folds
from models.fitting.rows import parts
from models.fitting.task import Advance, Fit, Task
from models.learning.machine import machine
from models.learning.record import FILE as RUN
from models.learning.record import begin, training_record
from models.localizers.registry import LOCALIZERS, trainable
from models.networks.modules.backbone_file import backbone_note
from models.networks.modules.storage import to_bytes
from models.packages import CARD, RELIABILITY, anatomy_segmenter, digest, load
from models.provenance import UNNAMED, Facts, Owner, counted, own

FOLDS = 5
FEATURES = "features"  # below the run folder, while it trains
MAPS = 256  # in memory at once
WEAK = "Not shown to be better than chance"
FEW = "Few positive training images, so that figures and thresholds are uncertain: {}."
CALIBRATED = (
    "Probabilities are calibrated to how frequent findings are in the training images: they rank and are no risks."
)
BASELINE = (
    "Logistic regression on view, sex, age, follow-up number and source, which sees no image, fitted on the same"
    " training images."
)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """All that is chosen on the training split."""

    found: Fit
    labels: tuple[Label, ...]
    measured: tuple[Measurement, ...]
    forecast: Forecast | None = None
    few: tuple[str, ...] = ()


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
    metadata: Sequence[str] = (),
    advance: Advance,
) -> tuple[Path, Evaluation]:
    """Train a package after the pattern of the card `like` and write it to `run`/name, its figures to run.json.

    Parameters
    ----------
    like
        Gives names, codes, colours, urgency and input; all else is made new.
    weights
        The published ImageNet weights of the backbone.
    localizer
        One that can be fitted; "" takes that of `like`.
    device
        Where the backbone computes: "cpu", "cuda", "cuda:N" or "auto".
    resume
        Continue in a run folder whose training was killed; all else must be the same, and so is the result.
    owner
        Whose model it is.
    metadata
        What a second head sees beside the image's logit, of age, sex, view; see `models.fitting.fusion`.
    advance
        Called with (stage, done, of all) while it works.

    Raises
    ------
    DataError
        The data lack what the card's labels need, there is no such method, or what is fitted on was to be the test.
    PackageError
        The weights cannot be read.
    RunError
        The run folder holds a run and `resume` is not given, or another run than this; or the device is not there.
    """
    method = localizer or like.localizer
    _check(like, method, test)
    if test not in splits(data):
        raise DataError(
            f'{data / "labels.csv"} has no rows whose split is "{test}", to measure on: add some, or --test.'
        )
    started = time.monotonic()
    torch.manual_seed(seed)
    examples = read_examples(data, "train", [label.name for label in like.labels])
    require_images(examples)
    columns = fused_columns(data, metadata)
    held_out = spread_folds(examples.patients, examples.truth, examples.labels, FOLDS, seed)
    where = machine(device, 0).device
    anatomy = like.anatomy if "anatomy" in LOCALIZERS.get(method).tables else None
    pattern = like.model_copy(update={"localizer": method, "anatomy": anatomy})
    record = training_record(data, pattern, weights, seed, test, str(where)) | {"metadata": list(metadata)}
    record["date"] = begin(run, record, resume=resume).get("date", record["date"])
    segmenter = anatomy_segmenter(pattern, device=str(where))
    segment = None if segmenter is None else segmenter.lungs
    task = Task(examples, pattern, weights, held_out, seed, advance, run / FEATURES, where, segment)
    fitted = _fitted(task)
    folder = run / like.name
    facts = _facts(data, examples, test, fitted, record)
    _write(folder, fitted.found.module, _card(pattern, fitted, seed, backbone_note(weights), owner, facts))
    record |= {
        "owner": asdict(owner),
        "fusion": [asdict(one) for one in fusions(examples, fitted.found, held_out, columns)],
    }
    evaluation = _measured_on_test(folder, data, test, device, advance)
    _write_run(run, record | {"seconds": round(time.monotonic() - started, 1)}, fitted, evaluation)
    shutil.rmtree(run / FEATURES, ignore_errors=True)
    return folder, evaluation


def _check(like: Card, method: str, test: str) -> None:
    if test == "train":
        raise DataError("The split train cannot be the test, too: give --test a split that nothing is fitted on.")
    if method not in LOCALIZERS.names() or LOCALIZERS.get(method).fit is None:
        raise DataError(f"There is no localizer named {method!r} to train; there are: {', '.join(trainable())}.")
    needs_network = "network" in LOCALIZERS.get(method).tables
    if like.input.size is None or (needs_network and (like.network is None or not like.network.taps)):
        raise DataError(f"{like.name} has no [network] with taps: there is nothing to train.")
    if "anatomy" in LOCALIZERS.get(method).tables and like.anatomy is None:
        raise DataError(
            f"{like.name} has no [anatomy], which {method} needs: take --like chest-xray, or add the table."
        )


def _fitted(task: Task) -> Fitted:
    """The method's networks, and calibration, thresholds and saliency thresholds on out-of-fold values."""
    fit = LOCALIZERS.get(task.like.localizer).fit
    assert fit is not None
    found, examples = fit(task), task.examples
    labels = decided(task.like.labels, found.logits, examples.truth)
    calibrations = [label.calibration for label in labels]
    probabilities = calibrated(found.logits.astype(np.float32), calibrations).astype(np.float64)

    def cells(rows: NDArray[np.int64], index: int) -> NDArray[np.float32]:
        return np.concatenate([found.maps[some][:, index] for some in parts(rows, MAPS)])

    chosen = with_saliency_thresholds(labels, cells, probabilities, examples.truth)
    baseline = _baseline(examples, task.held_out)
    expected = None
    if found.refit is not None:
        expected = forecast(examples, task.held_out, found.refit, found.penalty, task.seed, task.advance)
    measured = measurements("training, out of fold,", examples, probabilities, baseline)
    measured += few_measurements("training, out of fold,", examples, probabilities)
    few = few_patients(examples.patients, examples.truth, examples.labels, 2 * FOLDS)
    return Fitted(found, chosen, measured, expected, tuple(FEW.format(", ".join(few)) for _ in few[:1]))


def _baseline(examples: Examples, held_out: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    scores = np.zeros(examples.truth.shape)
    for held in held_out:
        kept = np.setdiff1d(np.arange(len(examples)), held)
        scores[held] = metadata_baseline(examples.rows(kept), examples.rows(held))
    return scores


def _facts(data: Path, examples: Examples, test: str, fitted: Fitted, record: dict[str, Any]) -> Facts:
    tested = read_examples(data, test, [])
    return Facts(
        what="images",
        train=counted(examples.patients.tolist()),
        test=counted(tested.patients.tolist()),
        split=test,
        labels_sha256=record["labels_sha256"],
        choices=f"and penalty, calibration and thresholds chosen on it by {FOLDS} folds by patient",
        method=fitted.found.method,
        date=record["date"],
    )


def _card(like: Card, fitted: Fitted, seed: int, backbone: str, owner: Owner, facts: Facts) -> Card:
    found = fitted.found
    chance = [one for one in fitted.measured if one.interval[0] <= 0.5]
    weak = ", ".join(f"{one.label} ({one.data.removeprefix('training, out of fold, ')})" for one in chance)
    limits = (CALIBRATED, *([found.regions] if found.regions else []), *fitted.few)
    if weak:
        limits += (f"{WEAK} (the interval of the out-of-fold AUC reaches 0.5) within a source: {weak}.",)
    card = own(like, owner, facts, like.localizer, limits)
    new = {"seed": seed, "penalty": found.penalty, "measured": fitted.measured, "baseline": BASELINE}
    new["backbone"] = backbone if found.network else ""
    training = Training.model_validate(card.training.model_dump() | new)
    return card.model_copy(update={"labels": fitted.labels, "network": found.network, "training": training})


def _write(folder: Path, network: nn.Module, card: Card) -> None:
    data = to_bytes(network)
    weights = Weights(file="weights.safetensors", sha256=hashlib.sha256(data).hexdigest())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / weights.file).write_bytes(data)
    (folder / RELIABILITY).write_bytes(reliability_diagram(card.labels))
    (folder / CARD).write_text(card_text(card.model_copy(update={"weights": weights})), encoding="utf-8")


def _measured_on_test(folder: Path, data: Path, test: str, device: str, advance: Advance) -> Evaluation:
    """Evaluate the written package and add its figures to its card."""
    model = load(folder, device)
    count, done = len(read_examples(data, test, [label.name for label in model.card.labels])), iter(range(1, 10**9))
    evaluation = evaluate(model, data, test, lambda: advance("test", next(done), count))
    training = model.card.training
    both = training.model_copy(update={"measured": evaluation.measured + training.measured})
    measured = with_triage(model.card.model_copy(update={"training": both}), evaluation.triage)
    (folder / CARD).write_text(card_text(measured), encoding="utf-8")
    return replace(evaluation, digest=digest(folder))


def _write_run(run: Path, report: dict[str, Any], fitted: Fitted, evaluation: Evaluation) -> None:
    scores = {key: round(value, 4) for key, value in fitted.found.scores.items()}
    chosen = {"penalty": fitted.found.penalty, "out_of_fold_auc": scores}
    measured = [one.model_dump(exclude_none=True) for one in fitted.measured]
    curve = None if fitted.forecast is None else asdict(fitted.forecast)
    lines = [] if fitted.forecast is None else list(fitted.forecast.sentences())
    more = {
        "out_of_fold": measured,
        "learning_curve": curve,
        "forecast": lines,
        "few": fitted.few,
        "test": evaluation.as_json(),
    }
    write_whole(run / RUN, (json.dumps(report | chosen | more, indent=2) + "\n").encode("utf-8"))


def forecast_lines(run: Path) -> tuple[str, ...]:
    """The forecast of a finished run, in the sentences of its run.json; before it, what has few positives."""
    record = json.loads((run / RUN).read_text(encoding="utf-8"))
    return (*(f"Warning: {line}" for line in record["few"]), *record["forecast"])


def fusion_lines(run: Path) -> tuple[str, ...]:
    """What metadata added in a finished run; none where it was not asked."""
    record = json.loads((run / RUN).read_text(encoding="utf-8"))
    named = ", ".join(record["metadata"])
    return tuple(
        f"{one['label'].replace('_', ' ')}: AUC out of fold {one['image']['value']:.3f} of the image alone,"
        f" {one['fused']['value']:.3f} with {named}, difference {_interval(one['difference'])}; not part of the package"
        for one in record["fusion"]
    )


def _interval(one: dict[str, Any]) -> str:
    shown = f"{one['value']:.3f}"
    return shown if one["low"] is None else f"{shown} ({one['low']:.3f} to {one['high']:.3f})"
