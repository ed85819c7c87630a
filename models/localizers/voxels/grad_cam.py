"""Grad-CAM of volumes: activations weighted by their averaged gradients. Selvaraju et al., ICCV 2017."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.localizers.gradients import GRADIENT_WEIGHTED, label_gradients
from models.localizers.registry import register
from models.localizers.voxels.base import ClassifiesVoxels, loaded

if TYPE_CHECKING:
    from torch import Tensor

    from models.card import Card
    from models.localizers.registry import Localizer


@register(
    "volume-grad-cam",
    maps="Grad-CAM map of the volume",
    citation="Selvaraju et al., ICCV 2017",
    kind="volume",
    tables=("network", "weights", "voxels"),
    deviations=False,
    code=GRADIENT_WEIGHTED,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method on the network of the card."""
    found: Any = loaded(VoxelGradCam, card, data, device, threads, len(card.labels))
    return found  # type: ignore[no-any-return]


class VoxelGradCam(ClassifiesVoxels):
    """ReLU of the sum over channels of averaged gradient times activation, at the network's last cells."""

    def located(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `ClassifiesVoxels.located`."""
        import torch

        logits, (gradient,) = label_gradients(self.network, features := self.network.features(x))
        weights = gradient.flatten(3).mean(3)
        return logits, torch.einsum("nlc,ncdhw->nldhw", weights, features[0]).relu()
