"""Nodules of a chest CT: blobs in its lungs, each scored by a 3D CNN; maps are each candidate's score in its region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from models.errors import PackageError
from models.localizers.base import on_device
from models.localizers.registry import Localized, register
from models.networks.registry import NETWORKS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.anatomy.ct.lungs import SegmentVolume, VolumeLungs
    from models.card import Card
    from models.localizers.detectors.candidates_ct import Candidates
    from models.localizers.detectors.growing import Region
    from models.localizers.registry import Localizer
    from models.networks.modules.cubes import CubeNetwork

LOWEST_LOGIT = -9.0  # of a volume without candidates


@register(
    "nodule-cnn",
    maps="candidate map",
    citation="after Setio et al., LUNA16, Medical Image Analysis 42 (2017)",
    kind="volume",
    tables=("network", "weights", "anatomy"),
    deviations=False,
    made_by="models.ct_training.nodules",
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The network of the card, without lungs yet; see `models.packages.load`."""
    from models.networks.modules.storage import filled

    if len(card.labels) != 1:
        raise PackageError(f'{card.name}: localizer "nodule-cnn" has one label.')
    assert card.network is not None
    network = NETWORKS.get(card.network.backbone).build(card.network, 1)
    ready: CubeNetwork = on_device(filled(network, data), device, threads)
    return NoduleLocalizer(ready, card.labels[0].saliency_threshold)


class NoduleLocalizer:
    """The CNN behind the protocol `Localizer`.

    Parameters
    ----------
    level
        Saliency at the border of a region, as the card's label has it.
    segment
        Finds the lungs; without it those of the air are taken.
    """

    def __init__(self, network: CubeNetwork, level: float, segment: SegmentVolume | None = None) -> None:
        self.network, self.level, self._segment = network, level, segment

    def with_volume_lungs(self, segment: SegmentVolume) -> Self:
        """See `models.localizers.registry.OfVolumeLungs`."""
        return type(self)(self.network, self.level, segment)

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logit (1,) of the best candidate; saliency (1, d, h, w); zones; InputError where no lungs are seen."""
        import numpy as np

        from models.anatomy.ct.grid import numbers_stretched

        assert spacing is not None
        candidates, lungs = self.candidates(image, spacing)
        logits = self.logits(candidates)
        scores = 1.0 / (1.0 + np.exp(-logits))
        best = logits.max(initial=LOWEST_LOGIT)
        saliency = np.zeros(candidates.hu.shape, np.float32)
        for score, region in zip(scores, candidates.regions(), strict=True):
            np.maximum(saliency[region.box], painted(region, float(score), self.level), out=saliency[region.box])
        remarks = (f"lungs by their air alone: {lungs.reason}",) if lungs.reason else ()
        zones = numbers_stretched(np.ascontiguousarray(lungs.zones), saliency.shape)
        return Localized(np.array([best], np.float32), saliency[None], zones, remarks)

    def candidates(self, image: NDArray[np.float32], spacing: tuple[float, ...]) -> tuple[Candidates, VolumeLungs]:
        """All candidates of a volume, and its lungs."""
        import SimpleITK as sitk

        from models.anatomy.ct.grid import resampled
        from models.anatomy.ct.lungs import NETWORK_MM, lungs_of_air
        from models.localizers.detectors.candidates_ct import candidates_of, working_grid

        working = working_grid(image, spacing)
        hu, (x, y, z) = sitk.GetArrayFromImage(working), working.GetSpacing()
        lungs = self._segment(hu, (z, y, x)) if self._segment else lungs_of_air(resampled(hu, (z, y, x), NETWORK_MM))
        return candidates_of(working, lungs), lungs

    def logits(self, candidates: Candidates) -> NDArray[np.float32]:
        """(n,) of the candidates."""
        from models.networks.modules.cubes import SIDE

        return cube_logits(self.network, candidates.cubes(SIDE))


def cube_logits(network: CubeNetwork, cubes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) of cubes (n, side, side, side) in HU."""
    import numpy as np
    import torch

    from models.networks.modules.hounsfield import as_input

    if not len(cubes):
        return np.zeros(0, np.float32)
    device = next(network.parameters()).device
    with torch.inference_mode():
        x = as_input(torch.from_numpy(cubes)[:, None].to(device))
        found: NDArray[np.float32] = (
            network(x.contiguous(memory_format=torch.channels_last_3d))[:, 0].float().cpu().numpy()
        )
    return found


def painted(region: Region, score: float, level: float) -> NDArray[np.float32]:
    """A candidate's saliency in its box: its score in the middle, `level` at the region's border, 0 in the lung.

    So a threshold of `level` gives the region between voxels, too. A score below it has no region.
    """
    import numpy as np

    part = region.part / max(float(region.part.max()), 1e-6)
    if score <= level:
        return (score * part).astype(np.float32)
    inner, outer = level + (score - level) * np.clip(2 * part - 1, 0.0, 1.0), level * 2 * part
    return np.where(part >= 0.5, inner, outer).astype(np.float32)
