"""Saliency maps and images as PNG, for an answer in JSON."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.card import Label
from node.predicting.answer import Picture, SaliencyMap
from workers.findings.source import Source, VolumeSource

LONGEST = 1024  # pixels of a picture's longer side
Floats = NDArray[np.float32]


def map_of(saliency: Floats, label: Label, source: Source) -> SaliencyMap:
    """A label's raw map over the image, or over the slice of a volume where it is largest.

    The scale is the card's, so that the same colour is the same raw value for every file: the middle is the threshold
    of regions, and the ends are as far from it as 0 is.
    """
    from matplotlib import colormaps  # noqa: PLC0415 (slow to import)

    threshold = label.saliency_threshold
    reach = abs(threshold) or 1.0
    plane, frame = _plane(saliency, source)
    unit = np.clip((plane - (threshold - reach)) / (2 * reach), 0.0, 1.0)
    coloured = (colormaps["viridis"](unit)[..., :3] * 255 + 0.5).astype(np.uint8)
    low, high = threshold - reach, threshold + reach
    return SaliencyMap(png=_png(coloured), slice=frame, low=low, threshold=threshold, high=high)


def picture_of(source: Source, frame: int) -> Picture:
    """A frame of the source, in the window that pages show it in."""
    intensity, shown = source.pictured(frame)
    grey = (intensity.clip(0, 1) * 255).astype(np.uint8)
    rows, columns = grey.shape
    frame_ = frame if source.is_volume else None
    return Picture(png=_png(grey), slice=frame_, rows=rows, columns=columns, shown=shown)


def _plane(saliency: Floats, source: Source) -> tuple[Floats, int | None]:
    if not isinstance(source, VolumeSource):
        return source.to_source(saliency), None
    volume = source.volume
    whole = volume.to_source(saliency)
    frame = int(whole.reshape(len(whole), -1).max(axis=1).argmax())
    return whole[frame], frame


def _png(pixels: NDArray[np.uint8]) -> str:
    image = Image.fromarray(pixels)
    scale = min(1.0, LONGEST / max(image.size))
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    content = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode("ascii")
