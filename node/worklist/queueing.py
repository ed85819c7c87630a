"""Mean waiting times in a non-preemptive priority queue, by formula.

A. Cobham, Priority assignment in waiting line problems, Operations Research 2 (1954) 70-76, for one server; with several
servers and one exponential service time the same paper's second result, with Erlang's probability of waiting.
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

    Infinite where the streams down to this one offer more work than the servers can do.

    Raises
    ------
    ValueError
        Several servers, and streams whose service times are not one exponential distribution: there is no such formula.
    """
    if servers > 1 and not _one_exponential(streams):
        raise ValueError("with several readers the formula holds for one exponential reading time only")
    residual = _residual(streams, servers)
    waits, above = [], 0.0
    for stream in streams:
        here = above + stream.rate * stream.mean / servers
        waits.append(residual / ((1 - above) * (1 - here)) if here < 1 else math.inf)
        above = here
    return tuple(waits)


def _residual(streams: Sequence[Stream], servers: int) -> float:
    """Mean hours until the next server is free, seen by who arrives; 0 weighs those who find one free."""
    if servers == 1:
        return sum(stream.rate * stream.second for stream in streams) / 2
    mean = streams[0].mean
    load = sum(stream.rate for stream in streams) * mean
    return erlang_c(servers, load) * mean / servers


def erlang_c(servers: int, load: float) -> float:
    """Probability that an arrival waits in M/M/c; `load` in Erlang (Erlang 1917). 1 where the load is too much."""
    if load >= servers:
        return 1.0
    blocked = 1.0  # Erlang B, by its recursion
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return servers * blocked / (servers - load * (1 - blocked))


def _one_exponential(streams: Sequence[Stream]) -> bool:
    means = {stream.mean for stream in streams}
    return len(means) == 1 and all(math.isclose(stream.second, 2 * stream.mean**2) for stream in streams)
