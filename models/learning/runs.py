"""The two trainings from a folder of data to a run folder; what the commands call."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from models.card import COARSEST_STRIDE, Card
from models.data.files import write_whole
from models.errors import RunError
from models.learning.checkpoints import Epoch, best
from models.learning.contrast.moco import MomentumPretraining
from models.learning.contrast.simclr import NOTE as PRETRAINED
from models.learning.contrast.simclr import Pretraining, read_unlabelled
from models.learning.curves import auc_curve, loss_curve, roc_curves
from models.learning.finetune import NOTE as FINETUNED
from models.learning.finetune import Finetuning, read_split
from models.learning.loop import BACKBONE, Advance, learn
from models.learning.machine import Machine
from models.learning.options import FinetuneOptions, Options, PretrainOptions, sentence
from models.learning.record import begin, finish, given, names_digest
from models.packages import sha256

TAUGHT = " A mean teacher also learned from {images} images without labels; the teacher is what is kept."
LEARNERS: dict[str, type[Pretraining]] = {"simclr": Pretraining, "moco": MomentumPretraining}
NAMES = {"simclr": "SimCLR", "moco": "MoCo"}


def finetune(
    data: Path,
    like: Card,
    weights: Path,
    run: Path,
    options: FinetuneOptions,
    *,
    machine: Machine,
    resume: bool = False,
    advance: Advance,
) -> Epoch:
    """Fine-tune with the labels of the card `like` on the split "train" of `data`; the best epoch.

    Parameters
    ----------
    weights
        Where the backbone starts: the published ImageNet weights, or a `backbone.safetensors`.
    advance
        Called with (stage, done, of all).

    Raises
    ------
    RunError, DataError, PackageError
        The options, the data or the weights cannot be used; the sentence names why.
    """
    _check(like, options)
    split = read_split(data, [label.name for label in like.labels], options.seed)
    learner = Finetuning(split, like, options, weights, machine)
    facts: dict[str, object] = {
        "labels": list(split.train.labels),
        "images": len(split.train),
        "held_out": len(split.held_out),
    }
    facts |= {"labels_sha256": sha256(data / "labels.csv"), "augmentation": learner.strength.model_dump()}
    note = f"{FINETUNED.format(start=weights.name)} {sentence(options)}"
    if learner.unlabelled is not None:
        files = learner.unlabelled.files
        facts |= {"unlabelled_sha256": names_digest(files, Path(options.unlabelled))}
        note += TAUGHT.format(images=len(files))
    _begin(run, "finetune", options, like, weights, data, machine, facts, resume=resume)
    started = time.monotonic()
    history = learn(learner, options, run, note, advance)
    write_whole(run / "loss.png", loss_curve(history))
    write_whole(run / "auc.png", auc_curve(history))
    write_whole(run / "roc.png", roc_curves(split.held_out.labels, learner.saved_logits(run), split.held_out.truth))
    return _finish(run, history, started)


def pretrain(
    data: Path,
    like: Card,
    weights: Path,
    run: Path,
    options: PretrainOptions,
    *,
    machine: Machine,
    resume: bool = False,
    advance: Advance,
) -> Epoch:
    """Pretrain by SimCLR or MoCo on images without labels; the parameters are those of `finetune`."""
    _check(like, options)
    images = read_unlabelled(data, options.seed)
    learner = LEARNERS[options.method](images, like, options, weights, machine)
    facts: dict[str, object] = {"images": len(images.train), "held_out": len(images.held_out)}
    facts |= {"images_sha256": names_digest(images.train + images.held_out, data)}
    facts |= {"augmentation": learner.strength.model_dump()}
    _begin(run, "pretrain", options, like, weights, data, machine, facts, resume=resume)
    started = time.monotonic()
    count = len(images.train) + len(images.held_out)
    note = PRETRAINED.format(start=weights.name, method=NAMES[options.method], images=count)
    history = learn(learner, options, run, f"{note} {sentence(options)}", advance)
    write_whole(run / "loss.png", loss_curve(history))
    return _finish(run, history, started)


def _check(like: Card, options: Options) -> None:
    if like.network is None or like.network.backbone != "efficientnet-lite0":
        raise RunError(f"{like.name} has no [network] of EfficientNet-Lite0: there is no backbone to train.")
    smallest = COARSEST_STRIDE * (2 * like.network.border + 1)
    if min(options.size) < smallest:
        raise RunError(f"The size must be at least {smallest} pixels: {like.name} leaves out the border of its maps.")
    last = like.network.taps[-1] + 1
    if options.freeze >= last:
        raise RunError(f"With {options.freeze} blocks frozen nothing is left: {like.name} reads {last} of them.")


def _begin(
    run: Path,
    command: str,
    options: Options,
    like: Card,
    weights: Path,
    data: Path,
    machine: Machine,
    facts: dict[str, object],
    *,
    resume: bool,
) -> None:
    assert like.network is not None
    start = {"weights": weights.name, "weights_sha256": sha256(weights)}
    where = {"data": str(data), "device": str(machine.device)}
    network = like.network.model_dump(mode="json")
    begin(run, given(command, options, **where, **facts, **start, like=like.name, network=network), resume=resume)


def _finish(run: Path, history: tuple[Epoch, ...], started: float) -> Epoch:
    chosen = best(history)
    result: dict[str, object] = {"epochs": len(history), "best_epoch": chosen.number, "score": round(chosen.score, 6)}
    result |= {"backbone": BACKBONE, "backbone_sha256": sha256(run / BACKBONE)}
    finish(run, result | {"seconds": round(time.monotonic() - started, 1), "threads": torch.get_num_threads()})
    return chosen
