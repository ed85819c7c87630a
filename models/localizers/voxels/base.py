"""What localizers of a user's own networks of volumes share: the grid, and the way back onto the volume."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from models.errors import InputError
from models.localizers.base import on_device, on_the_device
from models.localizers.registry import Localized
from models.networks.registry import NETWORKS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from models.card import Card


class VoxelLocalizer(ABC):
    """The protocol `Localizer` around a network of volumes."""

    def __init__(self, network: Any, card: Card) -> None:
        assert card.network is not None and card.voxels is not None
        self.network, self.table, self.voxels, self.card = network.eval(), card.network, card.voxels, card

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits (L,) and maps (L, d, h, w) that cover the volume; InputError where it is too large."""
        from models.localizers.voxels.grid import working

        if spacing is None:
            raise InputError("A network of volumes needs the spacing (z, y, x) of the volume in mm.")
        grid = working(image, spacing, self.voxels, self.table.channels, len(self.card.labels))
        with on_the_device(self.network):
            return self.explain(grid)

    @abstractmethod
    def explain(self, grid: NDArray[np.float32]) -> Localized:
        """What the network finds in a grid (c, d, h, w) of 0..1."""

    def given(self, grid: NDArray[np.float32]) -> Tensor:
        """The network's input (1, channels, d, h, w) of a grid, where the network is."""
        import torch

        from models.localizers.voxels.grid import as_input

        return torch.from_numpy(as_input(grid, self.table)[None]).to(next(self.network.parameters()).device)


class ClassifiesVoxels(VoxelLocalizer):
    """A network with a number for each label: it sees the middle of the grid."""

    def explain(self, grid: NDArray[np.float32]) -> Localized:
        """See `VoxelLocalizer.explain`."""
        from models.localizers.voxels.grid import Window

        shape = grid.shape[1:]
        window = Window.in_the_middle(shape, self.voxels.size)
        logits, maps = self.located(self.given(window.cut(grid)))
        found = maps[0].float().contiguous().cpu().numpy()
        return Localized(
            logits[0].float().cpu().numpy(), window.put(found, shape), remarks=window.remark(shape)
        )  # fmt: skip

    @abstractmethod
    def located(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (1, L) and maps (1, L, a, b, c) that cover the input."""


def loaded(
    method: type[VoxelLocalizer], card: Card, data: bytes, device: str, threads: int | None, outputs: int
) -> Any:
    """A method on the network that the card names, with its weights; see `models.packages.load`."""
    from models.networks.modules.storage import filled

    assert card.network is not None
    network = NETWORKS.get(card.network.backbone).build(card.network, outputs)
    return method(on_device(filled(network, data), device, threads), card)
