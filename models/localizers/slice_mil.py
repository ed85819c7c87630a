"""Slices of a chest CT as a bag: class activation maps of each slice, weighted by its attention.

Ilse et al., ICML 2018, with slices as instances; Zhou et al., CVPR 2016, within a slice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from models.errors import DeviceError, InputError
from models.localizers.base import on_device
from models.localizers.registry import Graph, Localized, register

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from models.card import Card
    from models.fitting.classes.fit import ClassFit
    from models.fitting.task import Task
    from models.localizers.registry import Localizer
    from models.networks.modules.slice_bag import SliceBag
    from models.slices.framing import Framed

BATCH = 8  # slices at once
CELLS = 64  # rows and columns of a volume's saliency, at most


class Seen(NamedTuple):
    """What the network makes of n slices: pooled features (n, C), logits (n, L), activation maps (n, L, h, w)."""

    pooled: Tensor
    logits: Tensor
    maps: Tensor


def fit_classes(task: Task) -> ClassFit:
    """A head of slices and the attention over them."""
    from models.fitting.classes import slices

    return slices.fit(task)


@register(
    "slice-mil",
    maps="class activation map of slices, weighted by attention",
    citation="Ilse et al., ICML 2018; Zhou et al., CVPR 2016",
    kind="volume",
    tables=("network", "weights", "slices"),
    taps=True,
    deviations=False,
    fit_classes=fit_classes,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    from models.networks.modules.slice_bag import SliceBag
    from models.networks.modules.storage import filled

    assert card.network is not None
    network = SliceBag(card.network.taps, len(card.labels), card.network.border)
    return SliceMilLocalizer(on_device(filled(network, data), device, threads), card)


class SliceMilLocalizer:
    """The protocol `Localizer` for volumes, and what slices alone give."""

    def __init__(self, network: SliceBag, card: Card) -> None:
        assert card.network is not None and card.slices is not None
        self.network, self.table, self.slices, self.name = network.eval(), card.network, card.slices, card.name

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits (L,) of the bag, and saliency (L, d, h, w): a slice's map times its attention and the bag's size.

        The mean of a slice's map over its frame, and then over slices, is the bag's logit without the bias. Slices
        that show too little lung are not in the bag, and their saliency is 0.

        Raises
        ------
        InputError
            No slice shows lungs.
        """
        import numpy as np
        import torch

        frames = self._frames(image, spacing or (1.0, 1.0, 1.0))
        if not frames:
            raise InputError(f"{self.name} sees slices of a chest: none of these shows a body with lungs.")
        images = np.stack([frame.image for frame in frames.values()])
        with torch.inference_mode():
            seen = [self.see(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
            pooled, maps = (torch.cat([getattr(one, name) for one in seen]) for name in ("pooled", "maps"))
            logits, weights = self.network.bag_logits(pooled), self.network.weights(pooled) * len(pooled)
            maps = maps * weights[:, None, None, None]
        cells = min(CELLS, image.shape[1]), min(CELLS, image.shape[2])
        saliency = np.zeros((len(logits), len(image), *cells), np.float32)
        for (index, frame), one in zip(frames.items(), maps.float().cpu().numpy(), strict=True):
            saliency[:, index] = placed(one, frame.box, (image.shape[1], image.shape[2]), cells)
        return Localized(logits.float().cpu().numpy(), saliency)

    def frame(self, image: NDArray[np.float32], spacing: tuple[float, float] = (1.0, 1.0)) -> Framed | None:
        """A slice (rows, columns) of 0..1 in the frame of its body; None where it shows none."""
        from models.slices.framing import framed

        return framed(image, self.slices, spacing)

    def see(self, images: NDArray[np.float32]) -> Seen:
        """What the network makes of framed slices (n, rows, columns); DeviceError where the GPU fails."""
        import torch

        from models.networks.modules.tapped import pooled

        device = next(self.network.parameters()).device
        try:
            with torch.inference_mode():
                x = (torch.from_numpy(images)[:, None].to(device) - self.table.mean) / self.table.std
                x = x.expand(-1, self.table.channels, -1, -1).contiguous(memory_format=torch.channels_last)
                features = self.network.features(x)
                return Seen(pooled(features), self.network.classify(features), self.network.maps(features))
        except RuntimeError as error:
            if device.type == "cpu":
                raise
            raise DeviceError(f"The device {str(device)!r} failed: {str(error).splitlines()[0]}.") from error

    def bag(self, pooled: Tensor) -> NDArray[np.float32]:
        """Logits (L,) of a bag by the pooled features (n, C) of its slices."""
        import torch

        with torch.inference_mode():
            logits: NDArray[np.float32] = self.network.bag_logits(pooled).float().cpu().numpy()
        return logits

    def graph(self, card: Card) -> Graph:
        """The bag of framed slices; see `models.localizers.registry.Exportable`."""
        from models.networks.modules.graph import ImageGraph

        size = self.slices.size
        given = (
            f"The slices (slices, 1, {size[0]}, {size[1]}) of a chest CT that show lungs, 0 to 1 over HU"
            f" {self.slices.window[0]:g} to {self.slices.window[1]:g}, each in the square frame of its body, air around"
            " it (models/slices/framing.py); one slice is a bag, too."
        )
        outputs = {
            "logits": "(1, labels) of the bag, before the card's calibration",
            "maps": "(slices, labels, h, w), covering the frames: class activation maps times attention and slices",
            "attention": "(slices,): the weight of each slice in the logits; they add up to 1",
        }
        module = ImageGraph(self.network, self.table, self._explained)
        return Graph(module, outputs, (2, 1, *size), {0: "slices"}, given, "", self._inputs, self._own)

    def _explained(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        from models.networks.modules.tapped import pooled

        slices = pooled(features)
        weights = self.network.weights(slices)
        maps = self.network.maps(features) * (weights * slices.shape[0])[:, None, None, None]
        return self.network.bag_logits(slices)[None], maps, weights

    def _inputs(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> NDArray[np.float32]:
        """The bag of a volume in HU, or of one picture of a slice (rows, columns) in the card's window."""
        import numpy as np

        if image.ndim == 3:
            frames = list(self._frames(image, spacing or (1.0, 1.0, 1.0)).values())
        else:
            found = self.frame(image)
            frames = [found] if found else []
        if not frames:
            raise InputError(f"{self.name} sees slices of a chest: none of these shows a body with lungs.")
        return np.stack([frame.image for frame in frames])[:, None]

    def _own(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        import torch

        seen = self.see(x[:, 0])
        with torch.inference_mode():
            weights = self.network.weights(seen.pooled)
            maps = seen.maps * (weights * len(weights))[:, None, None, None]
        return self.bag(seen.pooled)[None], maps.cpu().numpy(), weights.cpu().numpy()

    def _frames(self, volume: NDArray[np.float32], spacing: tuple[float, ...]) -> dict[int, Framed]:
        """By the slice's index, of those that show lungs."""
        return dict(self._framed(volume, (spacing[-2], spacing[-1])))

    def _framed(self, volume: NDArray[np.float32], spacing: tuple[float, float]) -> Iterator[tuple[int, Framed]]:
        from models.slices.framing import windowed

        for index, plane in enumerate(volume):
            found = self.frame(windowed(plane, self.slices), spacing)
            if found is not None and found.lung >= self.slices.least_lung:
                yield index, found


def placed(
    maps: NDArray[np.float32], box: tuple[int, int, int, int], shape: tuple[int, int], cells: tuple[int, int]
) -> NDArray[np.float32]:
    """Maps (L, h, w) that cover a box (top, left, rows, columns) of a slice, on cells that cover the slice; 0 around.

    Interpolated linearly between the cells' centres.
    """
    import numpy as np

    down = _along(shape[0], cells[0], box[0], box[2], maps.shape[1])
    across = _along(shape[1], cells[1], box[1], box[3], maps.shape[2])
    whole: NDArray[np.float32] = np.einsum("Hh,lhw,Ww->lHW", down, maps, across).astype(np.float32)
    return whole


def _along(length: int, cells: int, start: int, size: int, count: int) -> NDArray[np.float64]:
    """(cells, count): what each of `count` cells of a box gives to each cell along a side of `length` pixels."""
    import numpy as np

    at = ((np.arange(cells) + 0.5) * length / cells - start) / size  # 0..1 within the box
    centre = np.clip(at * count - 0.5, 0, count - 1)
    first = np.minimum(centre.astype(np.intp), max(count - 2, 0))
    weights = np.zeros((cells, count))
    weights[np.arange(cells), first] = 1 - (centre - first)
    weights[np.arange(cells), np.minimum(first + 1, count - 1)] += centre - first
    weights[(at < 0) | (at > 1)] = 0.0
    return weights
