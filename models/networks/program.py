"""The network "program": any network, as a list of Core ATen operators in its own file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.networks.registry import register

if TYPE_CHECKING:
    from torch import nn

    from models.card import Network


@register(
    "program", channels=(), volumes=True, citation="a network of its own kind, written by models.exporters.program"
)
def build(table: Network, labels: int) -> nn.Module:
    """What reads the network; see `models.networks.registry.Build`."""
    from models.networks.modules.program import Unread

    return Unread(labels)
