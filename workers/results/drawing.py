"""The image with square pixels and, drawn over it, the outlines and numbers of regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.regions import Mask
from workers.findings.location import outline
from workers.results.fonts import font_file

Picture = NDArray[np.uint8]  # (rows, columns, 3), RGB
Colour = tuple[int, int, int]

FILL = 0.16  # opacity within an outline
FINE = 1200  # pictures smaller than this are drawn at twice their size, so that lines are smooth


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One region on one picture: its number in the legend, its colour, and its pixels."""

    number: int
    colour: Colour
    mask: Mask


def drawn(image: NDArray[np.float32], marks: Sequence[Mark], aspect: float) -> Picture:
    """The image with square pixels and the outlines on it.

    Parameters
    ----------
    image
        (rows, columns), 0 black .. 1 white, or (rows, columns, 3) red, green, blue.
    aspect
        Height of a pixel by its width. The longer side of a pixel is divided, so that nothing is lost.
    """
    rows, columns = image.shape[:2]
    size = (columns, round(rows * aspect)) if aspect >= 1 else (round(columns / aspect), rows)
    base = Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)).convert("RGB")
    base = base if size == base.size else base.resize(size, Image.Resampling.BICUBIC)
    if not marks:
        return np.asarray(base)
    fine = 2 if max(size) < FINE else 1
    scale = (fine * size[0] / columns, fine * size[1] / rows)
    layer = Image.new("RGBA", (fine * size[0], fine * size[1]), (0, 0, 0, 0))
    for mark in marks:
        _outline(layer, mark, scale)
    _numbered(layer, marks, scale, max(13 * fine, round(max(layer.size) / 36)))
    layer = layer if fine == 1 else layer.resize(size, Image.Resampling.BOX)
    return np.asarray(Image.alpha_composite(base.convert("RGBA"), layer).convert("RGB"))


def _outline(layer: Image.Image, mark: Mark, scale: tuple[float, float]) -> None:
    points = [(float(x) * scale[0], float(y) * scale[1]) for x, y in outline(mark.mask)]
    width = max(2, round(max(layer.size) / 400))
    filled = Image.new("RGBA", layer.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(filled)
    pen.polygon(points, fill=(*mark.colour, round(255 * FILL)))
    pen.line(points, fill=(*mark.colour, 255), width=width, joint="curve")
    layer.alpha_composite(filled)


def _numbered(layer: Image.Image, marks: Sequence[Mark], scale: tuple[float, float], height: int) -> None:
    """Each region's number above its highest point, within the picture, with a dark rim, beside those there before."""
    font = ImageFont.truetype(str(font_file(None)), height)
    rim, high = max(1, round(font.size / 10)), font.size * 1.25
    pen, taken = ImageDraw.Draw(layer), list[tuple[float, float, float]]()
    for mark in marks:
        rows, columns = np.nonzero(mark.mask)
        width = font.getlength(str(mark.number))
        x = (columns[rows == rows.min()].mean() + 0.5) * scale[0] - width / 2
        y = max(rows.min() * scale[1] - high, 2.0)
        x = min(max(x, 2.0), layer.size[0] - width - 2)
        while any(abs(y - top) < high and left - width < x < right for left, right, top in taken):
            x += width
        taken.append((x - rim, x + width + rim, y))
        ink, dark = (*mark.colour, 255), (0, 0, 0, 255)
        pen.text((x, y), str(mark.number), font=font, fill=ink, stroke_width=rim, stroke_fill=dark)
