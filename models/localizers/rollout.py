"""Attention rollout: how much of each patch reaches what a transformer decides on. Abnar and Zuidema, ACL 2020.

In each layer half of a token is its own (the residual connection) and half is what attention takes, averaged over the
heads; the product over the layers says what the last tokens are made of. It knows of no label: all have the same map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import PackageError
from models.localizers.base import OnNetwork, on_named_network
from models.localizers.registry import Localized, register
from models.networks.protocols import Attentive

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from models.card import Card
    from models.localizers.registry import Localizer

NO_TRANSFORMER = (
    'localizer "rollout" needs a vision transformer whose attention is between all patches; take another localizer for'
    " this network."
)


class RolloutLocalizer(OnNetwork):
    """The class token's part of each patch, or the mean over tokens where there is no class token."""

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits (L,) and maps (L, rows, columns of patches) of one image; a map adds up to 1 with the class token."""
        import torch

        if not isinstance(self.network, Attentive):
            raise PackageError(NO_TRANSFORMER)
        with torch.inference_mode():
            x = self.prepared(image)
            logits = self.network.classify(self.network.features(x))
            found = self.network.attentions(x)
            rows, columns = self.network.grid
            if not found or rows * columns == 1:
                raise PackageError(NO_TRANSFORMER)
            whole = rolled_out(found)
            leading = len(whole) - rows * columns
            reached = whole[0, leading:] if leading else whole.mean(0)
            maps = reached.reshape(1, rows, columns).expand(logits.shape[1], -1, -1)
        return Localized(logits[0].float().cpu().numpy(), maps.float().cpu().numpy())


def rolled_out(attentions: tuple[Tensor, ...]) -> Tensor:
    """What each token at the end (rows) is made of, (t, t), of attentions (heads, t, t) from the first layer on."""
    import torch

    whole = own = torch.eye(attentions[0].shape[-1], device=attentions[0].device)
    for one in attentions:
        whole = (one.mean(0) + own) / 2 @ whole
    return whole


@register("rollout", maps="attention rollout", citation="Abnar and Zuidema, ACL 2020")
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method on the network of the card; see `models.packages.load`."""
    return on_named_network(RolloutLocalizer, card, data, device, threads)
