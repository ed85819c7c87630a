"""Whether an exported file computes what the package computes, and how long each takes, on the same inputs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import probabilities_of
from models.data.scaling import scaled
from models.exporters.formats import Run
from models.exporters.traced import Exportee

Floats = NDArray[np.float32]
TOLERANCE = 1e-4  # of the largest value of an output, or of 1 where that is smaller
TIMED_RUNS = 5


@dataclass(frozen=True, slots=True)
class Parity:
    """A file beside the package.

    Attributes
    ----------
    differences
        The largest of each output, absolute, over all inputs.
    relative
        The same by the largest value of the output, or by 1 where that is smaller.
    own_ms, file_ms
        Median time of an input, interleaved in one process with the same number of threads.
    """

    inputs: int
    differences: dict[str, float]
    relative: dict[str, float]
    own_ms: float
    file_ms: float

    @property
    def holds(self) -> bool:
        """Whether every output is within `TOLERANCE`."""
        return all(one <= TOLERANCE for one in self.relative.values())

    @property
    def worst(self) -> str:
        """The output that differs most."""
        return max(self.relative, key=lambda name: self.relative[name])

    def as_json(self) -> dict[str, Any]:
        """For the description beside the file."""
        return asdict(self) | {"tolerance": TOLERANCE, "holds": self.holds, "speed_ratio": self.own_ms / self.file_ms}


def own(given: Exportee, x: Floats) -> tuple[Floats, ...]:
    """What the package itself makes of an input, in the order of the file's outputs."""
    card = given.model.card
    scaling = card.network.scaling if card.network and card.input.kind == "image" else "none"
    found = dict(zip(given.graph.outputs, given.graph.own(scaled(x, scaling)), strict=True))
    if "probabilities" in given.outputs:
        found["probabilities"] = probabilities_of(card, found["logits"])
    return tuple(found[name] for name in given.outputs)


def compared(
    given: Exportee, run: Run, inputs: Sequence[Floats], clock: Callable[[], float] = time.perf_counter
) -> Parity:
    """Both on each input, in turn; times are of the runs after the first."""
    names = list(given.outputs)
    differences, relative, own_times, file_times = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0), [], []
    for x in inputs:
        for _ in range(max(2, TIMED_RUNS // len(inputs))):
            start = clock()
            ours = own(given, x)
            middle = clock()
            theirs = run(x)
            own_times.append(middle - start)
            file_times.append(clock() - middle)
        for name, one, other in zip(names, ours, theirs, strict=True):
            if one.shape != other.shape or not np.isfinite(other).all():
                differences[name] = relative[name] = float("inf")
                continue
            away = float(np.abs(one - other).max())
            differences[name] = max(differences[name], away)
            relative[name] = max(relative[name], away / max(1.0, float(np.abs(one).max())))
    own_ms, file_ms = (1000 * statistics.median(times[1:]) for times in (own_times, file_times))
    return Parity(len(inputs), differences, relative, own_ms, file_ms)
