"""The pause before something that failed is tried again: it grows, and no two failures wait equally long."""

from __future__ import annotations

import random

FIRST_PAUSE = 5.0  # seconds
LONGEST_PAUSE = 6 * 3600.0


def pause_after(attempts: int, jitter: float | None = None, longest: float = LONGEST_PAUSE) -> float:
    """Seconds to wait after the given number of failed attempts: 5, 15, 45, … up to `longest`, times 0.75 to 1.25.

    `jitter` is in 0..1, by default at random, so that peers that failed together are not all tried again together.
    """
    chance = random.random() if jitter is None else jitter  # noqa: S311
    return float(min(FIRST_PAUSE * 3 ** min(attempts - 1, 20), longest)) * (0.75 + 0.5 * chance)
