from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.card import Card
from models.data.datasets import read_examples
from models.errors import DataError, PackageError, RunError
from models.learning.finetune import Finetuning, aucs, mean_within_sources, read_split
from models.learning.losses import LOSSES
from models.learning.options import FinetuneOptions
from models.networks.modules.attention.cbam import AttentionNetwork
from models.networks.modules.backbone_file import imagenet_weights
from models.networks.modules.tapped import CamNetwork
from tests.models import phantoms
from tests.models.learning.runs import CPU, TUNE, tuned

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)
LABELS = ["Disc", "Half"]


def learner(data: Path, options: FinetuneOptions = TUNE, like: Card | None = None) -> Finetuning:
    return Finetuning(read_split(data, LABELS, options.seed), like or phantoms.card(), options, imagenet_weights(), CPU)


def test_the_fold_that_is_held_out_shares_no_patient_and_no_validation_image(data: Path) -> None:
    kept, held = read_split(data, LABELS, 0)
    assert len(kept) + len(held) == 60
    assert len(held) == 12
    assert not set(kept.patients.tolist()) & set(held.patients.tolist())
    validation = {file.name for file in read_examples(data, "validation", LABELS).files}
    assert not validation & {file.name for file in (*kept.files, *held.files)}
    assert read_split(data, LABELS, 0).held_out.files == held.files
    assert read_split(data, LABELS, 1).held_out.files != held.files


def test_validation_images_are_never_opened(data: Path, tmp_path: Path) -> None:
    only = Path(shutil.copytree(data, tmp_path / "data"))
    for file in read_examples(only, "validation", LABELS).files:
        file.unlink()
    assert tuned(only, tmp_path / "run", replace(TUNE, epochs=1, freeze=14)).number == 1


def test_a_new_head_says_how_frequent_each_label_is(data: Path) -> None:
    fresh = learner(data)
    figures = fresh.evaluate()
    frequency = fresh.truth.mean(0)
    torch.testing.assert_close(torch.sigmoid(torch.from_numpy(fresh.seen[0])).float(), frequency)
    assert figures.score == 0.5
    assert set(figures.figures) == {"AUC Disc (A)", "AUC Half (A)"}
    assert not torch.equal(fresh.network.centre, torch.zeros_like(fresh.network.centre))


def test_auc_is_within_source_and_torchmetrics(data: Path) -> None:
    pytest.importorskip("torchmetrics", reason="needs PyPI torchmetrics")
    from torchmetrics.functional.classification import binary_auroc

    examples = read_examples(data, "train", LABELS)
    logits = np.random.default_rng(0).normal(size=examples.truth.shape)
    found = aucs(logits, examples)
    assert set(found) == {f"{label} ({source})" for label in LABELS for source in "AB"}
    for index, label in enumerate(LABELS):
        for source in "AB":
            rows = examples.sources == source
            other = binary_auroc(
                torch.from_numpy(logits[rows, index]), torch.from_numpy(examples.truth[rows, index].astype(int))
            )
            assert found[f"{label} ({source})"] == pytest.approx(float(other), abs=1e-6)
    assert mean_within_sources({"Disc (A)": 0.5, "Half (A)": 0.7, "Half (B)": 1.0}) == pytest.approx(0.8)


def test_cbam_is_put_after_the_last_tap(data: Path) -> None:
    fresh = learner(data, replace(TUNE, attention="cbam"))
    assert isinstance(fresh.network, AttentionNetwork)
    assert isinstance(learner(data).network, CamNetwork)
    next(iter(fresh.losses(0))).backward()  # type: ignore[no-untyped-call]
    assert fresh.network.attended.head.weight.grad is not None
    assert float(fresh.network.attended.head.weight.grad.abs().sum()) > 0


@pytest.mark.parametrize("name", list(LOSSES))
def test_each_loss_and_balanced_sampling_give_steps(data: Path, name: str) -> None:
    fresh = learner(data, replace(TUNE, loss=name, sampling="balanced"))
    loss = next(iter(fresh.losses(0)))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)


def test_wrong_options_are_named() -> None:
    for wrong, sentence in (
        ({"loss": "hinge"}, "no loss named 'hinge'; there are: bce, weighted-bce, focal, asymmetric"),
        ({"sampling": "even"}, "no sampling named 'even'; there are: natural, balanced"),
        ({"attention": "se"}, "no attention named 'se'; there are: none, cbam"),
        ({"epochs": 0}, "at least one epoch"),
        ({"rate": 0.0}, "rates must be above 0"),
        ({"freeze": 17}, "must be 0 to 16"),
        ({"warmup": 2.0}, "from 0 to 1"),
    ):
        with pytest.raises(RunError, match=sentence):
            replace(TUNE, **wrong)


def test_what_does_not_fit_is_named_before_a_run_folder_is_made(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for wrong, sentence in (
        ({"freeze": 15}, "With 15 blocks frozen nothing is left: phantom reads 15"),
        ({"size": (64, 64)}, "size must be at least 96 pixels"),
        ({"batch": 50}, "48 images are too few for a batch of 50"),
    ):
        with pytest.raises(RunError, match=sentence):
            tuned(data, run, replace(TUNE, **wrong))
    few = phantoms.write_folder(tmp_path / "few", train=12, validation=2)
    with pytest.raises(RunError, match="Too few images to fine-tune"):
        tuned(few, run)
    fewer = phantoms.write_folder(tmp_path / "fewer", train=6, validation=2)
    with pytest.raises(RunError, match="Too few patients to fine-tune"):
        tuned(fewer, run)
    (few / "images" / "003.png").unlink()
    with pytest.raises(DataError, match=r"the first: 003\.png"):
        tuned(few, run)
    assert not run.exists()
