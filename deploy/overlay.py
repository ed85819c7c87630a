"""Pictures of results in a PACS: a source image with the segments that refer to it, drawn from the stored objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmread

from node.dicom.headers import read_header
from workers.inputs.decoding.decoder import Decoder
from workers.inputs.pixels import load_image

_SIZE = 900  # pixels of the longer side
_BANNER = "Research software, not a medical device; not for diagnosis."
Mask = NDArray[np.bool_]
Colour = tuple[int, int, int]
Segment = tuple[str, Colour, Mask]  # its label, colour and pixels


def draw(images: Sequence[Path], segmentations: Sequence[Path], caption: str, picture: Path) -> None:
    """Write a PNG of the image with the largest segments (else the middle one), outlined, named, and captioned.

    Parameters
    ----------
    images
        The study's images, as the PACS returned them.
    segmentations
        Its Segmentation objects, likewise.
    """
    by_uid = {str(read_header(path).SOPInstanceUID): path for path in images}
    segments = defaultdict(list)
    for path in segmentations:
        for uid, name, colour, mask in _segments(dcmread(path)):
            segments[uid].append((name, colour, mask))
    largest = max(segments, key=lambda one: sum(mask.sum() for _, _, mask in segments[one]), default="")
    path = by_uid[largest] if largest else images[len(images) // 2]
    with Decoder() as decoder:
        intensity = load_image(path, decoder).intensity
    _compose(intensity, segments[largest] if largest else [], caption).save(picture)


def _segments(dataset: Dataset) -> list[tuple[str, str, Colour, Mask]]:
    """(source's SOP Instance UID, segment label, RGB, mask) of each frame."""
    described = {int(item.SegmentNumber): item for item in dataset.SegmentSequence}
    planes = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns).astype(bool)
    found = []
    for plane, own in zip(planes, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        group = Dataset()  # what all frames have in common is in the shared groups
        group.update(dataset.SharedFunctionalGroupsSequence[0])
        group.update(own)
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        source = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        lab = hd.color.CIELabColor.from_dicom_value(described[number].RecommendedDisplayCIELabValue)
        red, green, blue = map(int, lab.to_rgb())
        found.append((str(source), str(described[number].SegmentLabel), (red, green, blue), plane))
    return found


def _compose(intensity: NDArray[np.float32], segments: Sequence[Segment], caption: str) -> Image.Image:
    scale = _SIZE / max(intensity.shape)
    size = (round(intensity.shape[1] * scale), round(intensity.shape[0] * scale))
    grey = Image.fromarray((intensity.clip(0, 1) * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    pixels = np.stack([np.asarray(grey)] * 3, axis=-1).astype(np.float32)
    for _, colour, mask in segments:
        inside = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
        pixels[inside] = 0.75 * pixels[inside] + 0.25 * np.asarray(colour)
        pixels[inside & ~_eroded(inside, 2)] = colour
    picture = Image.fromarray(pixels.astype(np.uint8))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(18)
    for line, (name, colour, _) in enumerate(segments):
        _write(pen, (12, 10 + 24 * line), name, colour, font)
    _write(pen, (12, size[1] - 54), caption, (255, 255, 255), font)
    _write(pen, (12, size[1] - 30), _BANNER, (255, 210, 90), font)
    return picture


def _write(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    pen.text(at, text, fill=colour, font=font, stroke_width=2, stroke_fill=(0, 0, 0))


def _eroded(mask: Mask, width: int) -> Mask:
    for _ in range(width):
        inner = np.pad(mask, 1)
        mask = inner[1:-1, 1:-1] & inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return mask
