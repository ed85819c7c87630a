"""How much of a package's figures a shortcut explains: the same features and head on what shows no lesion.

Each is fitted on the split "train" of the folder that the package is measured on, with the penalty of the package, and
scored as the package is. What a classifier of the picture's frame or grey reaches is no merit of who sees the lungs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.special import softmax
from skimage.morphology import convex_hull_image

from models.card import Card, Network
from models.data.datasets import Examples, read_examples
from models.data.images import fitted, read_grey
from models.evaluation.classes.figures import Shortcut
from models.evaluation.classes.levels import level
from models.fitting.classes import multinomial
from models.fitting.heads import Floats, whitening
from models.fitting.task import Advance
from models.metrics.bags import bags_of
from models.networks.modules.slice_bag import SliceBag
from models.networks.modules.tapped import on_one_grid, pooled
from models.slices.framing import body, framed, in_box
from models.slices.table import Slices

Grey = NDArray[np.float32]
View = Callable[[Grey, Slices], Grey]
Numbers = Callable[[Path, Grey], list[float]]
Value = TypeVar("Value")
FRAME_PART = 0.10  # of a side, that is seen of the outer frame
LUNG_PART = 0.005  # of the body, that a space of air has at least
BORDER = 3  # pixels around the body that are not seen, either
PENALTY = 0.1  # of numbers that are scaled to deviation 1


def whole(image: Grey, table: Slices) -> Grey:
    """The picture as published."""
    return fitted(image, table.size)[0]


def outside(image: Grey, table: Slices) -> Grey:
    """The picture without the body: table, padding, air around the patient, and the body's outline."""
    hidden = ndimage.binary_dilation(body(image, table), iterations=BORDER)
    return whole(np.where(hidden, np.float32(table.air), image), table)


def outer_frame(image: Grey, table: Slices) -> Grey:
    """The outer frame of the picture alone."""
    seen = image.copy()
    rows, columns = (round(FRAME_PART * length) for length in image.shape)
    seen[rows : image.shape[0] - rows, columns : image.shape[1] - columns] = table.air
    return whole(seen, table)


def outline(image: Grey, table: Slices) -> Grey:
    """The body as a flat shape in its frame."""
    flat = np.where(body(image, table), np.float32(1.0), np.float32(table.air))
    found = framed(flat, table)
    return whole(flat, table) if found is None else found.image


def lungs_alone(image: Grey, table: Slices) -> Grey:
    """The convex hulls of the lungs in the body's frame, with what lies in them; no mediastinum, no chest wall."""
    whole_body = body(image, table)
    air = ndimage.binary_opening(whole_body & (image < table.tissue), iterations=2)
    parts, count = ndimage.label(air)
    sizes = ndimage.sum_labels(air, parts, range(1, count + 1))
    seen = np.zeros(image.shape, np.bool_)
    for part in np.flatnonzero(sizes >= LUNG_PART * whole_body.sum()) + 1:
        seen |= convex_hull_image(parts == part)
    frame = framed(image, table)
    kept = np.where(seen, image, np.float32(table.air))
    return whole(kept, table) if frame is None else in_box(kept, frame.box, table)


def file_numbers(path: Path, _image: Grey) -> list[float]:
    """Bytes of the file, and the rows and columns of the picture."""
    with Image.open(path) as picture:
        return [float(path.stat().st_size), float(picture.height), float(picture.width)]


def mean_grey(_path: Path, image: Grey) -> list[float]:
    """The mean of all pixels."""
    return [float(image.mean())]


def air_grey(_path: Path, image: Grey) -> list[float]:
    """The most frequent grey of the darkest half: what air outside the patient was written as."""
    levels = np.bincount(np.round(image * 255).astype(np.intp).ravel(), minlength=256)[:128]
    return [float(levels.argmax())]


VIEWS: dict[str, tuple[View, str]] = {
    "the picture as published": (whole, "same features and head on the picture, not framed"),
    "all but the body": (outside, "body and its outline blanked: table, padding, air around the patient"),
    "the outer frame": (outer_frame, f"a frame of {FRAME_PART:.0%} of a side"),
    "the body's outline": (outline, "a flat shape in its frame"),
    "the lungs alone": (lungs_alone, "convex hulls of the lungs, where the lesions are: no shortcut but the opposite"),
}
NUMBERS: dict[str, tuple[Numbers, str]] = {
    "file size and picture size": (file_numbers, "bytes, rows, columns"),
    "mean grey": (mean_grey, "one number"),
    "grey of air": (air_grey, "one number: the most frequent dark grey"),
}


def shortcuts(network: SliceBag, card: Card, folder: Path, split: str, advance: Advance) -> tuple[Shortcut, ...]:
    """Figures of each shortcut on the split, fitted on the split "train", of a package with [network] and [slices]."""
    assert card.network is not None and card.slices is not None
    names = [label.name for label in card.labels]
    both = read_examples(folder, "train", names), read_examples(folder, split, names)
    stages = {name: _Views(view, network, card.network, card.slices) for name, (view, _) in VIEWS.items()}
    found = []
    for name, of_view in stages.items():
        train = of_view(both[0].files, name, advance)
        whiten = whitening(of_view.covariance / of_view.seen)  # of the training images alone
        test = of_view(both[1].files, f"{name}, {split}", advance)
        found.append(_measured(name, VIEWS[name][1], train, test, both, whiten, card.training.penalty or PENALTY))
    for name, (numbers, note) in NUMBERS.items():
        train, test = (np.array([numbers(path, read_grey(path)) for path in one.files]) for one in both)
        scale = np.diag(1.0 / np.maximum(train.std(0), 1e-9))
        found.append(_measured(name, note, train, test, both, scale, PENALTY))
    return tuple(found)


class _Views:
    """Pooled features (n, C) of files under a view; `covariance` adds up how cells vary within each seen so far."""

    def __init__(self, view: View, network: SliceBag, how: Network, table: Slices) -> None:
        self.view, self.network, self.how, self.table = view, network, how, table
        self.covariance: Floats = np.zeros((len(network.centre),) * 2)
        self.seen = 0

    def __call__(self, files: tuple[Path, ...], name: str, advance: Advance) -> Floats:
        found = []
        for done, path in enumerate(files, start=1):
            found.append(self._features(self.view(read_grey(path), self.table)))
            advance(name, done, len(files))
        return np.concatenate(found)

    def _features(self, image: Grey) -> Floats:
        with torch.inference_mode():
            x = (torch.from_numpy(image)[None, None] - self.how.mean) / self.how.std
            features = self.network.features(x.expand(-1, self.how.channels, -1, -1))
            cells = on_one_grid(features).flatten(2)[0].double().cpu().numpy()
        cells = cells - cells.mean(1, keepdims=True)
        self.covariance += cells @ cells.T / cells.shape[1]
        self.seen += 1
        averages: Floats = pooled(features).double().cpu().numpy()
        return averages


def _measured(
    name: str, note: str, train: Floats, test: Floats, both: tuple[Examples, Examples], whiten: Floats, penalty: float
) -> Shortcut:
    fitted_on, scored = both
    bags, of_test = bags_of(fitted_on.patients, fitted_on.truth), bags_of(scored.patients, scored.truth)
    head = multinomial.fit(train, fitted_on.truth, bags.balanced, penalty, whiten)
    logits = head.logits(test)
    of_bags = np.stack([logits[of_test.rows(bag)].mean(0) for bag in range(len(of_test))])
    levels = (
        level("images", softmax(logits, 1), scored.truth, scored.patients),
        level("groups", softmax(of_bags, 1), of_test.truth, of_test.groups),
    )
    return Shortcut(name, note, levels)
