"""The learning rate of each step: a linear warm-up, then half a cosine down to 0, or tenths at plateaus."""

from __future__ import annotations

import math
from collections.abc import Sequence

TENTH = 0.1


def factor(step: int, steps: int, warmup: float) -> float:
    """Part of the peak rate in step 0 .. steps - 1, of which the part `warmup` is the warm-up.

    Loshchilov and Hutter, SGDR, ICLR 2017; Goyal et al., Accurate, Large Minibatch SGD, 2017.
    """
    warm = round(warmup * steps)
    if step < warm:
        return _warming(step, warm)
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def plateau_factor(step: int, steps: int, warmup: float, scores: Sequence[float], wait: int) -> float:
    """The same for a rate that falls to a tenth whenever `wait` epochs in a row had no better score than before."""
    warm = round(warmup * steps)
    return _warming(step, warm) if step < warm else TENTH ** _plateaus(scores, wait)


def _warming(step: int, warm: int) -> float:
    return (step + 1) / (warm + 1)


def _plateaus(scores: Sequence[float], wait: int) -> int:
    best, still, count = -math.inf, 0, 0
    for score in scores:
        still = 0 if score > best else still + 1
        best = max(best, score)
        if still == wait:
            still, count = 0, count + 1
    return count
