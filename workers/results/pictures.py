"""Pictures for the page for people: what a model saw, and the regions of each finding as a layer to lay over it.

They are made here, of the very arrays that the Segmentation is made of, so that the node needs no decoder of pixels.
They are no diagnostic images: 8 bit, at most `LONGEST` pixels a side, one window.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.regions import Mask
from node.durable import make_folder, replace_file
from node.entities import Picture
from workers.findings import wording
from workers.findings.analysed import AnalysedSource
from workers.inputs.frames import instance_uid

LONGEST = 1024  # pixels of a picture's longer side
_FILL = 90  # of 255: how much of a region's inside is its colour


def draw(analysed: AnalysedSource, folder: Path) -> tuple[Picture, ...]:
    """Write the pictures of one source; the paths begin with `folder`. The same input gives the same files.

    A radiograph is one image; of a volume each slice is shown on which a region is largest, else the middle one.
    """
    make_folder(folder, folder.parent)
    return tuple(picture for frame in sorted(analysed.shown) for picture in _frame(analysed, frame, folder))


def _frame(analysed: AnalysedSource, frame: int, folder: Path) -> Iterator[Picture]:
    """The image, then a layer of each finding that has regions on it."""
    package, uid = analysed.context.card.name, analysed.source.sop_instance_uids[frame]
    of_instance = instance_uid(analysed.source.headers[frame])
    intensity, caption = analysed.source.pictured(frame)
    height, width = intensity.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    picture = Image.fromarray((intensity.clip(0, 1) * 255).astype(np.uint8)).resize(size, Image.Resampling.LANCZOS)
    note = f"{caption}; {width} x {height} pixels" + (f", shown as {size[0]} x {size[1]}" if scale < 1 else "")
    yield Picture(package, of_instance, "", note, "", _save(picture, folder / f"{package}.{uid}.png"))
    here = ((one, [region for region in one.regions if region.boxed.reaches(frame)]) for one in analysed.findings)
    for index, (finding, regions) in enumerate(pair for pair in here if pair[1]):
        mask = np.any([region.boxed.on(frame) for region in regions], axis=0)
        layer = Image.fromarray(_layer(mask, size, finding.label.colour))
        colour = "#{:02x}{:02x}{:02x}".format(*finding.label.colour)
        path = _save(layer, folder / f"{package}.{uid}.{index}.png")
        yield Picture(package, of_instance, finding.label.title, wording.locations(regions), colour, path)


def _layer(mask: Mask, size: tuple[int, int], colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """RGBA (rows, columns, 4): a thin fill and a solid outline."""
    inside = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    layer = np.zeros((*inside.shape, 4), dtype=np.uint8)
    layer[inside] = (*colour, _FILL)
    layer[inside & ~_eroded(_eroded(inside))] = (*colour, 255)
    return layer


def _eroded(mask: Mask) -> Mask:
    inner = np.pad(mask, 1)
    found: Mask = mask & inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return found


def _save(image: Image.Image, path: Path) -> str:
    content = io.BytesIO()
    image.save(content, "PNG")
    replace_file(path, content.getvalue())
    return str(path)
