"""The network "program-boxes": a detector as a program of Core ATen operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.networks.registry import register

if TYPE_CHECKING:
    from torch import nn

    from models.card import Network


@register("program-boxes", citation="a detector of its own kind, written by models.exporters.program")
def build(table: Network, labels: int) -> nn.Module:
    """What reads the file; see `models.networks.registry.Build`."""
    from models.networks.modules.boxes import ProgramFile

    return ProgramFile()
