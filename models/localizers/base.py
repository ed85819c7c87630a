"""What localizers share that ask a network: the image becomes its input, its features become logits and maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import DeviceError
from models.localizers.registry import Graph, Localized, register
from models.networks.protocols import Foldable
from models.networks.registry import NETWORKS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from models.card import Card, Code
    from models.fitting.classes.fit import ClassFit
    from models.fitting.task import Fit, Task
    from models.localizers.registry import Localizer
    from models.networks.protocols import SpatialNetwork

    Explain = Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]
    Built = TypeVar("Built", bound=nn.Module)

Method = TypeVar("Method", bound="NetworkLocalizer")
IMAGE = (
    "One image (1, 1, rows, columns), 0 (black) to 1 (white) as a viewer shows it (VOI LUT, MONOCHROME2), the patient's"
    " left on the right, fitted into that size with black beside it."
)
LOGITS = {"logits": "(1, labels), before the card's calibration"}
MAPS = "(1, labels, h, w), covering the input; a region is where a map reaches the label's thresholds"
Scale = float | Sequence[float]


class OnNetwork(ABC):
    """The protocol `Localizer` around a network.

    Parameters
    ----------
    mean, std
        The network's input is (intensity - mean) / std; several: of each channel.
    channels
        Of the input: all the same where the image is one plane.
    """

    def __init__(self, network: SpatialNetwork, mean: Scale, std: Scale, channels: int = 3) -> None:
        network.eval()
        self.network = network
        self.mean, self.std, self.channels = mean, std, channels

    @abstractmethod
    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits (L,) and maps (L, h, w) of one image; `spacing` is not needed. DeviceError where the GPU fails."""

    def prepared(self, image: NDArray[np.float32]) -> Tensor:
        """The network's input (1, channels, rows, columns), where the network is.

        Channels last: a tenth faster on a CPU (tests/benchmarks/saliency.py), logits alike to 1e-5.
        """
        import numpy as np
        import torch

        x = torch.from_numpy(np.ascontiguousarray(image, np.float32)).to(next(self.network.parameters()).device)
        mean, std = (x.new_tensor(one).reshape(-1, 1, 1) for one in (self.mean, self.std))
        x = ((x if x.ndim == 3 else x[None]) - mean) / std
        return x.expand(1, self.channels, *x.shape[1:]).contiguous(memory_format=torch.channels_last)

    def graph(self, card: Card) -> Graph:
        """The logits alone; see `models.localizers.registry.Exportable`."""
        left = f"The {card.localizer} maps of the node are no part of the forward pass, and are not here."
        return self.image_graph(card, lambda features: (self.network.classify(features),), LOGITS, left)

    def image_graph(self, card: Card, explain: Explain, outputs: dict[str, str], left: str) -> Graph:
        """A graph of whole images; `explain` makes logits, or logits and maps, or maps of the network's features."""
        from models.networks.modules.graph import ImageGraph

        def own(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
            found = self.localize(x[0, 0], None)
            return tuple({"logits": found.logits, "maps": found.saliency}[name][None] for name in outputs)

        assert card.input.size is not None
        network: Any = self.network
        module = ImageGraph(network, card.network, explain)
        return Graph(module, outputs, (1, 1, *card.input.size), {}, IMAGE, left, lambda x, _: x[None, None], own)


class NetworkLocalizer(OnNetwork):
    """Asks the network once; a method adds what it makes of features."""

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """See `OnNetwork.localize`."""
        with on_the_device(self.network):
            logits, maps = self.explain(self.network.features(self.prepared(image)))
            return Localized(logits[0].float().cpu().numpy(), maps[0].float().contiguous().cpu().numpy())

    def graph(self, card: Card) -> Graph:
        """Logits and maps; see `models.localizers.registry.Exportable`."""
        explain = self.traceable(card)
        if explain is None:
            return super().graph(card)
        return self.image_graph(card, explain, LOGITS | {"maps": MAPS}, "")

    def traceable(self, card: Card) -> Explain | None:
        """`explain` as a computation of the features alone; None where it needs gradients that differ by image."""
        return self.explain

    @abstractmethod
    def explain(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Logits (N, L) and maps (N, L, h, w) of what `network.features` gave."""


@contextmanager
def on_the_device(network: SpatialNetwork) -> Iterator[None]:
    """Inference alone; DeviceError where the GPU that holds the network fails."""
    import torch

    device = next(network.parameters()).device
    try:
        with torch.inference_mode():
            yield
    except RuntimeError as error:
        if device.type == "cpu":
            raise
        raise DeviceError(f"The device {str(device)!r} failed: {str(error).splitlines()[0]}.") from error


def register_maps(
    name: str, *, maps: str, citation: str, regions: str, code: Code
) -> Callable[[type[Method]], type[Method]]:
    """Register the decorated class: on the network of the card, fitted as a linear head on averaged features.

    `regions` is `Fit.regions`; see `LocalizerEntry` for the rest.
    """

    def decorate(method: type[Method]) -> type[Method]:
        def fit(task: Task) -> Fit:
            from models.fitting import linear

            return linear.fit(task, method, regions)

        def fit_classes(task: Task) -> ClassFit:
            from models.fitting.classes import images

            return images.fit(task, method, regions)

        @register(name, maps=maps, citation=citation, general=True, code=code, fit=fit, fit_classes=fit_classes)
        def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
            return on_named_network(method, card, data, device, threads)

        return method

    return decorate


def on_named_network(method: type[OnNetwork], card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """A method on the network that the card names; see `models.packages.load`."""
    assert card.network is not None
    network = NETWORKS.get(card.network.backbone).build(card.network, card.outputs)
    return on_network(method, network, card, data, device, threads)


def on_network(
    method: type[OnNetwork], network: nn.Module, card: Card, data: bytes, device: str, threads: int | None
) -> Localizer:
    """A method on a network with the package's weights; see `models.packages.load`."""
    from models.networks.modules.storage import filled

    ready: Any = on_device(filled(network, data), device, threads)
    table = card.network
    if table is None:
        return method(ready, 0.0, 1.0)
    return method(ready, table.means or table.mean, table.stds or table.std, table.channels)


def on_device(network: Built, device: str, threads: int | None) -> Built:
    """The network where it shall compute, made quick for inference; DeviceError where there is no such device."""
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
        raise DeviceError(f"The device {name!r} cannot be used ({reason}); set device to auto or cpu.") from error
