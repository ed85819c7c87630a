"""The network "densenet121": DenseNet-121 with one linear layer after global average pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.networks.registry import register

if TYPE_CHECKING:
    from models.card import Network
    from models.networks.modules.densenet import DenseNet121


@register("densenet121", citation="Huang et al., Densely Connected Convolutional Networks, CVPR 2017")
def build(table: Network, labels: int) -> DenseNet121:
    """See `models.networks.registry.Build`."""
    from models.networks.modules.densenet import DenseNet121

    return DenseNet121(labels, table.channels)
