"""Files of the corpus: each once made something go wrong, and is named by what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"


def replayed(target: str) -> Iterator[bytes]:
    """The inputs of one target."""
    for path in sorted((FOLDER / target).glob("*")):
        yield path.read_bytes()
