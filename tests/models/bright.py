"""A package without a network: its localizer finds brightness. All else is what is shipped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.card import Calibration
from models.loaded import LoadedModel
from models.localizers.registry import Localized
from tests.models import phantoms

CELLS = 32


class Bright:
    """Maps (2, 32, 32): mean brightness of each cell for Disc, of the cell less that of its opposite row for Half."""

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits: the brightest cell's, and the upper half's over the lower's."""
        side = image.shape[0] // CELLS
        cells = image.reshape(CELLS, side, CELLS, side).mean((1, 3))
        maps = np.stack([cells, cells - cells[::-1]]).astype(np.float32)
        return Localized(np.array([np.quantile(cells, 0.985) - 0.6, maps[1, : CELLS // 2].mean()], np.float32), maps)


class UpsideDown(Bright):
    """The same, with maps upside down."""

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits and maps, the rows of the maps the other way round."""
        logits, maps, *_ = super().localize(image, spacing)
        return Localized(logits, np.ascontiguousarray(maps[:, ::-1]))


def upside_down() -> LoadedModel:
    """A package with the labels in another order, whose maps are upside down."""
    given = model()
    labels = given.card.labels[::-1]
    card = given.card.model_copy(update={"labels": labels, "version": "9.9.9"})
    return LoadedModel(card, "1" * 64, _Reversed())


class _Reversed(UpsideDown):
    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        logits, maps, *_ = super().localize(image, spacing)
        return Localized(logits[::-1].copy(), maps[::-1].copy())


def model() -> LoadedModel:
    """The phantom's card with thresholds that suit brightness."""
    card = phantoms.card()
    labels = tuple(
        label.model_copy(
            update={
                "operating_point": 0.5,
                "triage": None,
                "shows_regions": True,
                "region_of_peak": 0.0,
                "saliency_threshold": threshold,
                "smallest_region_fraction": 0.01,
                "calibration": Calibration(20.0, -1.0),
            }
        )
        for label, threshold in zip(card.labels, (0.62, 0.1), strict=True)
    )
    return LoadedModel(card.model_copy(update={"labels": labels}), "0" * 64, Bright())
