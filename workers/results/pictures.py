"""Pictures for the page for people: what a model saw, and the regions of each finding as a layer to lay over it.

They are made here, of the very arrays that the Segmentation is made of, so that the node needs no decoder of pixels.
They are no diagnostic images: 8 bit, at most `LONGEST` pixels a side, one window.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.regions import Mask
from node.durable import make_folder, replace_file
from node.entities import Picture
from workers.dicom.attributes import number
from workers.findings.findings import Finding, ImageSource, Region, Source, largest_slice, source_uids
from workers.inputs.volume import SourceVolume

LONGEST = 1024  # pixels of a picture's longer side
LUNG = (-600.0, 1500.0)  # centre and width in HU, the window in which a volume's slices are shown
_FILL = 90  # of 255: how much of a region's inside is its colour

Layers = list[tuple[Finding, Mask, str]]  # (finding, its regions' pixels on this image, where they are)


def draw(findings: Sequence[Finding], source: Source, package: str, folder: Path) -> tuple[Picture, ...]:
    """Write the pictures of one source; the paths begin with `folder`. The same input gives the same files.

    A radiograph is one image; of a volume each slice is shown on which a region is largest, else the middle one.
    """
    make_folder(folder, folder.parent)
    if isinstance(source, SourceVolume):
        images = [_slice(findings, source, index) for index in _slices(findings, len(source.headers))]
    else:
        images = [_radiograph(findings, source)]
    return tuple(picture for image in images for picture in _write(image, package, folder))


def _radiograph(findings: Sequence[Finding], source: ImageSource) -> tuple[str, NDArray[np.float32], str, Layers]:
    layers = [
        (finding, np.any([region.mask for region in finding.regions], axis=0), _places(finding.regions))
        for finding in findings
        if finding.regions
    ]
    (uid,) = source_uids(source)
    return uid, source.image.intensity, source.image.voi, layers


def _slices(findings: Sequence[Finding], count: int) -> list[int]:
    found = {largest_slice(region.mask) for finding in findings for region in finding.regions}
    return sorted(found) or [count // 2]


def _slice(
    findings: Sequence[Finding], source: SourceVolume, index: int
) -> tuple[str, NDArray[np.float32], str, Layers]:
    layers: Layers = []
    for finding in findings:
        here = [region for region in finding.regions if region.mask[index].any()]
        if here:
            layers.append((finding, np.any([region.mask[index] for region in here], axis=0), _places(here)))
    centre, width = LUNG
    shown = np.clip((source.array[index] - (centre - width / 2)) / width, 0, 1)
    image = number(source.headers[index], "InstanceNumber", index + 1)
    caption = f"image {image:.0f}, window {centre:g}/{width:g} HU"
    return source_uids(source)[index], shown, caption, layers


def _places(regions: Iterable[Region]) -> str:
    return "; ".join(dict.fromkeys(region.place for region in regions))


def _write(image: tuple[str, NDArray[np.float32], str, Layers], package: str, folder: Path) -> Iterable[Picture]:
    uid, intensity, caption, layers = image
    height, width = intensity.shape
    scale = min(1.0, LONGEST / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    grey = Image.fromarray((intensity.clip(0, 1) * 255).astype(np.uint8)).resize(size, Image.Resampling.LANCZOS)
    note = f"{caption}; {width} x {height} pixels" + (f", shown as {size[0]} x {size[1]}" if scale < 1 else "")
    yield Picture(package, uid, "", note, "", _save(grey, folder / f"{package}.{uid}.png"))
    for index, (finding, mask, places) in enumerate(layers):
        layer = Image.fromarray(_layer(mask, size, finding.label.colour))
        colour = "#{:02x}{:02x}{:02x}".format(*finding.label.colour)
        path = _save(layer, folder / f"{package}.{uid}.{index}.png")
        yield Picture(package, uid, finding.label.title, places, colour, path)


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
