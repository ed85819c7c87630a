"""The network "cnn3d": a small 3D CNN with a score for each label in each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.networks.registry import register

if TYPE_CHECKING:
    from models.card import Network
    from models.networks.modules.volumes.cnn3d import Cnn3d


@register(
    "cnn3d",
    citation="residual units of Kerfoot et al., STACOM 2018, as in MONAI; log-mean-exp pooling of Pinheiro and"
    " Collobert, CVPR 2015",
    channels=(3,),
)
def build(table: Network, labels: int) -> Cnn3d:
    """See `models.networks.registry.Build`."""
    from models.networks.modules.volumes.cnn3d import Cnn3d

    return Cnn3d(labels, table.channels)
