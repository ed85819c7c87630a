"""Sinks: where raised priorities go. One file a sink behind one small protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from node.settings import Settings
from node.worklist.items.priority import Priority
from node.worklist.sinks.facts import Notice

if TYPE_CHECKING:
    from node.worklist.sinks.ups import Asked


class Sink(Protocol):
    """A receiver of notices. It may be told the same notice twice: `control_id` lets it know."""

    @property
    def where(self) -> str:
        """Where notices go, for people."""

    @property
    def longest(self) -> float:
        """Seconds that `send` may take at most."""

    @property
    def least(self) -> Priority:
        """The least urgent priority that it is told of."""

    def reach(self) -> str:
        """Whether it could be told something now; nothing is told. A sentence, or the error that `send` would have."""

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


def make_sinks(settings: Settings, asked: Asked | None = None) -> dict[str, Sink]:
    """The configured sinks that are outside of this node, by name.

    Parameters
    ----------
    asked
        Called with each C-FIND that a sink sends.

    Raises
    ------
    ConfigurationError
    """
    from node.worklist.sinks import hl7, ups, webhook  # noqa: PLC0415  # slow to import: not for the list of notices

    makers: Mapping[str, Callable[[Settings], Sink | None]] = {
        "ups": ups.make,
        "hl7": hl7.make,
        "webhook": webhook.make,
    }
    made = {name: makers[name](settings) for name in settings.worklist.sinks if name in makers}
    if asked and isinstance(worklist := made.get("ups"), ups.Ups):
        made["ups"] = replace(worklist, asked=asked)
    return {name: sink for name, sink in made.items() if sink is not None}
