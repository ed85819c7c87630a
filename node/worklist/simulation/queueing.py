"""Mean waiting times in a non-preemptive priority queue, by formula.

A. Cobham, Priority assignment in waiting line problems, Operations Research 2 (1954) 70-76: one server and any service
times, or several servers and one exponential service time (with Erlang's probability of waiting). For several servers
and other service times the latter times (1 + variation²) / 2, which is an approximation (Allen and Cunneen).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stream:
    """Poisson arrivals of one priority: `rate` an hour, service time's mean (hours) and second moment (hours²)."""

    rate: float
    mean: float
    second: float


def cobham(streams: Sequence[Stream], servers: int = 1) -> tuple[float, ...]:
    """Mean hours from arrival to the begin of service, for each stream, the most urgent first.

    Infinite where the streams down to this one offer more work than the servers can do. See `is_exact`.
    """
    residual = _residual(streams, servers)
    waits, above = [], 0.0
    for stream in streams:
        here = above + stream.rate * stream.mean / servers
        waits.append(residual / ((1 - above) * (1 - here)) if here < 1 else math.inf)
        above = here
    return tuple(waits)


def is_exact(streams: Sequence[Stream], servers: int) -> bool:
    """Whether `cobham` is a theorem for these streams, not an approximation."""
    one = {stream.mean for stream in streams}
    return servers == 1 or (len(one) == 1 and all(math.isclose(s.second, 2 * s.mean**2) for s in streams))


def _residual(streams: Sequence[Stream], servers: int) -> float:
    """Mean hours until the next server is free, seen by who arrives; who finds one free counts as 0."""
    work = sum(stream.rate * stream.second for stream in streams) / 2
    if servers == 1:
        return work
    load = sum(stream.rate * stream.mean for stream in streams)
    return erlang_c(servers, load) * work / load / servers if load else 0.0


def erlang_c(servers: int, load: float) -> float:
    """Probability that an arrival waits in M/M/c; `load` in Erlang (Erlang 1917). 1 where the load is too much."""
    if load >= servers:
        return 1.0
    blocked = 1.0  # Erlang B, by its recursion
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return servers * blocked / (servers - load * (1 - blocked))
