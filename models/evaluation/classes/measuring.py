"""Measures a package of exclusive classes on a folder of labelled images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.calibration import decision, probabilities_of
from models.card import Card
from models.data.datasets import Examples, read_examples, require_images
from models.data.images import read_grey
from models.data.planes import read_input
from models.errors import DataError, InputError
from models.evaluation.classes.figures import ClassEvaluation
from models.evaluation.classes.levels import level
from models.metrics.bags import bags_of
from models.metrics.draws import DRAWS
from models.prediction import Model
from models.slices.framing import Framed

if TYPE_CHECKING:
    from torch import Tensor

NOTES = {
    "intervals": f"95 %, percentile bootstrap of {DRAWS:,} draws of whole groups; draws that lack a class have no"
    " figure that needs it",
    "groups": "a bag is what labels.csv has of one group and one class",
    "decision": "the class of the highest probability; of ordinal grades the median",
}


class Seen(Protocol):
    """See `models.localizers.slice_mil.Seen`."""

    @property
    def pooled(self) -> Tensor: ...

    @property
    def logits(self) -> Tensor: ...


@runtime_checkable
class OfSlices(Protocol):
    """A localizer of volumes that sees pictures of slices one by one, and bags of them."""

    def frame(self, image: NDArray[np.float32]) -> Framed | None:
        """A slice in its frame; None where it shows no body."""
        ...

    def see(self, images: NDArray[np.float32]) -> Seen:
        """What the network makes of framed slices."""
        ...

    def bag(self, pooled: Tensor) -> NDArray[np.float32]:
        """Logits (L,) of a bag."""
        ...


def evaluate(
    model: Model,
    localizer: object,
    folder: Path,
    split: str = "validation",
    advance: Callable[[], None] = lambda: None,
) -> ClassEvaluation:
    """Measure a package on one split; `advance` is called after each image.

    Parameters
    ----------
    localizer
        The package's: one that is `OfSlices` sees pictures of slices, and bags of them; any other sees images.

    Raises
    ------
    DataError
        The folder is not what `datasets` reads, an image has no class or two, the package sees neither images nor
        slices, or it takes no image for its own.
    """
    card = model.card
    examples = read_examples(folder, split, [label.name for label in card.labels])
    require_images(examples)
    if not (examples.truth.sum(1) == 1).all():
        raise DataError(f"{folder / 'labels.csv'}: each image must have exactly one of {', '.join(examples.labels)}.")
    found = _seen(model, localizer, examples, advance)
    kept = np.array([row for row, one in enumerate(found) if not isinstance(one, str)], np.int64)
    if not len(kept):
        raise DataError(f"{card.name} takes none of the images for its own: {found[0]}")
    there = examples.rows(kept)
    parts: list[Any] = [found[row] for row in kept]
    logits = np.stack([one.logits[0].double().cpu().numpy() if hasattr(one, "logits") else one for one in parts])
    probabilities = _probabilities(card, logits)
    decided = decision(card, probabilities) if card.activation == "ordinal" else None
    levels = [level("images", probabilities, there.truth, there.patients, decided)]
    if isinstance(localizer, OfSlices):
        bags = bags_of(there.patients, there.truth)
        of_bags = np.stack([_bag(localizer, [parts[row] for row in bags.rows(bag)]) for bag in range(len(bags))])
        levels.append(level("groups", _probabilities(card, of_bags), bags.truth, bags.groups))
    return ClassEvaluation(
        package=card.name,
        version=card.version,
        digest=model.digest,
        data=folder.resolve().name,
        split=split,
        classes=examples.labels,
        groups=len(set(there.patients.tolist())),
        levels=tuple(levels),
        skipped=tuple(f"{examples.files[row].name}: {one}" for row, one in enumerate(found) if isinstance(one, str)),
        notes=NOTES,
    )


def _probabilities(card: Card, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return probabilities_of(card, logits).astype(np.float64)


def _bag(localizer: OfSlices, seen: Sequence[Seen]) -> NDArray[np.float64]:
    import torch  # noqa: PLC0415

    return localizer.bag(torch.cat([one.pooled for one in seen])).astype(np.float64)


def _seen(model: Model, localizer: object, examples: Examples, advance: Callable[[], None]) -> list[Any]:
    """Of each image what `see` gives or its logits (L,), or why it was not seen."""
    found: list[Any] = []
    for path in examples.files:
        try:
            found.append(_of_slice(localizer, path) if isinstance(localizer, OfSlices) else _of_image(model, path))
        except InputError as error:
            found.append(str(error))
        advance()
    return found


def _of_slice(localizer: OfSlices, path: Path) -> Seen:
    frame = localizer.frame(read_grey(path))
    if frame is None:
        raise InputError("it shows no body")
    return localizer.see(frame.image[None])


def _of_image(model: Model, path: Path) -> NDArray[np.float64]:
    rules = model.card.input
    if rules.size is None:
        raise DataError(f"{model.card.name} sees volumes; `evaluate` reads folders of images.")
    return model.predict(read_input(path, rules)[0]).logits.astype(np.float64)
