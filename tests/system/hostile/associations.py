"""Negotiation oddities, broken PDUs and those of chance, work item commands over DICOM."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.fuzz import wire
from tests.fuzz.caller import play
from tests.fuzz.cases import REQUESTS, STREAMS, WORK_ITEMS, Case
from tests.fuzz.chance import changed
from tests.fuzz.seeds import SEEDS
from tests.node.upperlayer.test_negotiation import TOLERATED
from tests.system.hostile.kind import Answer, Kind, first, spread
from tests.system.hostile.limited import Site
from tests.system.hostile.raw import requests

_SEED = 13


def _negotiated(site: Site, most: int) -> Iterator[Answer]:
    for name, request in spread(list(TOLERATED.items()), most):
        answer = requests(site, request)
        yield Answer(name, answer, answer == "AC")


def _cases(site: Site, cases: Sequence[Case]) -> Iterator[Answer]:
    for case in cases:
        words = tuple(play(site.house.port, case))
        yield Answer(case.name, words[-1], words == case.ends)


def _requested(site: Site, most: int) -> Iterator[Answer]:
    yield from _cases(site, spread(REQUESTS, most))


def _streamed(site: Site, most: int) -> Iterator[Answer]:
    yield from _cases(site, spread(STREAMS, most))


def _commanded(site: Site, most: int) -> Iterator[Answer]:
    yield from _cases(site, spread(WORK_ITEMS, most))


def _by_chance(site: Site, most: int) -> Iterator[Answer]:
    """An odd first byte is for a stream within an association, see `tests.fuzz.targets`."""
    seeds = list(SEEDS["association"].values())
    for number, data in enumerate(first(changed(seeds, random.Random(_SEED)), most)):
        within = data[:1] and data[0] & 1
        sends = (wire.association_request(), data[1:]) if within else (data[1:],)
        yield Answer(str(number), requests(site, *sends, ended=True))


KINDS = (
    Kind("association negotiation", _negotiated, few=8),
    Kind("first PDUs", _requested, few=8),
    Kind("PDUs and commands", _streamed, few=8),
    Kind("PDUs by chance", _by_chance, few=30, many=500),
    Kind("work items over DICOM", _commanded, few=3),
)
