"""The two lungs of a chest CT: maps are each voxel's probability to be lung, for either lung within that lung alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import PackageError
from models.localizers.base import on_device
from models.localizers.lungs import SIDES
from models.localizers.registry import Localized, register
from models.networks.registry import NETWORKS

if TYPE_CHECKING:
    import numpy as np
    import SimpleITK as sitk
    from numpy.typing import NDArray

    from models.anatomy.ct.lungs import VolumeLungs
    from models.card import Card
    from models.localizers.registry import Localizer
    from models.networks.modules.unet import UNet

IN_MASK, OUTSIDE = 0.5, 0.49  # least and largest value of a map in the lung's mask and outside of it


@register(
    "lungs-ct",
    maps="lung probability",
    citation="Cicek et al., MICCAI 2016",
    kind="volume",
    deviations=False,
    made_by="models.ct_training.lungs",
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The network of the card, which gives two masks; PackageError where the labels are not those of `SIDES`."""
    from models.networks.modules.storage import filled

    if tuple(label.name for label in card.labels) != SIDES:
        raise PackageError(f'{card.name}: localizer "lungs-ct" has the labels {" and ".join(SIDES)}, in this order.')
    assert card.network is not None
    network = NETWORKS.get(card.network.backbone).build(card.network, len(card.labels))
    return VolumeLungLocalizer(on_device(filled(network, data), device, threads))


class VolumeLungLocalizer:
    """The network behind the protocol `Localizer`; where its lungs are implausible, those of the air."""

    def __init__(self, network: UNet) -> None:
        self.network = network

    def segment(self, volume: NDArray[np.float32], spacing: tuple[float, ...]) -> VolumeLungs:
        """The lungs of a volume in HU; InputError where it shows none."""
        from models.anatomy.ct.grid import resampled
        from models.anatomy.ct.lungs import NETWORK_MM

        return self._found(resampled(volume, spacing, NETWORK_MM))[0]

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits of each lung's mean probability (2,), maps (2, d, h, w), zones; InputError where no lungs are seen."""
        import numpy as np

        from models.anatomy.ct.grid import resampled
        from models.anatomy.ct.lungs import NETWORK_MM

        assert spacing is not None
        lungs, maps = self._found(resampled(image, spacing, NETWORK_MM))
        inside = [one[one >= IN_MASK] for one in maps]
        confidence = np.array([float(one.mean()) if one.size else 0.0 for one in inside])
        confidence = np.clip(confidence, 1e-6, 1.0 - 1e-6)
        logits = np.log(confidence / (1.0 - confidence)).astype(np.float32)
        remarks = [f"lungs by their air alone: {lungs.reason}"] if lungs.reason else []
        remarks += [
            f"no {side} lung was seen" for side, one in zip(("right", "left"), inside, strict=True) if not one.size
        ]
        return Localized(logits, maps, lungs.zones, tuple(remarks))

    def _found(self, working: sitk.Image) -> tuple[VolumeLungs, NDArray[np.float32]]:
        """The lungs on the working grid, and a map of each: one half or more in its mask alone."""
        import numpy as np
        import SimpleITK as sitk

        from models.anatomy.ct.lungs import lungs_of_maps

        probabilities = probability(self.network, sitk.GetArrayFromImage(working))
        lungs = lungs_of_maps(probabilities, working)
        if lungs.method == "air":
            return lungs, np.stack([lungs.right, lungs.left]).astype(np.float32)
        masks = np.stack([lungs.right, lungs.left])
        return lungs, np.where(masks, np.maximum(probabilities, IN_MASK), np.minimum(probabilities, OUTSIDE))


def probability(network: UNet, hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2, d, h, w) of a volume (d, h, w) of `NETWORK_MM`: right and left lung."""
    import numpy as np
    import torch

    from models.networks.modules.hounsfield import as_input
    from models.networks.modules.unet import STRIDE

    device = next(network.parameters()).device
    margins = [(0, -count % STRIDE) for count in hu.shape]
    padded = torch.from_numpy(np.pad(hu, margins, mode="edge")).to(device)[None, None]
    with torch.inference_mode():
        logits = network(as_input(padded).contiguous(memory_format=torch.channels_last_3d))[0]
        d, h, w = hu.shape
        found: NDArray[np.float32] = logits[:, :d, :h, :w].sigmoid().float().cpu().numpy()
    return found
