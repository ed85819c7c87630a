"""Cubes of labelled volumes: around each nodule, around each candidate in one, and around all other candidates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy.ct.grid import stretched
from models.data.tables import read_rows
from models.data.volumes.folders import masks_of, read_volume_examples
from models.data.volumes.nifti import read_nifti_mask
from models.data.volumes.volume import Volume
from models.errors import InputError
from models.fitting.ct.cubes import WIDE, Cubes
from models.localizers.detectors.candidates_ct import Candidates, cubes_at
from models.localizers.detectors.growing import Region
from models.regions import Mask

NODULES = ("Nodule", "Ground_Glass_Nodule", "nodule", "tumour")  # names of masks
LEAST_ML = 0.015
SHELL_MM, AERATED_HU = (2.0, 5.0), -600.0
DOUBTFUL_MM, IN_AIR = 8.0, 0.6  # diameter, and part of the shell that is aerated: may be a tumour that nobody outlined


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """A nodule of a volume: the part of the working grid that it covers, and its size."""

    mask: Mask
    near: Mask
    millilitres: float


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """A volume with its candidates and the nodules that are known; `complete` where it has no others (a phantom)."""

    series: str
    patient: str
    complete: bool
    candidates: Candidates
    lesions: tuple[Lesion, ...]

    @property
    def truth(self) -> NDArray[np.bool_]:
        """(n,) whether each candidate's middle lies in a nodule or beside its border."""
        near = [one.near for one in self.lesions]
        voxels = (blob.voxel for blob in self.candidates.blobs)
        return np.array([any(one[voxel] for one in near) for voxel in voxels], np.bool_)


def volumes_of(folder: Path, split: str) -> Iterator[tuple[str, str, Path]]:
    """(series, patient, file) of a labelled folder."""
    patients = {row["series"]: row["patient"] for row in read_rows(folder / "labels.csv", ("series", "patient"))}
    for file in read_volume_examples(folder, split, []).files:
        series = file.name.removesuffix(".nii.gz")
        yield series, patients[series], file


def lesions_of(file: Path, volume: Volume, candidates: Candidates) -> tuple[Lesion, ...]:
    """The parts of the nodules' masks beside a volume, on the grid of its candidates."""
    found, voxel_ml = list[Lesion](), float(np.prod(volume.spacing)) / 1000.0
    masks = masks_of(file)
    for path in (masks[name] for name in NODULES if name in masks):
        parts, count = ndimage.label(read_nifti_mask(path, volume), np.ones((3, 3, 3)))
        for number in range(1, count + 1):
            one = parts == number
            if one.sum() * voxel_ml >= LEAST_ML:
                mask = stretched(one.astype(np.float32), candidates.hu.shape) >= 0.5
                found.append(Lesion(mask, ndimage.binary_dilation(mask), float(one.sum()) * voxel_ml))
    return tuple(found)


def cubes_of(marked: Marked) -> Cubes:
    """The cubes of one volume: nodules by their middles, too, and no candidate that may be an unknown tumour."""
    candidates, truth = marked.candidates, marked.truth
    middles = [_middle(one.mask) for one in marked.lesions if one.mask.any()]
    regions = candidates.regions()
    usable = [
        (blob.voxel, bool(positive))
        for blob, positive, region in zip(candidates.blobs, truth, regions, strict=True)
        if positive or marked.complete or not _doubtful(candidates, region)
    ]
    voxels = [voxel for voxel, _ in usable] + middles
    nodule = np.array([positive for _, positive in usable] + [True] * len(middles), np.bool_)
    hu = np.rint(cubes_at(candidates.hu, voxels, WIDE)).astype(np.int16)
    return Cubes(hu, nodule, np.array([marked.patient] * len(voxels), np.str_))


def _doubtful(candidates: Candidates, region: Region) -> bool:
    """Whether a candidate is as large as a tumour and lies in aerated lung."""
    inside = region.mask
    volume = float(inside.sum()) * math.prod(candidates.spacing)
    if (6.0 * volume / math.pi) ** (1.0 / 3.0) < DOUBTFUL_MM:
        return False
    away = ndimage.distance_transform_edt(~inside, candidates.spacing)
    shell = (away > SHELL_MM[0]) & (away <= SHELL_MM[1])
    return bool((candidates.hu[region.box][shell] < AERATED_HU).mean() > IN_AIR)


def joined(parts: Sequence[Cubes]) -> Cubes:
    """All cubes of several volumes; InputError where no nodule or nothing else is among them."""
    whole = Cubes(*(np.concatenate([getattr(one, name) for one in parts]) for name in ("hu", "nodule", "patients")))
    if whole.nodule.all() or not whole.nodule.any():
        raise InputError("The volumes give no nodule, or no other candidate: there is nothing to tell apart.")
    return whole


def _middle(mask: Mask) -> tuple[int, int, int]:
    z, y, x = (round(float(one)) for one in np.argwhere(mask).mean(axis=0))
    return z, y, x
