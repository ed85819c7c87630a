"""What Grad-CAM, Grad-CAM++ and HiResCAM share: the gradients of all labels at the features, and one grid for all taps.

The backbone is never run backwards. Where `classify` is global average pooling and a linear layer the gradient of a
label at a tap is its weight divided by the tap's cells, everywhere the same, and each method has a closed form. For
any other `classify` the gradients of all labels come from one batched backward pass through `classify` alone.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING

from models.card import Card, Code
from models.localizers.base import NetworkLocalizer
from models.networks.protocols import Centred, PooledLinear

if TYPE_CHECKING:
    from torch import Tensor

    from models.localizers.base import Explain
    from models.networks.protocols import SpatialNetwork

GRADIENT_WEIGHTED = Code("130403", "DCM", "Gradient-weighted class activation")  # CID 217


class GradientLocalizer(NetworkLocalizer):
    """Maps from features and the gradients of the logits at them.

    The maps of several taps are added on the finest grid. A coarse cell's value is shared out among the fine cells
    that it covers, so that each tap's sum stays what it was. For a network that is `Centred` activations are features
    relative to its zero, which changes no gradient.
    """

    rectified = True
    """Negative values of the sum become 0, as the papers on Grad-CAM and Grad-CAM++ have it."""

    def explain(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Logits (N, L) and maps (N, L, h, w) of what `network.features` gave."""
        taps = self.network.centred(features) if isinstance(self.network, Centred) else features
        if isinstance(self.network, PooledLinear):
            logits = self.network.classify(features)
            weights = self.network.tap_weights()
            parts = [self.closed(weight, tap) for weight, tap in zip(weights, taps, strict=True)]
        else:
            logits, gradients = label_gradients(self.network, features)
            parts = [self.part(gradient, tap) for gradient, tap in zip(gradients, taps, strict=True)]
        return logits, self._joined(parts, features)

    def traceable(self, card: Card) -> Explain | None:
        """`explain`, where the gradients are the same whatever the image: then they are constants of the graph."""
        if isinstance(self.network, PooledLinear):
            return self.explain
        gradients = self._constant_gradients(card)
        if gradients is None:
            return None

        def explain(features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            taps = self.network.centred(features) if isinstance(self.network, Centred) else features
            parts = [self.part(gradient, tap) for gradient, tap in zip(gradients, taps, strict=True)]
            return self.network.classify(features), self._joined(parts, features)

        return explain

    def _constant_gradients(self, card: Card) -> tuple[Tensor, ...] | None:
        """Those of three random images; None where they are not alike."""
        import torch

        assert card.input.size is not None
        draws, found = torch.Generator().manual_seed(0), []
        for _ in range(3):
            image = torch.rand(card.input.size, generator=draws).numpy()
            with torch.no_grad():
                features = self.network.features(self.prepared(image))
            found.append(label_gradients(self.network, features)[1])
        first, *others = found
        alike = all(torch.allclose(*pair, rtol=1e-4) for one in others for pair in zip(first, one, strict=True))
        return first if alike else None

    def _joined(self, parts: list[Tensor], features: tuple[Tensor, ...]) -> Tensor:
        from torch.nn import functional

        maps = on_finest(parts)
        maps = functional.relu(maps) if self.rectified else maps
        return self.network.framed(maps, features) if isinstance(self.network, Centred) else maps

    @abstractmethod
    def closed(self, weight: Tensor, tap: Tensor) -> Tensor:
        """The map (N, L, h, w) of a tap (N, c, h, w) whose average meets a linear layer of this weight (L, c)."""

    @abstractmethod
    def part(self, gradient: Tensor, tap: Tensor) -> Tensor:
        """The map (N, L, h, w) of a tap (N, c, h, w) at which the labels have this gradient (N, L, c, h, w)."""


def label_gradients(network: SpatialNetwork, features: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Logits (N, L), and for each tap the gradient of each image's logits at it (N, L, c, h, w)."""
    import torch

    with torch.inference_mode(mode=False), torch.enable_grad():
        leaves = tuple(feature.detach().clone().requires_grad_() for feature in features)
        logits = network.classify(leaves)
        images, labels = logits.shape
        each = torch.eye(labels, dtype=logits.dtype, device=logits.device)[:, None].expand(labels, images, labels)
        gradients = torch.autograd.grad(logits, leaves, each, is_grads_batched=True)
    return logits.detach(), tuple(gradient.transpose(0, 1) for gradient in gradients)


def on_finest(parts: list[Tensor]) -> Tensor:
    """The sum of maps (N, L, h, w) on the grid of the first, a coarse cell's value shared out among the fine ones."""
    from torch.nn import functional

    total, size = parts[0], (parts[0].shape[-2], parts[0].shape[-1])
    for part in parts[1:]:
        share = math.prod(part.shape[-2:]) / math.prod(size)
        total = total + functional.interpolate(part, size, mode="nearest-exact") * share
    return total
