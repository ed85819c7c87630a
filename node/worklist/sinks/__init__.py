"""Sinks: where raised priorities are sent. A sink is one file of this folder, which registers itself by `register`."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from node.errors import ConfigurationError
from node.settings import Peer, Settings, did_you_mean
from node.worklist.items.priority import Priority
from node.worklist.sinks.facts import Notice

OnQuery = Callable[[Peer, str, bytes, str], None]
"""Called with each C-FIND that a sink sends: the peer, the SOP Class, the Identifier, and its transfer syntax."""


def ignore(_peer: Peer, _sop_class_uid: str, _identifier: bytes, _transfer_syntax_uid: str) -> None:
    """Do nothing."""


class Sink(Protocol):
    """A receiver of notices. It may be sent the same notice twice; `control_id` is the same then."""

    @property
    def where(self) -> str:
        """Where notices are sent, for people."""

    @property
    def longest(self) -> float:
        """Seconds that `send` may take at most."""

    @property
    def least(self) -> Priority:
        """The least urgent priority of which it is sent notices."""

    def reach(self) -> str:
        """Whether it could be sent a notice now, without one. A sentence, or the error that `send` would have."""

    def preview(self, notice: Notice) -> str:
        """What would be sent, as text."""

    def send(self, notice: Notice) -> str:
        """Deliver; what the receiver acknowledged, in words without patient attributes.

        Raises
        ------
        NotTaken
            It is tried again; `SinkUnreachable` where nobody answers.
        NotAccepted
            It is not.
        """


T = TypeVar("T", bound=BaseModel)
Factory = Callable[[T, Settings, OnQuery], Sink]
"""Makes a sink from its table; ConfigurationError where something that the table names cannot be used."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A kind of sink. Without a table [worklist.NAME] none is made; where one is `required`, that is an error."""

    name: str
    table: type[BaseModel]
    required: bool
    make: Factory[Any]

    def read(self, settings: Settings) -> BaseModel | None:
        """The table [worklist.NAME] of the settings.

        Raises
        ------
        ConfigurationError
            It is missing, or has a wrong or unknown key.
        """
        given = getattr(settings.worklist, self.name, None) or settings.worklist.tables.get(self.name)
        if given is None and self.required:
            raise ConfigurationError(f"worklist: sinks names {self.name}: write its table [worklist.{self.name}]")
        if given is None or isinstance(given, self.table):
            return given
        try:
            return self.table.model_validate(given)
        except ValidationError as error:
            wrong = ((".".join(map(str, ("worklist", self.name, *one["loc"]))), one["msg"]) for one in error.errors())
            raise ConfigurationError("; ".join(f"{key}: {message}" for key, message in wrong)) from error


_registered: dict[str, Registration] = {}


def register(name: str, table: type[T], *, required: bool = True) -> Callable[[Factory[T]], Factory[T]]:
    """Register the decorated factory as the sink that `worklist.sinks` names so, with its table [worklist.NAME]."""

    def decorate(make: Factory[T]) -> Factory[T]:
        _registered[name] = Registration(name, table, required, make)
        return make

    return decorate


@cache
def registered() -> Mapping[str, Registration]:
    """The sinks of this folder's files, by name. They are imported here: slow, and not needed to list notices."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        import_module(module.name)
    return dict(sorted(_registered.items()))


def make_sinks(settings: Settings, on_query: OnQuery = ignore) -> dict[str, Sink]:
    """The sinks that `worklist.sinks` names and that are outside of this node, by name.

    Raises
    ------
    ConfigurationError
        A name is not registered, or a sink cannot be made from its table.
    """
    made = {}
    for number, name in enumerate(settings.worklist.sinks):
        if name not in registered():
            known = f"{', '.join(registered())}{did_you_mean(name, registered())}"
            raise ConfigurationError(f"worklist.sinks.{number}: no sink is called {name}: {known}")
        sink = registered()[name]
        if (table := sink.read(settings)) is not None:
            made[name] = sink.make(table, settings, on_query)
    return made
