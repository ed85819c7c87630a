"""Predictions of volumes: probabilities, raw maps and regions, written to a folder.

The folder holds

- ``predictions.csv``: volume, label, probability, present (1 where the threshold is reached);
- ``regions.csv``: volume, label, x0, x1, y0, y1, z0, z1 (voxels of the file along its own axes, first and last, both
  inside), centroid_x_mm, centroid_y_mm, centroid_z_mm (LPS), volume_ml, long_axis_mm (within one axial slice), mean_hu,
  score (largest raw saliency inside); regions of present findings, the best first;
- ``remarks.csv``: volume, remark (what makes it unlike what the package was trained on, or how it was read);
- ``saliency/VOLUME.LABEL.nii.gz``: the raw map, interpolated at the file's voxels.

Slices of a tilted gantry are resampled: their voxels are those of a grid along the patient's axes, which the maps have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from models.calibration import present
from models.data.nifti import SUFFIXES, is_nifti
from models.data.volumes.dicom import holds_ct
from models.data.volumes.maps import on_grid
from models.data.volumes.nifti import write_nifti
from models.data.volumes.reading import read_volume
from models.data.volumes.volume import Volume
from models.errors import DataError, ModelsError
from models.predicting.folder import Failures, make_room, names_below_one, plain, table
from models.predicting.volume_regions import extent, volume_regions
from models.prediction import Model, Prediction
from models.regions import MOST_REGIONS, Mask, bounds

EDGES = ("x0", "x1", "y0", "y1", "z0", "z1")
CENTROID = ("centroid_x_mm", "centroid_y_mm", "centroid_z_mm")
PREDICTIONS = "predictions.csv", ("volume", "label", "probability", "present")
REGIONS = "regions.csv", ("volume", "label", *EDGES, *CENTROID, "volume_ml", "long_axis_mm", "mean_hu", "score")
REMARKS = "remarks.csv", ("volume", "remark")
SALIENCY = "saliency"


def predict_volumes(
    model: Model,
    paths: Sequence[Path],
    out: Path,
    *,
    replace: bool = False,
    advance: Callable[[int, int], None] = lambda done, count: None,
) -> tuple[int, Failures]:
    """Predict NIfTI files and folders of DICOM slices into the folder `out`; see the module's docstring.

    Returns
    -------
    How many volumes were predicted, and those that could not be, each with the reason.

    Raises
    ------
    DataError
        The package sees images, a path is not there, `out` already holds predictions or cannot be written.
    """
    if model.card.input.kind != "volume":
        raise DataError(f"{model.card.name} sees single images, not volumes: give a package whose card says volume.")
    files, failures = volume_files(paths), []
    try:
        make_room(out, (PREDICTIONS[0], REGIONS[0], REMARKS[0]), SALIENCY, "*.nii.gz", replace=replace)
        with ExitStack() as stack:
            predictions, regions, remarks = (table(stack, out, *one) for one in (PREDICTIONS, REGIONS, REMARKS))
            for done, (name, path) in enumerate(files.items(), start=1):
                try:
                    volume = read_volume(path)
                    prediction = model.predict(volume.array, volume.spacing)
                except ModelsError as error:
                    failures.append((path, str(error)))
                else:
                    predictions.writerows(_prediction_rows(name, prediction, model))
                    regions.writerows(_region_rows(name, volume, prediction, model))
                    remarks.writerows((name, remark) for remark in (*prediction.remarks, *_reading(volume)))
                    _save(out / SALIENCY, name, volume, prediction)
                advance(done, len(files))
    except (OSError, RuntimeError) as error:
        raise DataError(f"{out} cannot be written: {getattr(error, 'strerror', None) or error}.") from error
    return len(files) - len(failures), tuple(failures)


def volume_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Volumes by name: files as given, and of folders all NIfTI files and folders of DICOM slices below them.

    Masks (NAME.LABEL.nii.gz beside NAME.nii.gz) are none. The name is the path below the deepest folder that holds
    them all, without the suffix of NIfTI.

    Raises
    ------
    DataError
        A path is not there, or there is no volume at all.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise DataError(f"There is no file or folder {', '.join(missing)}.")
    found = [one for path in map(plain, paths) for one in (_below(path) if path.is_dir() else (path,))]
    if not found:
        raise DataError(f"No .nii.gz file and no folder of DICOM slices is below {', '.join(map(str, paths))}.")
    return {_stem(name): path for name, path in names_below_one(found).items()}


def _below(folder: Path) -> Iterator[Path]:
    every = [folder, *sorted(one for one in folder.rglob("*") if one.is_dir())]
    for one in every:
        if any(part.startswith(".") for part in one.relative_to(folder).parts):
            continue
        yield from _nifti(one)
        if holds_ct(one):
            yield one


def _nifti(folder: Path) -> Iterator[Path]:
    files = sorted(one for one in folder.iterdir() if one.is_file() and is_nifti(one) and not one.name.startswith("."))
    names = {_stem(one.name) for one in files}
    yield from (one for one in files if not any(_stem(one.name).startswith(f"{name}.") for name in names))


def _stem(name: str) -> str:
    return next((name[: -len(suffix)] for suffix in SUFFIXES[::-1] if name.lower().endswith(suffix)), name)


def _reading(volume: Volume) -> Iterator[str]:
    if volume.tilt:
        yield f"the gantry was tilted by {volume.tilt:.1f} degrees: voxels and maps are of a resampled grid"


def _prediction_rows(name: str, prediction: Prediction, model: Model) -> Iterator[tuple[object, ...]]:
    reached = present(model.card, prediction.probabilities)
    for label, probability, found in zip(model.card.labels, prediction.probabilities, reached, strict=True):
        yield name, label.name, f"{probability:.6f}", int(found)


def _region_rows(name: str, volume: Volume, prediction: Prediction, model: Model) -> Iterator[tuple[object, ...]]:
    parts = zip(model.card.labels, present(model.card, prediction.probabilities), prediction.saliency, strict=True)
    for label, saliency in ((one, chart) for one, found, chart in parts if found and one.finding):
        for region in volume_regions(saliency, volume, label, MOST_REGIONS):
            size = extent(region.mask, volume)
            numbers = (*size.centroid, size.volume_ml, size.long_axis_mm, size.mean_hu)
            edges = _edges(region.mask, volume)
            yield name, label.name, *edges, *(f"{value:.6g}" for value in (*numbers, region.score))


def _edges(mask: Mask, volume: Volume) -> tuple[int, ...]:
    """x0, x1, y0, y1, z0, z1 of a mask of the volume, in voxels of its file."""
    in_file = sitk.GetArrayFromImage(volume.in_file(mask.astype(np.uint8))) > 0
    z, y, x = bounds(in_file)
    return x.start, x.stop - 1, y.start, y.stop - 1, z.start, z.stop - 1


def _save(folder: Path, name: str, volume: Volume, prediction: Prediction) -> None:
    for label, saliency in zip(prediction.labels, prediction.saliency, strict=True):
        path = folder / f"{name}.{label}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_nifti(path, volume.in_file(on_grid(saliency, volume.array.shape)))
