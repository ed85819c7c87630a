from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.errors import DataError, PackageError, RunError
from models.learning import checkpoints
from models.learning.finetune import Finetuning, read_split
from models.learning.teacher import ramp
from models.networks.modules.backbone_file import backbone_note, backbone_state, imagenet_weights
from tests.models import phantoms
from tests.models.learning.runs import CPU, TUNE, Killed, tuned

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)


def test_the_weight_of_consistency_grows() -> None:
    values = [ramp(step, 100) for step in range(0, 100, 5)]
    assert values == sorted(values)
    assert values[0] == pytest.approx(0.0067, abs=1e-4)
    assert values[5:] == [1.0] * 15


def test_the_teacher_is_a_running_mean_and_sees_images_without_labels(data: Path, few: Path) -> None:
    options = replace(TUNE, unlabelled=str(few / "images"), decay=0.75, hidden=4, dropout=0.5)
    learner = Finetuning(read_split(data, ["Disc", "Half"], 0), phantoms.card(), options, imagenet_weights(), CPU)
    assert learner.teacher is not None
    before = learner.teacher.head.weight.detach().clone()
    steps = learner.losses(0)
    loss = next(steps)
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(one.grad is None for one in learner.teacher.parameters())
    with torch.no_grad():
        learner.network.head.weight.add_(1.0)
    next(steps)
    torch.testing.assert_close(learner.teacher.head.weight, before + 0.25)
    assert learner.kept is learner.teacher


def test_a_killed_run_ends_alike_and_keeps_the_teacher(data: Path, few: Path, tmp_path: Path) -> None:
    options = replace(TUNE, epochs=2, unlabelled=str(few / "images"), hidden=8, dropout=0.5, optimizer="sgd")
    tuned(data, tmp_path / "whole", options)
    with pytest.raises(Killed):
        tuned(data, tmp_path / "killed", options, die="epoch 2 of 2")
    tuned(data, tmp_path / "killed", options, resume=True)
    whole, killed = (checkpoints.restore(tmp_path / name) for name in ("whole", "killed"))
    assert whole is not None and killed is not None
    for key, value in whole.network.items():
        assert torch.equal(value, killed.network[key]), key
    kept = backbone_state(tmp_path / "whole" / "backbone.safetensors")
    name = "blocks.14.bn2.weight"
    if checkpoints.best(whole.history) is whole.history[-1]:
        assert torch.equal(kept[name], whole.network[f"teacher.backbone.{name}"])
    assert not torch.equal(kept[name], whole.network[f"backbone.{name}"])
    note = backbone_note(tmp_path / "whole" / "backbone.safetensors")
    assert "A mean teacher also learned from 28 images" in note
    assert str(few) not in note


def test_too_few_images_without_labels_are_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no folder .* of images without labels"):
        tuned(data, tmp_path / "run", replace(TUNE, unlabelled=str(tmp_path / "nothing")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="has 0 images: a mean teacher needs at least a batch of 8"):
        tuned(data, tmp_path / "run", replace(TUNE, unlabelled=str(tmp_path / "empty")))
    assert not (tmp_path / "run").exists()
