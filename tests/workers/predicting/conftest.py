"""A worker of a test: the real task with small models, notified in a thread as Redis would."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from models import packages
from models.card import Card
from models.prediction import Model, Prediction
from node.predicting.predictions import Predictions
from node.settings import Limits, Models, Settings
from tests.node.web.conftest import Serve, Site, serve
from tests.workers import results_phantoms
from workers.inputs.decoding.decoder import Decoder
from workers.model_set import ModelSet
from workers.predicting.predictor import Predictor

__all__ = ["serve"]
Work = Callable[..., Site]


def volume_card() -> Card:
    label = results_phantoms.card("volume").labels[0]
    bright = label.model_copy(update={"saliency_threshold": 0.5, "region_of_peak": 0.0, "smallest_region_mm3": 0.0})
    return results_phantoms.card("volume").model_copy(update={"labels": (bright,)})


@dataclass(frozen=True, slots=True)
class SeesBright:
    """A model of volumes: its saliency map is 1 where the volume is denser than 100 HU, in the model's own axes."""

    digest: str = "e" * 64
    card: Card = field(default_factory=volume_card)

    def predict(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None = None) -> Prediction:
        dense = (image > 100).astype(np.float32)[None]
        found = np.array([0.9 if dense.any() else 0.1], np.float32)
        return Prediction((self.card.labels[0].name,), found, found, dense)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(largest_bytes=1 << 26) as made:
        yield made


@pytest.fixture(scope="module")
def chest() -> Model:
    """The shipped package of chest radiographs."""
    return packages.load(packages.find("chest-xray", ()), "cpu")


@pytest.fixture
def work(serve: Serve, settings: Settings, decoder: Decoder) -> Iterator[Work]:
    """Serve `/predict` with a worker that has these models."""
    with ExitStack() as stack:

        def work(*models: Model, limits: Limits | None = None, **keys: object) -> Site:
            names = tuple(model.card.name for model in models)
            own = settings.model_copy(update={"models": Models(packages=names), "limits": limits or Limits()})
            loaded = ModelSet(own)
            loaded.loaded |= {model.card.name: model for model in models}
            predictor, one_at_a_time = Predictor(own, loaded, lambda: decoder), threading.Lock()

            def run(*named: object) -> None:
                with one_at_a_time:
                    predictor.run(*named)  # type: ignore[arg-type]

            def notify(name: str, package: str, maps: bool, pictures: bool, _seconds: float) -> None:
                thread = threading.Thread(target=run, args=(name, package, maps, pictures))
                thread.start()
                stack.callback(thread.join)

            predictions = Predictions(own, notify)
            predictions.spool.prepare()
            site = serve(predictions=predictions, **keys)
            stack.callback(_nothing_is_left, predictions)
            return site

        yield work


def _nothing_is_left(predictions: Predictions) -> None:
    assert list(predictions.spool.folder.iterdir()) == []
