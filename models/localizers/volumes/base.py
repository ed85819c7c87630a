"""What localizers of volumes share: crop, slices through the network in batches, maps back onto the whole volume."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from models.errors import DeviceError, InputError
from models.localizers.registry import Localized

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from models.anatomy.volumes.working import Working
    from models.card import Network, VolumeInput
    from models.networks.modules.volumes.sliced import SlicedNetwork, Taps

    Explain = Callable[[SlicedNetwork, Taps], tuple[Tensor, Tensor]]


class VolumeLocalizer(ABC):
    """The protocol `Localizer` around a network that sees a crop of the volume.

    Parameters
    ----------
    module
        The network, where it shall compute.
    how, network
        Of the card: how the input is made.
    """

    def __init__(self, module: nn.Module, how: VolumeInput, network: Network) -> None:
        self.module, self.how, self.network = module.eval(), how, network

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits (L,) and maps (L, d, h, w) that cover the volume, 0 outside the crop.

        Raises
        ------
        InputError
            There is no spacing, or the volume shows no aerated lung.
        DeviceError
            The GPU failed.
        """
        if spacing is None:
            raise InputError("A network of volumes needs the spacing (z, y, x) of the volume in mm.")
        working = self.working(image, spacing)
        device = next(self.module.parameters()).device
        try:
            logits, maps = self.explain(working.hu, device)
        except RuntimeError as error:
            if device.type == "cpu":
                raise
            raise DeviceError(f"The device {str(device)!r} failed: {str(error).splitlines()[0]}.") from error
        return Localized(logits, working.crop.put(maps))

    @abstractmethod
    def working(self, image: NDArray[np.float32], spacing: tuple[float, ...]) -> Working:
        """The crop that the network sees."""

    @abstractmethod
    def explain(self, hu: NDArray[np.float32], device: torch.device) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (L,) and maps (L, d, h, w) of a crop (z, y, x) in HU."""


class SliceLocalizer(VolumeLocalizer):
    """A slice encoder: `explain_taps` makes logits (1, L) and maps (L, d, h, w) of the taps of all slabs."""

    def __init__(self, module: SlicedNetwork, how: VolumeInput, network: Network, explain_taps: Explain) -> None:
        super().__init__(module, how, network)
        self.sliced, self.explain_taps = module, explain_taps

    def working(self, image: NDArray[np.float32], spacing: tuple[float, ...]) -> Working:
        """See `VolumeLocalizer.working`."""
        from models.anatomy.volumes.working import Working
        from models.networks.modules.volumes import encoding

        return Working.of(image, spacing, self.how, encoding.cell(self.how), encoding.SHARE)

    def explain(self, hu: NDArray[np.float32], device: torch.device) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `VolumeLocalizer.explain`."""
        import torch

        from models.networks.modules.volumes.encoding import encoded

        with torch.inference_mode():
            taps = encoded(self.sliced, hu, self.how, self.network, device)
            logits, maps = self.explain_taps(self.sliced, taps)
        return logits[0].float().cpu().numpy(), maps.float().cpu().numpy()
