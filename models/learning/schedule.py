"""The learning rate of each step: a linear warm-up, then half a cosine down to 0."""

from __future__ import annotations

import math


def factor(step: int, steps: int, warmup: float) -> float:
    """Part of the peak rate in step 0 .. steps - 1, of which the part `warmup` is the warm-up.

    Loshchilov and Hutter, SGDR, ICLR 2017; Goyal et al., Accurate, Large Minibatch SGD, 2017.
    """
    warm = round(warmup * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
