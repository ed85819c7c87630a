"""The networks that a card may name: how each is built and what its table [network] may hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from models.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from models.card import Network

    Build = Callable[[Network, int], nn.Module]
    """A card's [network] and the number of labels make a module that is a `SpatialNetwork`, with random weights."""


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """A registered network.

    Attributes
    ----------
    name
        `network.backbone` of a card.
    citation
        The paper, and where it differs from it.
    blocks
        Blocks of the backbone that can be tapped, numbered from 0; 0: the network has one end, and neither taps nor
        border nor deviations.
    channels
        Of the input, those that it takes; none: any.
    volumes
        Whether it can be a network of voxels: of [voxels].
    """

    name: str
    build: Build
    _: KW_ONLY
    citation: str
    blocks: int = 0
    channels: tuple[int, ...] = (1, 3)
    volumes: bool = False

    def objection(self, table: Network) -> str:
        """Why a card's [network] does not fit, as a clause; "" where it does."""
        if not self.blocks and (table.taps or table.border or table.deviations):
            return f'backbone "{self.name}" has neither taps nor border nor deviations'
        if (self.channels and table.channels not in self.channels) or (self.blocks and not table.taps):
            needs = ["taps"] * bool(self.blocks) + [f"channels = {' or '.join(map(str, self.channels))}"]
            return f'backbone "{self.name}" needs {" and ".join(needs)}'
        if self.blocks and max(table.taps) >= self.blocks:
            return f'backbone "{self.name}" has the blocks 0 to {self.blocks - 1}'
        return ""


NETWORKS = Registry("network", "models.networks", "readfirst.networks", NetworkEntry)
register = NETWORKS.register
