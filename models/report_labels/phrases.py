"""Phrases of words as the table writes them, and one matcher that finds them all in a sentence.

A phrase is words with spaces between them; case does not matter and a hyphen is a space. `one|other` is either word,
`effus*` any ending, `word?` may be missing, `...` stands for up to four words that no punctuation interrupts.
A Chinese character is a word of its own, with or without spaces: `左|右肺` is 左肺 or 右肺.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

T = TypeVar("T")

GAP = 4  # words that `...` may stand for
HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_TOKEN = re.compile(rf"[{HAN}]|[a-z0-9]+(?:'[a-z]+|(?<=[0-9])\.[0-9]+)?|[,;:()/、？]")
_PART = rf"(?:[{HAN}]|[a-z0-9']+(?:\.[0-9]+)?\*?)"
_WORD = re.compile(rf"{_PART}(?:\|{_PART})*\??|[,;:、？]|\.\.\.")
_BEFORE_HAN = re.compile(rf"(?<=[^\s|])(?=[{HAN}])")
_AFTER_HAN = re.compile(rf"(?<=[{HAN}])(?=[^\s|?])")
_WIDE = str.maketrans({"，": ",", "；": ";", "：": ":", "（": "(", "）": ")", "．": "."})


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A phrase found: words `start` up to, not including, `end` of the sentence."""

    start: int
    end: int
    value: T

    def overlaps(self, other: Found[T]) -> bool:
        """They share a word."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Element:
    """One place of a phrase: the words and beginnings of words that fit there."""

    words: frozenset[str]
    beginnings: tuple[str, ...]
    optional: bool
    gap: bool

    def fits(self, word: str) -> bool:
        """The word may stand here."""
        return word in self.words or (bool(self.beginnings) and word.startswith(self.beginnings))


def tokens(sentence: str) -> list[str]:
    """Words and the punctuation `, ; : ( ) / 、 ？` of a sentence, in lower case; wide , ; : ( ) are narrow ones."""
    return _TOKEN.findall(sentence.translate(_WIDE).lower())


def parse(phrase: str) -> tuple[Element, ...]:
    """The elements of a phrase.

    Raises
    ------
    ValueError
        A word is not in the form above, or the phrase has no word that must be there at its start.
    """
    words = _AFTER_HAN.sub(" ", _BEFORE_HAN.sub(" ", phrase.lower().replace("-", " "))).split()
    for word in words:
        if not _WORD.fullmatch(word):
            raise ValueError(f'"{word}" in the phrase "{phrase}" is no word: letters and digits, with | * ? or ...')
    elements = tuple(_element(word) for word in words)
    if not elements or elements[0].optional or elements[0].gap or elements[-1].gap:
        raise ValueError(f'the phrase "{phrase}" must begin with a word that is needed and end with a word')
    return elements


def _element(word: str) -> Element:
    parts = word.removesuffix("?").split("|")
    exact = frozenset(part for part in parts if not part.endswith("*"))
    beginnings = tuple(part[:-1] for part in parts if part.endswith("*"))
    return Element(exact, beginnings, optional=word.endswith("?"), gap=word == "...")


class Matcher(Generic[T]):
    """Finds many phrases at once; built once, it looks only at phrases that may begin with the word at hand."""

    def __init__(self, phrases: Iterable[tuple[str, T]]) -> None:
        self._exact: dict[str, list[tuple[tuple[Element, ...], T]]] = defaultdict(list)
        self._beginnings: list[tuple[str, tuple[tuple[Element, ...], T]]] = []
        self._elements: set[Element] = set()
        for phrase, value in phrases:
            elements = parse(phrase)
            self._elements.update(elements)
            for word in elements[0].words:
                self._exact[word].append((elements[1:], value))
            self._beginnings += [(beginning, (elements[1:], value)) for beginning in elements[0].beginnings]
        self._beginning_with = cache(self._look_up)
        self.knows = cache(self._knows)

    def find(self, words: Sequence[str]) -> list[Found[T]]:
        """Every phrase wherever it begins, each as long as it can be there."""
        found = []
        for start, word in enumerate(words):
            for elements, value in self._beginning_with(word):
                end = _end(elements, words, start + 1)
                if end:
                    found.append(Found(start, end, value))
        return found

    def _knows(self, word: str) -> bool:
        """Whether the word fits somewhere in a phrase."""
        return any(element.fits(word) for element in self._elements)

    def _look_up(self, word: str) -> tuple[tuple[tuple[Element, ...], T], ...]:
        longer = (phrase for beginning, phrase in self._beginnings if word.startswith(beginning))
        return (*self._exact.get(word, ()), *longer)


def _end(elements: tuple[Element, ...], words: Sequence[str], at: int) -> int:
    """Where the longest fit of `elements` from word `at` on ends; 0 where they do not fit."""
    if not elements:
        return at
    first, rest = elements[0], elements[1:]
    if first.gap:
        return max((_end(rest, words, after) for after in _gap_ends(words, at)), default=0)
    taken = _end(rest, words, at + 1) if at < len(words) and first.fits(words[at]) else 0
    return max(taken, _end(rest, words, at)) if first.optional else taken


def _gap_ends(words: Sequence[str], at: int) -> Iterable[int]:
    yield at
    for after in range(at, min(at + GAP, len(words))):
        if not words[after][0].isalnum():
            return
        yield after + 1
