"""Optimizer, schedule, precision, hidden layer, weights of sources and augmentation of a run."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.augmentation import Augmentation
from models.card import Card
from models.cardfile import card_text, read_card
from models.errors import CardError, PackageError, RunError
from models.learning import checkpoints, loop
from models.learning.finetune import Finetuning, read_split
from models.learning.options import FinetuneOptions, PretrainOptions, sentence
from models.learning.sampling import endless, source_weights
from models.learning.schedule import factor, plateau_factor
from models.networks.modules.backbone_file import backbone_note, imagenet_weights
from models.networks.modules.hidden import HiddenNetwork
from tests.models import phantoms
from tests.models.learning.runs import CPU, TUNE, Killed, tuned

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)


def learner(data: Path, options: FinetuneOptions = TUNE, like: Card | None = None) -> Finetuning:
    split = read_split(data, ["Disc", "Half"], options.seed)
    return Finetuning(split, like or phantoms.card(), options, imagenet_weights(), CPU)


def test_the_rate_falls_to_a_tenth_wherever_the_score_stands_still() -> None:
    def at(*scores: float, step: int = 50) -> float:
        return plateau_factor(step, 100, 0.1, scores, 2)

    assert at() == 1.0
    assert at(0.5, 0.6, 0.6) == 1.0
    assert at(0.5, 0.6, 0.6, 0.4) == pytest.approx(0.1)
    assert at(0.5, 0.6, 0.6, 0.4, 0.5) == pytest.approx(0.1)
    assert at(0.5, 0.6, 0.6, 0.4, 0.5, 0.5) == pytest.approx(0.01)
    assert at(0.5, 0.4, 0.4, 0.9, step=3) == factor(3, 100, 0.1)


def test_sgd_with_a_plateau_resumes_to_the_same_weights(data: Path, tmp_path: Path) -> None:
    options = replace(
        TUNE, epochs=2, optimizer="sgd", schedule="plateau", plateau=1, dropout=0.3, source_weights="A=3,B=1"
    )
    tuned(data, tmp_path / "whole", options)
    with pytest.raises(Killed):
        tuned(data, tmp_path / "killed", options, die="epoch 2 of 2")
    tuned(data, tmp_path / "killed", options, resume=True)
    whole, killed = (checkpoints.restore(tmp_path / name) for name in ("whole", "killed"))
    assert whole is not None and killed is not None
    assert whole.history == killed.history
    for key, value in whole.network.items():
        assert torch.equal(value, killed.network[key]), key
    assert "momentum_buffer" in whole.optimizer["state"][0]
    with pytest.raises(RunError, match="schedule was 'plateau' and is 'cosine'"):
        tuned(data, tmp_path / "killed", replace(options, schedule="cosine"), resume=True)


def test_every_option_is_in_the_record_and_in_the_words_for_the_card(data: Path, tmp_path: Path) -> None:
    options = replace(TUNE, epochs=1, source_weights="equal", hidden=3)
    tuned(data, tmp_path, options)
    record = json.loads((tmp_path / "run.json").read_text())
    assert set(record["options"]) == {field.name for field in fields(FinetuneOptions)}
    assert record["augmentation"]["rotate"] == 7
    note = backbone_note(tmp_path / "backbone.safetensors")
    for words in ("optimizer adamw", "schedule cosine", "precision fp32", "source weights equal", "hidden 3"):
        assert words in note
    named = sentence(PretrainOptions(size=(96, 96)))
    assert all(field.name.replace("_", " ") in named for field in fields(PretrainOptions))


def test_bf16_is_near_fp32(data: Path) -> None:
    exact, mixed = learner(data), learner(data, replace(TUNE, precision="bf16"))
    for one in (exact, mixed):
        torch.nn.init.normal_(one.network.head.weight, std=0.05, generator=torch.Generator().manual_seed(0))
    wanted, loss = (next(one.losses(0)) for one in (exact, mixed))
    assert loss.dtype == torch.float32
    assert float((loss - wanted).detach()) != 0
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=0.05)
    features = mixed.network.features(torch.randn(2, 3, 96, 96))[-1]
    assert features.dtype == torch.float32  # outside of autocast nothing changed
    loss.backward()  # type: ignore[no-untyped-call]
    assert mixed.network.head.weight.grad is not None
    assert mixed.network.head.weight.grad.dtype == torch.float32


def test_bf16_uses_bfloat16(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed, seen = learner(data, replace(TUNE, precision="bf16")), set[torch.dtype]()
    classify = mixed.network.classify
    monkeypatch.setattr(mixed.network, "classify", lambda x: (seen.add(x[-1].dtype), classify(x))[1])
    next(mixed.losses(0))
    assert seen == {torch.bfloat16}


def test_a_hidden_layer_drops_while_it_learns_alone(data: Path) -> None:
    tuning = learner(data, replace(TUNE, hidden=16, dropout=0.5))
    network = tuning.network
    assert isinstance(network, HiddenNetwork)
    assert tuning.evaluate().score == 0.5  # a new head knows frequencies alone
    torch.nn.init.normal_(network.head.weight)
    x = torch.randn(4, 3, 96, 96)
    network.learning(True)
    assert not torch.equal(network.classify(network.features(x)), network.classify(network.features(x)))
    network.learning(False)
    assert torch.equal(network.classify(network.features(x)), network.classify(network.features(x)))
    assert [len(layer.weight) for layer in network.modules() if isinstance(layer, torch.nn.Linear)] == [16, 2]
    assert isinstance(loop._optimizer(network, replace(TUNE, optimizer="sgd")), torch.optim.SGD)


def test_sources_weigh_as_they_are_given() -> None:
    sources = np.array(["A"] * 6 + ["B"] * 2)
    np.testing.assert_allclose(source_weights(sources, {}), [1 / 12] * 6 + [1 / 4] * 2)
    np.testing.assert_allclose(source_weights(sources, {"B": 3.0}), [1 / 12] * 6 + [3 / 12] * 2)


def test_other_sources_than_there_are_are_named(data: Path) -> None:
    with pytest.raises(RunError, match=r"No image is of the source C; labels\.csv has: A, B\."):
        learner(data, replace(TUNE, source_weights="C=2"))
    for wrong in ("A", "A=0", "A=x", "=2"):
        with pytest.raises(RunError, match="are no equal, nor A=2,B=1"):
            replace(TUNE, source_weights=wrong)


def test_wrong_options_are_named() -> None:
    for wrong, sentence_ in (
        ({"optimizer": "lion"}, "no optimizer named 'lion'; there are: adamw, sgd"),
        ({"schedule": "step"}, "no schedule named 'step'; there are: cosine, plateau"),
        ({"precision": "fp8"}, "no precision named 'fp8'; there are: fp32, bf16"),
        ({"plateau": 0}, "A plateau must be at least one epoch"),
        ({"dropout": 1.0}, "from 0 to below 1"),
        ({"hidden": 4, "attention": "cbam"}, "CBAM has a head of its own"),
        ({"decay": 1.0}, "decay must be from 0 to below 1"),
    ):
        with pytest.raises(RunError, match=sentence_):
            replace(TUNE, **wrong)  # type: ignore[arg-type]


def test_batches_go_on_for_as_many_steps_as_are_asked() -> None:
    order = endless(10, 4, 0, 1, 7)
    assert [len(batch) for batch in order] == [4] * 7
    assert order == endless(10, 4, 0, 1, 7) != endless(10, 4, 0, 2, 7)
    assert {draw.row for batch in order for draw in batch} == set(range(10))


def test_the_card_says_how_far_images_are_changed(data: Path, tmp_path: Path) -> None:
    table = Augmentation(rotate=0, shift=0, scale=0, flip=True, contrast=0, gamma=1, noise=0, cutout=0)
    like = phantoms.card().model_copy(update={"augmentation": table})
    (tmp_path / "card.toml").write_text(card_text(like), encoding="utf-8")
    assert read_card(tmp_path / "card.toml") == like
    views = learner(data, like=like).views
    image = np.tile(np.linspace(0, 1, 96, dtype=np.float32), (96, 1))
    kept = [bool(torch.allclose(views.augment(image, seed), torch.from_numpy(image), atol=0.02)) for seed in range(20)]
    turned = torch.from_numpy(image[:, ::-1].copy())
    mirrored = [bool(torch.allclose(views.augment(image, seed), turned, atol=0.02)) for seed in range(20)]
    assert any(kept) and any(mirrored)
    assert all(one != other for one, other in zip(kept, mirrored, strict=True))
    (tmp_path / "card.toml").write_text(card_text(like).replace("flip = true", "mirror = true"), encoding="utf-8")
    with pytest.raises(CardError, match=r"augmentation\.mirror is not a key of a card"):
        read_card(tmp_path / "card.toml")


def test_shear_moves_rows_against_each_other() -> None:
    from models.learning.augment import augmentation

    still = {"rotate": 0, "shift": 0, "scale": 0, "contrast": 0, "gamma": 1, "noise": 0, "cutout": 0}
    image = np.zeros((64, 64), np.float32)
    image[:, 30:34] = 1.0
    sheared = augmentation(Augmentation.model_validate(still | {"shear": 0.3}), (64, 64))
    tilt = [
        abs(float(np.argmax(one[8])) - float(np.argmax(one[55])))
        for one in (sheared(image, seed).numpy() for seed in range(8))
    ]
    assert max(tilt) > 4
