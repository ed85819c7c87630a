from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from models.anatomy.lungs import lungs_of
from models.data.pairs import read_pairs
from models.data.scaling import scaled
from models.fitting import lungs
from models.fitting.lungs import MaskTask, confident_mask, fit, standardized
from models.metrics.masks import dice
from tests.models.anatomy.phantoms import LEFT, RIGHT, ellipse, probability
from tests.models.mask_phantoms import SIDE, radiograph, write_folder

Steps = list[tuple[str, int, int]]


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MaskTask:
    """Few steps; two images without masks, of which one is noise."""
    monkeypatch.setattr(lungs, "FIRST", (40, 20))
    monkeypatch.setattr(lungs, "SECOND", (2, 2))
    rng = np.random.default_rng(1)
    unmarked = (tmp_path / "chest.png", tmp_path / "noise.png")
    for path, image in zip(unmarked, (radiograph(rng)[0], rng.integers(0, 255, (SIDE, SIDE))), strict=True):
        Image.fromarray(image.astype(np.uint8)).save(path)
    pairs = read_pairs(write_folder(tmp_path / "lungs"), "train")
    return MaskTask(pairs, unmarked, SIDE, 0, lambda *step: None)


def test_it_learns_what_a_lung_is(task: MaskTask) -> None:
    found = fit(task)
    assert found.unmarked == 2
    assert found.confident <= 1
    image, mask = radiograph(np.random.default_rng(9))
    x = torch.from_numpy(image)[None, None].float() / 255
    with torch.inference_mode():
        probability = found.module(standardized(x)).sigmoid()[0, 0].numpy()
    assert dice(lungs_of(probability).both, mask) > 0.85


def variants() -> NDArray[np.float32]:
    return np.stack([probability()] * 4)


def test_a_mask_that_all_variants_agree_on_is_believed() -> None:
    mask = confident_mask(variants(), 160)
    assert mask is not None
    assert mask.shape == (160, 160)
    assert (mask.max(), mask.min()) == (round(255 * 0.95), round(255 * 0.02))


@pytest.mark.parametrize("fault", ["one lung", "other size", "notch", "other part", "disagreement"])
def test_a_mask_with_a_fault_is_not_believed(fault: str) -> None:
    found = variants()
    faulty = {
        "one lung": probability(ellipse(RIGHT)),
        "other size": probability(ellipse(RIGHT), ellipse((62.0, 90.0), (24.0, 14.0))),
        "notch": probability(ellipse(RIGHT), ellipse(LEFT) & ~ellipse((62.0, 100.0), (18.0, 16.0))),
        "other part": probability(ellipse(RIGHT), ellipse(LEFT), ellipse((115.0, 20.0), (10.0, 7.0))),
        "disagreement": probability(),
    }
    found[:] = faulty[fault]
    if fault == "disagreement":
        found[2] = np.roll(found[2], 6, axis=1)
    assert confident_mask(found, 160) is None


def test_the_same_seed_gives_the_same_weights_on_any_number_of_threads(
    task: MaskTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lungs, "FIRST", (2, 1))
    threads = torch.get_num_threads()
    states = []
    for count in (1, 2):
        torch.set_num_threads(count)
        states.append(fit(task).module.state_dict())
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_without_other_images_there_is_one_round(task: MaskTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lungs, "FIRST", (2, 1))
    steps = Steps()
    alone = MaskTask(task.pairs, (), SIDE, 0, lambda *step: steps.append(step))
    assert fit(alone).confident == 0
    assert steps == [("first round", number, 3) for number in (1, 2, 3)]


def test_training_sees_images_as_a_loaded_package_does() -> None:
    image = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    found = standardized(torch.from_numpy(image)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(found, scaled(image, "standard"), atol=1e-5)
    assert not standardized(torch.full((1, 1, 8, 8), 0.5)).any()
