"""What localizers share that ask a network: the image becomes its input, its features become logits and maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import PackageError
from models.networks.protocols import Foldable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from models.card import Card
    from models.localizers.registry import Localizer
    from models.networks.protocols import SpatialNetwork

    Built = TypeVar("Built", bound=nn.Module)


class NetworkLocalizer(ABC):
    """The protocol `Localizer` around a network; a method adds what it makes of features.

    The network sees channels last: a tenth faster on a CPU (tests/benchmarks/saliency.py), logits alike to 1e-5.

    Parameters
    ----------
    mean, std
        The network's input is (intensity - mean) / std.
    channels
        Of the input, all the same.
    """

    def __init__(self, network: SpatialNetwork, mean: float, std: float, channels: int = 3) -> None:
        network.eval()
        self.network = network
        self.mean, self.std, self.channels = mean, std, channels

    def localize(
        self, image: NDArray[np.float32], spacing: tuple[float, ...] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (L,) and maps (L, h, w) of one image; `spacing` is not needed."""
        import numpy as np
        import torch

        device = next(self.network.parameters()).device
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(image, np.float32)).to(device)
            x = ((x - self.mean) / self.std).expand(1, self.channels, *x.shape)
            features = self.network.features(x.contiguous(memory_format=torch.channels_last))
            logits, maps = self.explain(features)
        return logits[0].float().cpu().numpy(), maps[0].float().contiguous().cpu().numpy()

    @abstractmethod
    def explain(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Logits (N, L) and maps (N, L, h, w) of what `network.features` gave."""


def load_network(
    method: type[NetworkLocalizer], card: Card, data: bytes, device: str, threads: int | None
) -> Localizer:
    """A method on the network that the card's [network] describes; see `models.packages.load`."""
    from models.networks.modules.storage import from_bytes

    assert card.network is not None
    network: Any = on_device(from_bytes(data, card.network, len(card.labels)), device, threads)
    return method(network, card.network.mean, card.network.std, card.network.channels)


def on_device(network: Built, device: str, threads: int | None) -> Built:
    """The network where it shall compute, made quick for inference; PackageError where there is no such device."""
    import torch

    for module in network.modules():
        if isinstance(module, Foldable):
            module.fold()
    if threads is not None:
        torch.set_num_threads(threads)
    name = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return network.to(name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise PackageError(f"The device {name!r} cannot be used ({reason}); set device to auto or cpu.") from error
