from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from models.errors import PackageError, RunError
from models.learning import checkpoints
from models.learning.contrast.moco import MomentumPretraining
from models.learning.contrast.simclr import read_unlabelled
from models.learning.losses import info_nce
from models.networks.modules.backbone_file import backbone_note, imagenet_weights
from tests.models import phantoms
from tests.models.learning.runs import CONTRAST, CPU, Killed, contrasted

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)
MOCO = replace(CONTRAST, method="moco", queue=6, momentum=0.5)


def test_info_nce_is_cross_entropy_over_the_key_and_the_queue() -> None:
    torch.manual_seed(0)
    queries, keys, queue = (functional.normalize(torch.randn(count, 5), dim=1) for count in (3, 3, 7))
    expected = [
        -torch.log_softmax(torch.cat([query @ key[None].T, query @ queue.T]) / 0.2, 0)[0]
        for query, key in zip(queries, keys, strict=True)
    ]
    torch.testing.assert_close(info_nce(queries, keys, queue, 0.2), torch.stack(expected).mean())
    assert float(info_nce(keys, keys, -keys, 0.2)) < float(info_nce(-keys, keys, -keys, 0.2))


def test_the_queue_holds_the_newest_keys_and_the_network_of_keys_follows(few: Path) -> None:
    learner = MomentumPretraining(read_unlabelled(few, 0), phantoms.card(), MOCO, imagenet_weights(), CPU)
    before = learner.network.projection[0].weight.detach().clone()
    steps = learner.losses(0)
    next(steps)
    with torch.no_grad():
        learner.network.projection[0].weight.add_(1.0)  # stands for a step of the optimizer
    next(steps)
    torch.testing.assert_close(learner.keys.projection[0].weight, before + 0.5)
    assert int(learner.memory.get_buffer("filled")) == 4
    first = learner.memory.get_buffer("queue")[:4].clone()
    next(steps)
    assert int(learner.memory.get_buffer("filled")) == 6
    torch.testing.assert_close(learner.memory.get_buffer("queue")[4:], first[:2])
    assert all(not one.requires_grad for one in learner.keys.parameters())


def test_a_killed_run_ends_alike_queue_and_keys_included(few: Path, tmp_path: Path) -> None:
    contrasted(few, tmp_path / "whole", MOCO)
    with pytest.raises(Killed):
        contrasted(few, tmp_path / "killed", MOCO, die="epoch 2 of 2")
    contrasted(few, tmp_path / "killed", MOCO, resume=True)
    whole, killed = (checkpoints.restore(tmp_path / name) for name in ("whole", "killed"))
    assert whole is not None and killed is not None
    assert {"memory.queue", "memory.filled", "memory.keys.projection.0.weight"} <= set(whole.network)
    for key, value in whole.network.items():
        assert torch.equal(value, killed.network[key]), key
    note = backbone_note(tmp_path / "whole" / "backbone.safetensors")
    assert "by MoCo on" in note and "queue 6, momentum 0.5" in note


def test_wrong_options_are_named() -> None:
    for wrong, sentence in (
        ({"method": "byol"}, "no method named 'byol'; there are: simclr, moco"),
        ({"queue": 0}, "at least one key"),
        ({"momentum": 1.0}, "momentum must be from 0 to below 1"),
    ):
        with pytest.raises(RunError, match=sentence):
            replace(MOCO, **wrong)  # type: ignore[arg-type]
