"""Predictions of image files: probabilities, raw maps and regions, written to a folder.

The folder holds

- ``predictions.csv``: image, label, probability, present (1 where the threshold is reached);
- ``regions.csv``: image, label, x, y, width, height (pixels of the image file, the top left corner of its top left
  pixel is 0), score (largest raw saliency inside); regions of present findings, the best first;
- ``remarks.csv``: image, remark (what makes it unlike what the package was trained on);
- ``saliency/IMAGE.npz``: ``saliency`` (labels, h, w), raw; ``labels``; ``probabilities``; ``file_size`` and
  ``input_size`` (rows, columns); ``origin`` and ``step`` (row, column): cell (i, j) is centred at
  origin + (i + 0.5, j + 0.5) * step in pixels of the image file; ``digest`` of the package.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.calibration import present
from models.card import Card
from models.data.images import images_below
from models.data.letterbox import Letterbox
from models.data.planes import read_input
from models.errors import DataError, ModelsError
from models.predicting.folder import Failures, make_room, plain, table
from models.prediction import Model, Prediction
from models.regions import Region, box_regions, label_regions

PREDICTIONS = "predictions.csv", ("image", "label", "probability", "present")
REGIONS = "regions.csv", ("image", "label", "x", "y", "width", "height", "score")
REMARKS = "remarks.csv", ("image", "remark")
SALIENCY = "saliency"


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """The prediction of one image file, and the regions of each label that is present."""

    prediction: Prediction
    letterbox: Letterbox
    regions: dict[str, tuple[Region, ...]]


def predict_file(model: Model, path: Path) -> Predicted:
    """Predict one PNG, JPEG, DICOM or NIfTI file; DataError or InputError names why it cannot be."""
    card = model.card
    image, letterbox = read_input(path, card.input)
    prediction = model.predict(image)
    regions = {
        label.name: label_regions(prediction.saliency[index], letterbox, label)
        if prediction.boxes is None
        else box_regions(prediction.boxes[index], letterbox, label)
        for index, (label, found) in enumerate(zip(card.labels, present(card, prediction.probabilities), strict=True))
        if found and label.finding
    }
    return Predicted(prediction, letterbox, regions)


def image_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Image files by name: files as given, and of folders all PNG, JPEG, DICOM and NIfTI files below them.

    The name is the path below the deepest folder that holds them all.

    Raises
    ------
    DataError
        A path is not there, or there is no image at all.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise DataError(f"There is no file or folder {', '.join(missing)}.")
    roots = [plain(path) for path in paths]
    files = [file for path in roots for file in (images_below(path) if path.is_dir() else [path])]
    if not files:
        raise DataError(f"No PNG, JPEG, DICOM or NIfTI file is below {', '.join(map(str, paths))}.")
    common = Path(os.path.commonpath([path if path.is_dir() else path.parent for path in roots]))
    return {file.relative_to(common).as_posix(): file for file in files}


def predict(
    model: Model,
    paths: Sequence[Path],
    out: Path,
    *,
    replace: bool = False,
    advance: Callable[[int, int], None] = lambda done, count: None,
) -> tuple[int, Failures]:
    """Predict files and folders of images into the folder `out`; its files are those of the module's docstring.

    Returns
    -------
    How many images were predicted, and those that could not be, each with the reason.

    Raises
    ------
    DataError
        The package sees volumes, a path is not there, `out` already holds predictions or cannot be written.
    """
    _require_images(model.card)
    files = image_files(paths)
    try:
        make_room(out, (PREDICTIONS[0], REGIONS[0], REMARKS[0]), SALIENCY, "*.npz", replace=replace)
        failures = _predict_all(model, files, out, advance)
    except OSError as error:  # of writing: what reading raises is a DataError
        raise DataError(f"{out} cannot be written: {error.strerror or error}.") from error
    return len(files) - len(failures), failures


def _predict_all(model: Model, files: dict[str, Path], out: Path, advance: Callable[[int, int], None]) -> Failures:
    failures = []
    with ExitStack() as stack:
        predictions, regions, remarks = (table(stack, out, *one) for one in (PREDICTIONS, REGIONS, REMARKS))
        for done, (name, path) in enumerate(files.items(), start=1):
            try:
                predicted = predict_file(model, path)
            except ModelsError as error:
                failures.append((path, str(error)))
            else:
                _save(out / SALIENCY / f"{name}.npz", predicted, model.digest)
                predictions.writerows(_prediction_rows(name, predicted, model.card))
                regions.writerows(_region_rows(name, predicted))
                remarks.writerows((name, remark) for remark in predicted.prediction.remarks)
            advance(done, len(files))
    return tuple(failures)


def _require_images(card: Card) -> None:
    if card.input.kind != "image":
        raise DataError(f"{card.name} sees volumes: give `predict_volumes` .nii.gz files or folders of DICOM slices.")


def _prediction_rows(name: str, predicted: Predicted, card: Card) -> Iterator[tuple[object, ...]]:
    probabilities = predicted.prediction.probabilities
    for label, probability, found in zip(card.labels, probabilities, present(card, probabilities), strict=True):
        yield name, label.name, f"{probability:.6f}", int(found)


def _region_rows(name: str, predicted: Predicted) -> Iterator[tuple[object, ...]]:
    for label, regions in predicted.regions.items():
        for region in regions:
            yield name, label, *(f"{value:g}" for value in region.rectangle), f"{region.score:.6g}"


def _save(path: Path, predicted: Predicted, digest: str) -> None:
    prediction, letterbox = predicted.prediction, predicted.letterbox
    path.parent.mkdir(parents=True, exist_ok=True)
    origin, step = letterbox.cells((prediction.saliency.shape[1], prediction.saliency.shape[2]))
    np.savez_compressed(
        path,
        saliency=prediction.saliency,
        labels=np.array(prediction.labels),
        probabilities=prediction.probabilities,
        file_size=np.array(letterbox.file),
        input_size=np.array(letterbox.size),
        origin=np.array(origin),
        step=np.array(step),
        digest=np.array(digest),
    )
