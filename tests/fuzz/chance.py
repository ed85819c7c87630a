"""Inputs by chance: right ones with a few bytes changed, and how the tests draw theirs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from hypothesis import settings

INTERESTING = (b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xfe\xff\xdd\xe0")


def changed(seeds: Sequence[bytes], chance: random.Random) -> Iterator[bytes]:
    """One after the other, without end; the same seed of chance gives the same ones."""
    while True:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 8)):
            _change(data, chance)
        yield bytes(data)


def _change(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    kind = chance.randrange(5)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        new = chance.choice(INTERESTING)
        data[at : at + len(new)] = new
    elif kind == 2:
        del data[at : at + chance.choice((1, 2, 4, 64))]
    elif kind == 3:
        data[at:at] = data[at : at + chance.choice((1, 8, 64))]
    elif chance.random() < 0.1:
        del data[at:]


TRIES = settings(derandomize=True, database=None, deadline=None, max_examples=150)
"""The same inputs in every run."""
