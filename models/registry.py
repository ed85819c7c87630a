"""Names that each file registers where it stands: those of a folder of ours, and a user's own by entry point."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, Protocol, TypeVar

from models.errors import PackageError


class Named(Protocol):
    """What is registered."""

    @property
    def name(self) -> str:
        """As a card writes it."""
        ...


Entry = TypeVar("Entry", bound=Named)


class Registry(Generic[Entry]):
    """Entries of one kind by name.

    The modules of the folder are imported whenever names are wanted, so they import torch and the like inside their
    functions. The module of an entry point, which has the entry's name, is imported when that name is wanted.

    Parameters
    ----------
    kind
        In messages: "localizer".
    folder
        The package whose modules register themselves.
    group
        Of the entry points.
    """

    def __init__(self, kind: str, folder: str, group: str) -> None:
        self.kind, self._folder, self._group = kind, folder, group
        self._entries: dict[str, Entry] = {}

    def add(self, entry: Entry) -> None:
        """Register; PackageError where another entry has the name."""
        if entry.name in self._entries:
            raise PackageError(f"Two {self.kind}s are registered as {entry.name!r}; give one of them another name.")
        self._entries[entry.name] = entry

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
            if not module.ispkg:
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
