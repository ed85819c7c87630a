"""Pictures of the ten best and the ten worst: the image, the regions' outlines, the boxes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.data.images import read_fitted
from models.data.letterbox import Letterbox
from models.evaluation.annotations import Annotations
from models.evaluation.methods import MethodOutput, NetworkMethod, output_regions
from models.metrics.boxes import Rectangle
from models.prediction import Model
from models.regions import MOST_REGIONS, Mask

SIDE = 384  # pixels of the longer side of a picture
REGION, BOX = (255, 176, 0), (64, 208, 255)


def overlay(model: Model, path: Path, label: str, annotations: Annotations) -> bytes:
    """A JPEG of one image with the regions of one label and its boxes."""
    size = model.card.input.size
    assert size is not None
    image, letterbox = read_fitted(path, size)
    output = NetworkMethod(model).predict(image, letterbox)
    boxes = [box.rectangle for box in annotations.boxes(path.name, label)]
    return picture(image, letterbox, _masks(output, annotations.index[label], letterbox), boxes)


def _masks(output: MethodOutput, index: int, letterbox: Letterbox) -> list[Mask]:
    return [region.mask for region in output_regions(output, index, letterbox, MOST_REGIONS)]


def picture(
    image: NDArray[np.float32], letterbox: Letterbox, masks: Sequence[Mask], boxes: Sequence[Rectangle]
) -> bytes:
    """A JPEG: the file's part of the input, outlines of masks (rows, columns of the file), boxes in its pixels."""
    rows, columns = letterbox.file
    scale = SIDE / max(rows, columns)
    shape = max(1, round(columns * scale)), max(1, round(rows * scale))
    grey = Image.fromarray((image[letterbox.content] * 255).astype(np.uint8)).resize(shape, Image.Resampling.BICUBIC)
    canvas = np.asarray(grey.convert("RGB")).copy()
    for mask in masks:
        canvas[_outline(np.asarray(Image.fromarray(mask).resize(shape, Image.Resampling.NEAREST)))] = REGION
    drawn = Image.fromarray(canvas)
    pen = ImageDraw.Draw(drawn)
    for x, y, width, height in boxes:
        pen.rectangle([x * scale, y * scale, (x + width) * scale, (y + height) * scale], outline=BOX, width=2)
    stream = io.BytesIO()
    drawn.save(stream, "JPEG", quality=85, subsampling=0)
    return stream.getvalue()


def _outline(mask: Mask) -> Mask:
    """Pixels of the mask within two of its border."""
    inner = mask
    for _ in range(2):
        padded = np.pad(inner, 1)
        inner = padded[1:-1, 1:-1] & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
