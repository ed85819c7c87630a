"""What `Package.input` was given, as the tables [input] and [network] of a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Number = float | Sequence[float]
Window = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Channels:
    """What the network's input is made of.

    Attributes
    ----------
    channels
        So many, all the same, or "rgb"; with windows there are as many as windows, where it is not 3 of one window.
    windows
        (centre, width) of each, in values of the image.
    mean, std
        Of all channels, or of each.
    """

    channels: int | Literal["rgb"]
    windows: tuple[Window, ...]
    mean: Number
    std: Number
    scaling: str

    @classmethod
    def of(
        cls, channels: int | Literal["rgb"], window: Window | Sequence[Window], mean: Number, std: Number, scaling: str
    ) -> Channels:
        """Of one window or several."""
        several: Any = [window] if window and not isinstance(window[0], Sequence) else window
        pairs = tuple((float(centre), float(width)) for centre, width in several)
        return cls(channels, pairs, mean, std, scaling)

    @property
    def count(self) -> int:
        """Channels of the network's input."""
        if self.channels == "rgb":
            return 3
        return len(self.windows) if len(self.windows) > 1 else self.channels

    @property
    def of_input(self) -> dict[str, Any]:
        """Keys of [input]."""
        return {"colour": "rgb" if self.channels == "rgb" else "grey", "windows": list(self.windows)}

    @property
    def of_network(self) -> dict[str, Any]:
        """Keys of [network]."""
        found: dict[str, Any] = {"channels": self.count, "scaling": self.scaling}
        if isinstance(self.mean, Sequence) or isinstance(self.std, Sequence):
            return found | {"mean": 0.0, "std": 1.0, "means": self._each(self.mean), "stds": self._each(self.std)}
        return found | {"mean": self.mean, "std": self.std}

    def _each(self, value: Number) -> list[float]:
        return list(value) if isinstance(value, Sequence) else [value] * self.count
