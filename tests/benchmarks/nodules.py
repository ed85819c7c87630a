"""Candidates of `chest-ct-nodules` on real chests whose lesion is outlined: `python -m tests.benchmarks.nodules DATA`.

DATA is ../shared/data/chest_ct: volumes/validation with SERIES.nodule.nii.gz or SERIES.tumour.nii.gz, and
LIDC-IDRI-0001 with its four readers. For each lesion: its rank among the candidates by strength and by the CNN, Dice
of the region, and the seconds that the volume took.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from models.anatomy.ct.grid import stretched
from models.ct_training.candidates import Lesion, Marked, lesions_of, volumes_of
from models.ct_training.nodules import Scored, froc_table
from models.data.volumes.nifti import read_nifti_volume
from models.data.volumes.volume import Volume
from models.localizers.ct.nodules import NoduleLocalizer
from models.localizers.detectors.candidates_ct import Candidates
from models.metrics.masks import dice
from models.packages import find, load

Mask = NDArray[np.bool_]


def main() -> None:
    """Print a line for each lesion, then the sensitivity at each number of false candidates a scan."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.nodules", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--package", default="chest-ct-nodules")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    localizer = load(find(given.package), "cpu", given.threads).localizer
    assert isinstance(localizer, NoduleLocalizer)
    print("| series | lesion, ml | rank by strength | rank by the CNN | its logit | Dice | lungs | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    scans = []
    for series, volume, masks in cases(given.data):
        started = time.monotonic()
        candidates, lungs = localizer.candidates(volume.array, volume.spacing)
        logits = localizer.logits(candidates)
        seconds = time.monotonic() - started
        lesions = masks if isinstance(masks, tuple) else lesions_of(masks, volume, candidates)
        marked = Marked(series, series, False, candidates, tuple(_on_grid(one, candidates) for one in lesions))
        scans.append(_scored(marked, logits))
        for lesion in marked.lesions:
            row = _row(marked, lesion, logits)
            print(f"| {series} | {lesion.millilitres:.1f} | {row} | {lungs.method} | {seconds:.1f} |", flush=True)
    print(json.dumps(froc_table(scans[:-1]), indent=1))


def cases(data: Path) -> Iterator[tuple[str, Volume, Path | tuple[Lesion, ...]]]:
    """Name, volume, and the file whose masks lie beside it, or the lesions themselves; LIDC-IDRI-0001 is the last."""
    for series, _, file in volumes_of(data / "volumes", "validation"):
        yield series, read_nifti_volume(file), file
    yield from _lidc(data / "lidc-idri-0001")


def _lidc(folder: Path) -> Iterator[tuple[str, Volume, tuple[Lesion, ...]]]:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / "dicom")))
    volume = Volume.of_image(reader.Execute())
    notes = json.loads((folder / "nodule_annotations.json").read_text(encoding="utf-8"))["annotations"]
    readers = np.zeros(volume.array.shape, np.uint8)
    for note in notes:
        mask = np.zeros(volume.array.shape, np.bool_)
        for contour in note["contours"]:
            slice_ = round((contour["z"] - volume.origin[2]) / volume.spacing[0])
            mask[slice_] |= polygon2mask(mask.shape[1:], np.array(contour["xy"])[:, ::-1])
        readers += mask
    both = readers >= 2
    yield "LIDC-IDRI-0001", volume, (Lesion(both, both, float(both.sum() * np.prod(volume.spacing)) / 1000.0),)


def _on_grid(lesion: Lesion, candidates: Candidates) -> Lesion:
    if lesion.mask.shape == candidates.hu.shape:
        return lesion
    mask = stretched(lesion.mask.astype(np.float32), candidates.hu.shape) >= 0.5
    return Lesion(mask, mask, lesion.millilitres)


def _scored(marked: Marked, logits: NDArray[np.float32]) -> Scored:
    near = [one.near for one in marked.lesions]
    blobs = marked.candidates.blobs
    on = np.array([next((n for n, one in enumerate(near) if one[blob.voxel]), -1) for blob in blobs], np.int64)
    strengths = np.array([blob.strength for blob in blobs])
    return Scored(marked.patient, len(near), on, strengths, logits.astype(np.float64))


def _row(marked: Marked, lesion: Lesion, logits: NDArray[np.float32]) -> str:
    hits = [number for number, blob in enumerate(marked.candidates.blobs) if lesion.near[blob.voxel]]
    if not hits:
        return "no candidate | | | "
    best = max(hits, key=lambda number: logits[number])
    region = marked.candidates.regions()[best]
    whole = np.zeros(marked.candidates.hu.shape, np.bool_)
    whole[region.box] = region.mask
    after = int((logits > logits[best]).sum()) + 1
    return f"{hits[0] + 1} | {after} of {len(logits)} | {logits[best]:.1f} | {dice(whole, lesion.mask):.2f}"


if __name__ == "__main__":
    main()
