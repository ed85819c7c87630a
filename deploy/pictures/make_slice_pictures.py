"""Makes the sheet of validation slices of `chest-ct-tumour` with Grad-CAM of the class that each slice gets.

    PYTHONPATH=. python deploy/pictures/make_slice_pictures.py CT_SLICES_FOLDER [PACKAGE_FOLDER]

CT_SLICES_FOLDER holds `labels.csv` (image, class, group, split) and `images/`. Of each class the sheet has the first
two slices by name of different groups whose most probable class is right, and the first two for which it is wrong;
"none" where there is none. Left the slice as the network sees it, right Grad-CAM in colour over it. The script prints
the file, the group and the probabilities of each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models import packages
from models.calibration import probabilities_of
from models.data.datasets import Examples, read_examples
from models.data.images import read_grey
from models.loaded import LoadedModel
from models.localizers.grad_cam import GradCamLocalizer
from models.localizers.slice_mil import SliceMilLocalizer

TARGET = Path(__file__).resolve().parent / "validation" / "ct-slices-grad-cam.png"
PANEL, GAP, LINE, EACH = 176, 4, 16, 2
COLOURS = 160  # of the PNG


@dataclass(frozen=True, slots=True)
class Shown:
    """A slice in its frame, its map (rows, columns) of 0..1, its probabilities (L,)."""

    file: Path
    group: int
    truth: int
    image: NDArray[np.float32]
    map: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    @property
    def predicted(self) -> int:
        """The most probable class."""
        return int(self.probabilities.argmax())


def shown(model: LoadedModel, examples: Examples) -> Iterator[Shown]:
    """Every slice of the examples in which a body is seen."""
    localizer = model.localizer
    assert isinstance(localizer, SliceMilLocalizer)
    grad_cam = GradCamLocalizer(localizer.network, localizer.table.mean, localizer.table.std)
    rows = zip(examples.files, examples.patients, examples.truth.argmax(1), strict=True)
    for file, group, truth in rows:
        frame = localizer.frame(read_grey(file))
        if frame is None:
            continue
        logits, maps, *_ = grad_cam.localize(frame.image, None)
        probabilities = probabilities_of(model.card, logits)
        one = maps[int(probabilities.argmax())]
        size = (frame.image.shape[1], frame.image.shape[0])
        wide = np.asarray(Image.fromarray(one / max(float(one.max()), 1e-9)).resize(size, Image.Resampling.BILINEAR))
        yield Shown(file, int(group), int(truth), frame.image, wide, probabilities)


def chosen(found: list[Shown], truth: int, right: bool) -> list[Shown]:
    """The first by name of different groups, then of any."""
    those = sorted((one for one in found if one.truth == truth and (one.predicted == truth) == right), key=_name)
    first = {one.group: one for one in reversed(those)}
    apart = sorted(first.values(), key=_name)
    return (apart + [one for one in those if one not in apart])[:EACH]


def _name(one: Shown) -> str:
    return one.file.name


def panels(one: Shown) -> Image.Image:
    """The slice, and beside it the map in red over it."""
    grey = np.repeat(one.image[:, :, None], 3, 2)
    red = grey * (1 - 0.6 * one.map[:, :, None]) + np.array([1.0, 0.15, 0.0]) * 0.6 * one.map[:, :, None]
    both = [Image.fromarray((255 * part).astype(np.uint8)).resize((PANEL, PANEL)) for part in (grey, red)]
    pair = Image.new("RGB", (2 * PANEL, PANEL))
    for place, part in enumerate(both):
        pair.paste(part, (place * PANEL, 0))
    return pair


def sheet(found: list[Shown], names: tuple[str, ...]) -> Image.Image:
    """A row for each class: right ones, then wrong ones."""
    width, height = 2 * PANEL + GAP, PANEL + LINE + GAP
    whole, font = Image.new("RGB", (2 * EACH * width, len(names) * height), (20, 20, 20)), ImageFont.load_default(12)
    pen = ImageDraw.Draw(whole)
    for row, name in enumerate(names):
        for half, right in enumerate((True, False)):
            some = chosen(found, row, right)
            for place in range(EACH):
                x, y = (EACH * half + place) * width, row * height
                verdict = f"{name}: no other {'right' if right else 'wrong'}"
                if place < len(some):
                    one = some[place]
                    whole.paste(panels(one), (x, y + LINE))
                    verdict = f"{name}; seen as {names[one.predicted]} {one.probabilities.max():.0%}"
                    print(verdict, one.file.name, "group", one.group, one.probabilities.round(2).tolist())
                pen.text((x + 3, y + 1), verdict, fill=(240, 240, 240) if right else (255, 170, 90), font=font)
    return whole


def main() -> None:
    """Write the sheet."""
    folder = Path(sys.argv[1])
    model = packages.load(Path(sys.argv[2]) if len(sys.argv) > 2 else packages.find("chest-ct-tumour"), "cpu")
    names = tuple(label.name for label in model.card.labels)
    with torch.inference_mode():
        found = list(shown(model, read_examples(folder, "validation", names)))
    picture = sheet(found, names).quantize(COLOURS)
    TARGET.parent.mkdir(exist_ok=True)
    picture.save(TARGET, optimize=True)
    print(TARGET, TARGET.stat().st_size)


if __name__ == "__main__":
    main()
