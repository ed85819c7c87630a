"""The learning rate of each step: a linear rise, then half a cosine down to 0."""

from __future__ import annotations

import math


def factor(step: int, steps: int, warmup: float) -> float:
    """Part of the peak rate in step 0 .. steps - 1, of which the part `warmup` is the rise.

    Loshchilov and Hutter, SGDR, ICLR 2017; Goyal et al., Accurate, Large Minibatch SGD, 2017.
    """
    rise = round(warmup * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
