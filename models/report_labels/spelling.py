"""Slips of the keyboard: a long word that is one letter off a word of the table is read as that word."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from models.report_labels.phrases import Element

SHORTEST = 8  # letters; shorter words have neighbours that mean something ("fusion", "module")


class Speller:
    """Corrects words towards the long words of a table; those that the table knows stay as they are."""

    def __init__(self, elements: Iterable[Element], right: Iterable[str] = ()) -> None:
        self._right = frozenset(right)
        self._elements = tuple(elements)
        exact = {word for element in self._elements for word in element.words}
        beginnings = {word for element in self._elements for word in element.beginnings}
        self._exact = tuple(sorted(word for word in exact if len(word) >= SHORTEST))
        self._beginnings = tuple(sorted(word for word in beginnings if len(word) >= SHORTEST))
        self.correct = cache(self._correct)

    def _correct(self, word: str) -> str:
        """The word itself, or the word of the table that it is one letter off."""
        if len(word) < SHORTEST - 1 or word in self._right or any(element.fits(word) for element in self._elements):
            return word
        for known in self._exact:
            if one_off(word, known):
                return known
        for known in self._beginnings:
            for length in (len(known), len(known) - 1, len(known) + 1):
                if one_off(word[:length], known):
                    return known + word[length:]
        return word


def one_off(word: str, known: str) -> bool:
    """One letter too much, too few, another, or two that changed places; the first letter is right (Damerau 1964)."""
    if word[:1] != known[:1] or abs(len(word) - len(known)) > 1 or word == known:
        return False
    same = next((at for at, (one, other) in enumerate(zip(word, known, strict=False)) if one != other), len(known))
    rest, right = word[same:], known[same:]
    swapped = rest[:2] == right[:2][::-1] and rest[2:] == right[2:]
    return swapped or rest[1:] == right[1:] or rest[1:] == right or rest == right[1:]
