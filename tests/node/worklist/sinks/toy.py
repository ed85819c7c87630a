"""A sink in one file, as somebody adds one: it writes the control ID of each notice into a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from node.settings import Settings
from node.worklist.items.priority import Priority
from node.worklist.sinks import OnQuery, register
from node.worklist.sinks.facts import Notice


class ToySink(BaseModel, extra="forbid"):
    """The table [worklist.toy]."""

    file: Path


@dataclass(frozen=True, slots=True)
class Toy:
    table: ToySink
    longest: float = 1.0
    least: Priority = Priority.HIGH

    @property
    def where(self) -> str:
        return str(self.table.file)

    def reach(self) -> str:
        return f"{self.where} can be written"

    def preview(self, notice: Notice) -> str:
        return f"{notice.control_id}\n"

    def send(self, notice: Notice) -> str:
        with self.table.file.open("a") as file:
            file.write(self.preview(notice))
        return f"line of {notice.control_id}"


@register("toy", ToySink)
def make(table: ToySink, _settings: Settings, _on_query: OnQuery) -> Toy:
    return Toy(table)
