"""Packages that cannot be used, each for another reason: said, tried again with pauses, and used when mended."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from safetensors.torch import load_file, save_file

from models import packages
from models.cardfile import card_text
from models.errors import DeviceError, InputError
from models.prediction import Model, Prediction
from node.settings import Models, Settings
from tests.workers.study_phantoms import TinyModel, radiograph
from workers.model_set import LONGEST_PAUSE, MOST_STUDIES, ModelSet, PredictionFailed

NAME = "test-image"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(packages.ZOO / "chest-xray", tmp_path / "models" / "chest-xray"))


def model_set(settings: Settings, clock: Clock, *names: str, device: str = "auto") -> ModelSet:
    models = Models(packages=names or ("chest-xray",), device=device)
    return ModelSet(settings.model_copy(update={"models": models}), clock)


def missing(folder: Path, _patch: pytest.MonkeyPatch) -> None:
    (folder / "weights.safetensors").unlink()


def corrupt(folder: Path, _patch: pytest.MonkeyPatch) -> None:
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "weights.safetensors").write_bytes(data)


def no_numbers(folder: Path, _patch: pytest.MonkeyPatch) -> None:
    """The network's, and the card's SHA-256 is that of the file: only a prediction tells."""
    path, card = folder / "weights.safetensors", packages.load_card(folder)
    weights = load_file(path)
    weights["bias"].fill_(float("nan"))
    save_file(weights, path)
    assert card.weights is not None
    changed = card.weights.model_copy(update={"sha256": packages.sha256(path)})
    (folder / "card.toml").write_text(card_text(card.model_copy(update={"weights": changed})), encoding="utf-8")


def card_broken(folder: Path, _patch: pytest.MonkeyPatch) -> None:
    (folder / "card.toml").write_text("name = ")


def folder_gone(folder: Path, _patch: pytest.MonkeyPatch) -> None:
    (folder / "card.toml").unlink()
    folder.rename(folder.with_name("other"))


def unreadable(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(packages.os, "access", lambda path, _mode: Path(path) != folder.parent)


def fails_to_load(error: Exception) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def break_it(_folder: Path, patch: pytest.MonkeyPatch) -> None:
        def load(*_: object) -> Model:
            raise error

        patch.setattr(packages, "load", load)

    return break_it


KINDS = {
    "weights missing": (missing, "weights.safetensors is missing"),
    "weights of another SHA-256": (corrupt, "not those that were measured"),
    "weights that are no numbers": (no_numbers, "probabilities that are no numbers"),
    "card broken": (card_broken, "cannot be read as TOML"),
    "folder unreadable": (unreadable, "cannot be read: permission denied"),
    "torch cannot be imported": (fails_to_load(ImportError("libcudart.so.12: cannot open")), "ImportError: libcudart"),
    "library of another machine": (fails_to_load(OSError("wrong ELF class")), "OSError: wrong ELF class"),
    "out of memory": (fails_to_load(MemoryError()), "MemoryError"),
}


@pytest.mark.parametrize(("break_it", "said"), KINDS.values(), ids=KINDS)
def test_a_package_that_cannot_be_loaded_is_said_and_used_when_it_is_mended(
    settings: Settings, clock: Clock, folder: Path, break_it: Callable[..., None], said: str
) -> None:
    models = model_set(settings, clock)
    with pytest.MonkeyPatch.context() as patch:
        break_it(folder, patch)
        models.refresh()
        assert list(models.faults) == ["chest-xray"]
        assert said in models.reason
        assert models.reason.startswith("the model package chest-xray cannot be used: ")
    shutil.rmtree(folder.parent)
    shutil.copytree(packages.ZOO / "chest-xray", folder)
    models.refresh()
    assert models.faults  # its pause is not over
    clock.now += 10
    models.refresh()
    assert (models.reason, list(models.loaded)) == ("", ["chest-xray"])


def test_the_pauses_grow(settings: Settings, clock: Clock) -> None:
    models, pauses = model_set(settings, clock, "nope"), []
    for _ in range(8):
        models.refresh()
        pauses.append(models.faults["nope"].again_at - clock.now)
        clock.now = models.faults["nope"].again_at
    assert 0.75 * 5 <= pauses[0] <= 1.25 * 5
    assert 0.75 * 15 <= pauses[1] <= 1.25 * 15
    assert 0.75 * LONGEST_PAUSE <= pauses[-1] <= 1.25 * LONGEST_PAUSE


def test_where_a_gpu_is_asked_for_and_there_is_none_the_package_waits(settings: Settings, clock: Clock) -> None:
    models = model_set(settings, clock, device="cuda:99")
    models.refresh()
    assert "The device 'cuda:99' cannot be used" in models.reason


def test_with_auto_the_cpu_is_used_and_that_is_said(
    settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_folder: Path, device: str) -> Model:
        if device == "auto":
            raise DeviceError("CUDA out of memory")
        return TinyModel()

    monkeypatch.setattr(packages, "load", load)
    models = model_set(settings, clock)
    models.refresh()
    assert (models.reason, models.faults) == ("the model package chest-xray runs on the CPU: CUDA out of memory", {})


def test_a_gpu_that_fails_later_is_replaced_by_the_cpu_within_the_study(
    settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise DeviceError("the GPU fell off the bus")

    models = model_set(settings, clock)
    models.loaded["chest-xray"] = TinyModel(before=fail)
    monkeypatch.setattr(packages, "load", lambda _folder, device: TinyModel() if device == "cpu" else None)
    (watched,) = models.models
    assert watched.predict(image()).labels == TinyModel().predict(image()).labels
    assert models.reason == "the model package chest-xray runs on the CPU: the GPU fell off the bus"
    assert not models.faults


def image(level: float = 0.0) -> NDArray[np.float32]:
    return np.full((64, 64), level, np.float32)


@dataclass(frozen=True)
class Picky(TinyModel):
    """Fails with all that is flat, but not with the ramp that it is tried with."""

    error: Exception = field(default_factory=ZeroDivisionError)

    def predict(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None = None) -> Prediction:
        if image.max() == image.min():
            raise self.error
        return super().predict(image, spacing)


def failure(models: ModelSet, study: str) -> bool:
    """Whether the package is blamed."""
    with pytest.raises(PredictionFailed) as failed:
        models.models[0].predict(image())
    return models.blamed(failed.value, study) is not None


def test_three_studies_in_a_row_set_a_package_aside(settings: Settings, clock: Clock) -> None:
    models = model_set(settings, clock, NAME)
    models.loaded[NAME] = Picky()
    assert [failure(models, study) for study in ("1.1", "1.1", "1.1", "1.2")] == [False] * 4
    assert failure(models, "1.3")
    assert models.reason.endswith(f"it failed with {MOST_STUDIES} studies in a row, last with ZeroDivisionError")
    first = models.faults[NAME].again_at
    models.loaded[NAME], models.faults = Picky(), {}  # its pause is over, and it could be loaded
    assert failure(models, "1.1")  # one more is enough
    assert models.faults[NAME].again_at - clock.now > 1.5 * (first - clock.now)  # and the pause grows
    models.loaded[NAME], models.faults = Picky(), {}
    models.models[0].predict(np.linspace(0, 1, 4096, dtype=np.float32).reshape(64, 64))  # of another study
    assert not failure(models, "1.1")


def test_an_input_that_a_package_does_not_take_is_no_failure(settings: Settings, clock: Clock) -> None:
    models = model_set(settings, clock, NAME)
    models.loaded[NAME] = Picky(error=InputError("too small"))
    with pytest.raises(InputError):
        models.models[0].predict(image())


def headers(tmp_path: Path, **attributes: object) -> list[Dataset]:
    return [dcmread(radiograph(tmp_path, size=(320, 256), **attributes))]


def test_only_what_it_was_made_for_waits_for_a_package(
    settings: Settings, clock: Clock, folder: Path, tmp_path: Path
) -> None:
    (folder / "weights.safetensors").unlink()
    models = model_set(settings, clock, "chest-ct", "chest-xray")
    models.refresh()
    assert models.fault_of(headers(tmp_path)) is models.faults["chest-xray"]
    assert models.fault_of(headers(tmp_path, Modality="MG")) is None
    assert [model.card.name for model in models.models] == ["chest-ct", "chest-xray"]
