"""Numbers with their noun, for people: one object, two objects."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """The number and the noun in its form: "1 study", "2 studies"."""
    if number == 1:
        return f"1 {noun}"
    ends_in_ies = noun.endswith("y") and noun[-2] not in "aeiou"
    return f"{number} {noun[:-1]}ies" if ends_in_ies else f"{number} {noun}s"
