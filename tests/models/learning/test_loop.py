"""The loop on a learner whose held-out scores are written down beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.errors import RunError
from models.learning.checkpoints import best
from models.learning.loop import BACKBONE, HeldOutFigures, finished, freeze, learn
from models.learning.options import FinetuneOptions
from models.networks.modules.backbone_file import backbone_note
from models.networks.modules.efficientnet_lite import EfficientNetLite0
from models.networks.modules.tapped import CamNetwork

OPTIONS = FinetuneOptions(size=(96, 96), epochs=6, freeze=2, patience=2, rate=0.01, head_rate=0.1)


class Told:
    """Adds to a bias of the backbone and the head in each step; scores and losses are those it is given."""

    steps = 2

    def __init__(self, scores: list[float], losses: list[float] | None = None) -> None:
        self.network = self.kept = CamNetwork((2,), 1)
        self.scores, self.held_out = scores, losses or [1.0] * len(scores)
        self.bias = self.network.backbone.blocks[2].get_parameter("bn2.bias")
        self.epoch, self.train, self.biases = -1, list[int](), list[Tensor]()

    def losses(self, epoch: int) -> Iterator[Tensor]:
        self.epoch = epoch
        for _ in range(self.steps):
            yield self.bias.sum() + self.network.head.bias.sum()

    def evaluate(self) -> HeldOutFigures:
        assert not self.network.training
        return HeldOutFigures(self.held_out[self.epoch], self.scores[self.epoch], {})

    def save_best(self, run: Path) -> None:
        self.train.append(self.epoch + 1)
        self.biases.append(self.bias.detach().clone())


def go(learner: Told, run: Path, options: FinetuneOptions = OPTIONS) -> int:
    return len(learn(learner, options, run, "as facts", lambda *step: None))


def test_it_stops_when_patience_ends_and_keeps_the_best(tmp_path: Path) -> None:
    learner = Told([0.6, 0.8, 0.7, 0.75, 0.9, 0.9])
    assert go(learner, tmp_path) == 4
    assert learner.train == [1, 2]
    stored = EfficientNetLite0((2,))
    stored.load_imagenet(tmp_path / BACKBONE)
    assert torch.equal(stored.blocks[2].get_parameter("bn2.bias"), learner.biases[-1])
    assert not torch.equal(learner.bias, learner.biases[-1])
    assert backbone_note(tmp_path / BACKBONE) == "as facts"


def test_it_goes_on_to_the_last_epoch_while_it_gets_better(tmp_path: Path) -> None:
    learner = Told([0.1, 0.2, 0.15, 0.3, 0.25, 0.4])
    assert go(learner, tmp_path) == 6
    assert learner.train == [1, 2, 4, 6]


def test_of_equal_scores_the_lower_loss_is_the_better(tmp_path: Path) -> None:
    learner = Told([0.8, 0.8, 0.8], [0.5, 0.4, 0.6])
    history = learn(learner, replace(OPTIONS, epochs=3), tmp_path, "", lambda *step: None)
    assert best(history).number == 2
    assert learner.train == [1, 2]
    assert finished(history, replace(OPTIONS, epochs=3))
    assert not finished(history, OPTIONS)


def test_what_is_frozen_stays_and_the_rest_moves(tmp_path: Path) -> None:
    learner = Told([0.5])
    before = {key: value.clone() for key, value in learner.network.state_dict().items()}
    learner.network.train()
    go(learner, tmp_path, replace(OPTIONS, epochs=1))
    after = learner.network.state_dict()
    moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert moved == {"backbone.blocks.2.bn2.bias", "head.bias"}
    assert not learner.network.training
    head = float((after["head.bias"] - before["head.bias"]).abs().max())
    tail = float((after["backbone.blocks.2.bn2.bias"] - before["backbone.blocks.2.bn2.bias"]).abs().max())
    assert head == pytest.approx(10 * tail, rel=1e-3)  # each has its own rate


def test_freeze_counts_blocks() -> None:
    network = CamNetwork((2,), 1)
    freeze(network, 0)
    assert all(parameter.requires_grad for parameter in network.parameters())
    freeze(network, 1)
    learned = {
        name.split(".")[1] + name.split(".")[2]
        for name, one in network.backbone.named_parameters(prefix="b")
        if one.requires_grad
    }
    assert learned == {"blocks1", "blocks2"}


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    learner = Told([0.5])
    learner.network.head.bias.data.fill_(torch.nan)
    with pytest.raises(RunError, match="The loss of epoch 1 is nan: give a smaller --rate"):
        go(learner, tmp_path)
    assert not list(tmp_path.iterdir())
