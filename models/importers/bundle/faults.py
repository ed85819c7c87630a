"""Every fault of what is read, gathered for one message."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from models.errors import PackageError

Given = ParamSpec("Given")
Value = TypeVar("Value")


class Faults:
    """Clauses in the order in which they were found."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def of(self, function: Callable[Given, Value], *given: Given.args, **named: Given.kwargs) -> Value | None:
        """What a function returns; None where it raises a PackageError, which is kept."""
        try:
            return function(*given, **named)
        except PackageError as error:
            self.found.append(str(error).rstrip("."))
            return None
