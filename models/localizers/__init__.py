"""Localizers: one method a file, one protocol. A new one is a file and its line in `models.packages.LOCALIZERS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Localizer"]


class Localizer(Protocol):
    """What a package's method does with one checked input; all labels in one pass."""

    def localize(
        self, image: NDArray[np.float32], spacing: tuple[float, ...] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (L,) before calibration and raw saliency (L, h, w) or (L, d, h, w), as `Prediction` describes them.

        `image` and `spacing` are as `Model.predict` describes them; whoever loads the package has checked them.
        """
        ...
