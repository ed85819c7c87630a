"""A worker process says in the ledger whether it can analyse, and tries again what could not be loaded."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from models.errors import DeviceError, ModelsError
from models.prediction import Model
from node.ledger import workers
from node.ledger.engine import Ledger
from node.ledger.workers import Readiness
from node.settings import Models, Settings
from tests.workers.study_phantoms import TinyModel
from workers import model_set
from workers.heartbeat import Heartbeat
from workers.model_set import ModelSet, PredictionFailed

Beats = Callable[..., Heartbeat]


@pytest.fixture
def models(settings: Settings) -> ModelSet:
    made = ModelSet(settings.model_copy(update={"models": Models(packages=("tiny",), device="cuda")}))
    made.loaded["tiny"] = TinyModel()
    return made


def readiness(ledger: Ledger) -> tuple[str, str]:
    with ledger.read() as connection:
        (state,) = workers.states(connection, time.time())
    return state.readiness, state.reason


def test_it_is_not_ready_while_it_loads_and_then_says_how_that_went(
    ledger: Ledger, models: ModelSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    heart = Heartbeat("here:1", ledger, models)
    heart.begin()
    assert readiness(ledger) == (Readiness.NOT_READY, "it loads its model packages")
    assert heart.step() == workers.BEAT
    assert readiness(ledger) == (Readiness.READY, "")
    broken, now = True, [time.time()]

    def load(_name: str, _settings: Settings) -> tuple[Model, str]:
        if broken:
            raise ModelsError("torn")
        return TinyModel(), "it runs on the CPU"

    monkeypatch.setattr(model_set, "load", load)
    models._clock = lambda: now[0]
    models.loaded.clear()
    heart.step()
    assert readiness(ledger) == (Readiness.NOT_READY, "the model package tiny cannot be used: torn")
    broken = False
    heart.step()
    assert readiness(ledger)[0] == Readiness.NOT_READY  # its pause is not over
    now[0] += 10
    heart.step()
    assert readiness(ledger) == (Readiness.READY, "it runs on the CPU")
    heart.end()
    with ledger.read() as connection:
        assert workers.states(connection, time.time()) == []


def test_where_the_gpu_is_lost_the_process_ends_but_not_within_a_study(ledger: Ledger, models: ModelSet) -> None:
    ended: list[int] = []

    def fail() -> None:
        raise DeviceError("the GPU fell off the bus")

    models.loaded["tiny"] = TinyModel(before=fail)
    heart = Heartbeat("here:1", ledger, models, ended.append)
    assert models.blamed(PredictionFailed("tiny", DeviceError("the GPU fell off the bus")), "1.2.3")
    with heart.working():
        heart.step()
    assert ended == []
    heart.step()
    assert ended == [1]
    assert readiness(ledger) == (
        Readiness.NOT_READY, "the model package tiny cannot be used: the GPU fell off the bus",
    )  # fmt: skip
