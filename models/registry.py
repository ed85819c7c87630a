"""Names that each file registers where it stands: those of a folder of ours, and a user's own by entry point."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeVar

from models.errors import PackageError


class Named(Protocol):
    """What is registered."""

    @property
    def name(self) -> str:
        """As a card writes it."""
        ...


Entry = TypeVar("Entry", bound=Named)
Function = TypeVar("Function")
Facts = ParamSpec("Facts")


class Registry(Generic[Entry, Function, Facts]):
    """Entries of one kind by name.

    The modules of the folder are imported whenever names are wanted, so they import torch and the like inside their
    functions. A folder in it is imported, too: its `__init__` imports those of its modules that register themselves.
    The module of an entry point, which has the entry's name, is imported when that name is wanted.

    Parameters
    ----------
    kind
        In messages: "localizer".
    folder
        The package whose modules register themselves.
    group
        Of the entry points.
    make
        Makes the entry of a name, the function that is registered under it, and more facts.
    """

    def __init__(
        self, kind: str, folder: str, group: str, make: Callable[Concatenate[str, Function, Facts], Entry]
    ) -> None:
        self.kind, self._folder, self._group, self._make = kind, folder, group, make
        self._entries: dict[str, Entry] = {}

    def register(self, name: str, *facts: Facts.args, **named: Facts.kwargs) -> Callable[[Function], Function]:
        """Register the decorated function; PackageError where another has the name."""

        def decorate(function: Function) -> Function:
            if name in self._entries:
                raise PackageError(f"Two {self.kind}s are registered as {name!r}; give one of them another name.")
            self._entries[name] = self._make(name, function, *facts, **named)
            return function

        return decorate

    def get(self, name: str) -> Entry:
        """The entry of that name.

        Raises
        ------
        PackageError
            There is none, with the names that there are, or the module of its entry point cannot be imported.
        """
        self._import_folder()
        if name not in self._entries:
            self._import_entry_point(name)
        if name not in self._entries:
            raise PackageError(f"There is no {self.kind} named {name!r}; there are: {', '.join(self.names())}.")
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """All names in their order; no entry point is imported for it."""
        self._import_folder()
        return tuple(sorted({*self._entries, *(point.name for point in self._points())}))

    def entries(self) -> tuple[Entry, ...]:
        """Those that are registered in the order of their names: ours, and of entry points those that were wanted."""
        self._import_folder()
        return tuple(self._entries[name] for name in sorted(self._entries))

    def _import_folder(self) -> None:
        for module in pkgutil.iter_modules(import_module(self._folder).__path__):
            import_module(f"{self._folder}.{module.name}")

    def _import_entry_point(self, name: str) -> None:
        for point in self._points():
            if point.name == name:
                try:
                    point.load()
                except (ImportError, AttributeError) as error:
                    raise PackageError(
                        f"The {self.kind} {name!r} ({point.value}) cannot be imported: {error}"
                    ) from error

    def _points(self) -> tuple[EntryPoint, ...]:
        return tuple(entry_points(group=self._group))
