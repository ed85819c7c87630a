"""Makes a package of masks from a folder of images with masks: fitted, measured, written with its card.

Nothing but the split "train" is fitted on, and nothing is chosen on the split that is measured.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.card import Card, Overlap, Weights
from models.cardfile import card_text
from models.data.images import file_size, read_image
from models.data.pairs import PAIRS, Pairs, read_pairs, without_masks
from models.errors import DataError
from models.fitting.lungs import MaskFit, MaskTask
from models.fitting.task import Advance
from models.localizers.registry import LOCALIZERS
from models.metrics.draws import figure, patient_draws
from models.metrics.masks import dice
from models.networks.modules.storage import to_bytes
from models.packages import CARD, digest, load_segmenter, sha256
from models.provenance import UNNAMED, Facts, Owner, counted, own, today
from models.segmenter import Segmenter


def train(
    data: Path, like: Card, run: Path, *, seed: int, test: str = "validation", owner: Owner = UNNAMED, advance: Advance
) -> tuple[Path, Overlap]:
    """Train a package after the pattern of the card `like` and write it to `run`/name, its figures to run.json.

    Parameters
    ----------
    data
        Folder with pairs.csv. Where the folder above holds labels.csv, its training images are learned from as well.
    advance
        Called with (stage, done, of all) while it works.

    Raises
    ------
    DataError
        The data are not whole, the card's localizer is not fitted on masks, or the test is the training split.
    """
    fit, size = LOCALIZERS.get(like.localizer).fit_masks, like.input.size
    if fit is None or size is None or size[0] != size[1]:
        raise DataError(f"{like.name} is not fitted on masks: it needs such a localizer and a square input.size.")
    if test == "train":
        raise DataError("The split train cannot be the test, too: give --test a split that nothing is fitted on.")
    started, tested = time.monotonic(), read_pairs(data, test)
    pairs, more = read_pairs(data, "train"), without_masks(data)
    found = fit(MaskTask(pairs, more, size[0], seed, advance))
    like = own(like, owner, _facts(data, pairs, tested, test, len(more)), like.localizer)
    folder = run / like.name
    _write(folder, found, like)
    overlap, each = measure(load_segmenter(folder), tested, test)
    measured = like.training.model_copy(update={"seed": seed, "overlaps": (overlap,)})
    _write(folder, found, like.model_copy(update={"training": measured}))
    report = {
        "data": str(data),
        "seed": seed,
        "date": like.training.date,
        "owner": asdict(owner),
        "seconds": round(time.monotonic() - started, 1),
    }
    report |= {"unmarked": found.unmarked, "confident": found.confident, "digest": digest(folder)}
    names = [path.name for path in tested.images]
    whole = report | {"overlap": overlap.model_dump(), "dice": dict(zip(names, each, strict=True))}
    (run / "run.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    return folder, overlap


def _facts(data: Path, pairs: Pairs, tested: Pairs, test: str, more: int) -> Facts:
    taught = f", then on its own confident masks among {more:,} images without any" if more else ""
    return Facts(
        what="images with masks",
        train=counted(pairs.patients.tolist()),
        test=counted(tested.patients.tolist()),
        split=test,
        labels_sha256=sha256(data / PAIRS),
        choices="nothing was chosen",
        method=f"AdamW, cross-entropy and soft Dice under strong changes of the images{taught}.",
        date=today(),
    )


def measure(segmenter: Segmenter, pairs: Pairs, name: str) -> tuple[Overlap, list[float]]:
    """Dice of both lungs together at each file's size: mean and interval by patient, then that of each image."""
    each = [_dice(segmenter, image, mask) for image, mask in zip(pairs.images, pairs.masks, strict=True)]
    ends = interval(each, pairs.patients)
    mean = round(float(np.mean(each)), 4)
    return Overlap(data=name, images=len(each), dice=mean, interval=ends, lowest=min(each)), each


def _dice(segmenter: Segmenter, image: Path, mask: Path) -> float:
    size = file_size(image)
    found = segmenter(read_image(image, size))
    mask_found = found.letterbox.to_file(found.lungs.both.astype(np.float32)) >= 0.5
    return round(dice(mask_found, read_image(mask, size) >= 0.5), 4)


def interval(each: Sequence[float], patients: NDArray[np.int64]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean, resampled by patient."""
    draws = patient_draws(patients)
    values = np.array(each)
    found = figure(float(values.mean()), (draws @ values) / draws.sum(axis=1))
    mean = round(float(values.mean()), 4)
    return (mean, mean) if found.low is None or found.high is None else (found.low, found.high)


def _write(folder: Path, found: MaskFit, like: Card) -> None:
    data = to_bytes(found.module)
    weights = Weights(sha256=hashlib.sha256(data).hexdigest())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / weights.file).write_bytes(data)
    (folder / CARD).write_text(card_text(like.model_copy(update={"weights": weights})), encoding="utf-8")
