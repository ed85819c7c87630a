"""A package of nodules on chest CT: a CNN fitted on candidates, its threshold chosen on left-out anatomies."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from models.ct_training.candidates import Marked, cubes_of, joined, lesions_of, volumes_of
from models.ct_training.making import Made, Making, write_package, write_run
from models.data.volumes.nifti import read_nifti_volume
from models.errors import InputError
from models.fitting.ct.cubes import Cubes, fit
from models.fitting.task import Advance
from models.localizers.ct.nodules import NoduleLocalizer, cube_logits
from models.metrics.draws import patient_draws
from models.metrics.froc import Marks, froc_sensitivity
from models.networks.modules.cubes import SIDE, CubeNetwork
from models.packages import volume_lungs

FOLDS = 2
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false candidates a scan
PHANTOM = "phantom"  # begins the names of anatomies that have no nodule but the simulated ones
FALSE_A_SCAN = 1.0  # at the operating point, out of fold
METHOD = (
    "Candidates: maxima of the Laplacian of Gaussians in the closed lungs, each scored by a small 3D CNN (AdamW)"
    " on cubes that are moved, mirrored, blurred, with noise."
)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Candidates of one volume: which lesion each one's middle lies in (-1: none), its strength and its cube in HU."""

    series: str
    patient: str
    lesions: int
    on: NDArray[np.int64]
    strengths: NDArray[np.float64]
    cubes: NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The same with the logits of a CNN."""

    patient: str
    lesions: int
    on: NDArray[np.int64]
    strengths: NDArray[np.float64]
    logits: NDArray[np.float64]


def make(making: Making) -> Made:
    """Fit on the split "train", choose on left-out anatomies, measure on the split `making.test`, write the package.

    Raises
    ------
    DataError
        The folder is not what `models.data.volumes.folders` reads.
    InputError
        Its volumes give no nodule.
    """
    started = time.monotonic()
    localizer = NoduleLocalizer(CubeNetwork(), 0.5, volume_lungs(making.like))
    parts = [(cubes_of(one), seen(one)) for one in marked_volumes(making.data, "train", localizer, making.advance)]
    cubes, trained = joined([one for one, _ in parts]), [one for _, one in parts]
    held_out = [pair for fold in range(FOLDS) for pair in _scored_out(fold, cubes, trained, making)]
    network = fit(cubes, making.seed, making.advance)
    of_test = marked_volumes(making.data, making.test, localizer, making.advance)
    tested = [scored(network, seen(one)) for one in of_test]
    folder = making.run / making.like.name
    patients = [one.patient for one in held_out]
    card = making.card(patients, METHOD, f"its operating point by {FOLDS} folds by anatomy", simulated=False)
    card = _with_threshold(card, held_out)
    write_package(folder, network, card)
    figures = {"out of fold": froc_table(held_out), making.test: froc_table(tested)}
    write_run(making, {"seconds": round(time.monotonic() - started, 1), "rates": RATES, "froc": figures})
    return Made(folder, tuple(_line(name, table) for name, table in figures.items()))


def marked_volumes(folder: Path, split: str, localizer: NoduleLocalizer, advance: Advance) -> Iterator[Marked]:
    """The volumes of a split with their candidates; those in which no lungs are seen are left out."""
    rows = list(volumes_of(folder, split))
    for done, (series, patient, file) in enumerate(rows, start=1):
        volume = read_nifti_volume(file)
        try:
            candidates, _ = localizer.candidates(volume.array, volume.spacing)
        except InputError:
            continue
        lesions = lesions_of(file, volume, candidates)
        yield Marked(series, patient, patient.startswith(PHANTOM), candidates, lesions)
        advance(f"volumes of {split}", done, len(rows))


def seen(marked: Marked) -> Seen:
    """What is needed of a volume to score its candidates."""
    blobs, near = marked.candidates.blobs, [one.near for one in marked.lesions]
    on = [next((number for number, one in enumerate(near) if one[blob.voxel]), -1) for blob in blobs]
    strengths = np.array([blob.strength for blob in blobs], np.float64)
    cubes = np.rint(marked.candidates.cubes(SIDE)).astype(np.int16)
    return Seen(marked.series, marked.patient, len(near), np.array(on, np.int64), strengths, cubes)


def scored(network: CubeNetwork, one: Seen) -> Scored:
    """The candidates of a volume, scored."""
    logits = cube_logits(network, one.cubes.astype(np.float32)).astype(np.float64)
    return Scored(one.patient, one.lesions, one.on, one.strengths, logits)


def _scored_out(fold: int, cubes: Cubes, trained: Sequence[Seen], making: Making) -> Iterator[Scored]:
    patients = sorted({one.patient for one in trained})
    held = frozenset(patients[fold::FOLDS])
    network = fit(cubes.rows(~np.isin(cubes.patients, list(held))), making.seed, making.advance)
    yield from (scored(network, one) for one in trained if one.patient in held)


def marks_of(volumes: Sequence[Scored], kind: str) -> Marks:
    """Found lesions and false candidates, by "logits" or "strengths"; of several on one lesion the best counts."""
    found, found_in, false, false_in = list[float](), list[int](), list[float](), list[int]()
    for number, one in enumerate(volumes):
        scores = getattr(one, kind)
        for lesion in range(one.lesions):
            found.append(float(scores[one.on == lesion].max(initial=-np.inf)))
            found_in.append(number)
        false += scores[one.on < 0].tolist()
        false_in += [number] * int((one.on < 0).sum())
    rows = (np.array(found_in, np.intp), np.array(false_in, np.intp))
    return Marks(np.array(found, np.float64), rows[0], np.array(false, np.float64), rows[1], len(volumes))


def froc_table(volumes: Sequence[Scored]) -> dict[str, object]:
    """Sensitivity at `RATES` before and after the CNN, with 95 % intervals by anatomy; how many nodules there are."""
    table: dict[str, object] = {"scans": len(volumes), "nodules": sum(one.lesions for one in volumes)}
    if not table["nodules"]:
        return table
    patients = np.unique([one.patient for one in volumes], return_inverse=True)[1].astype(np.int64)
    draws = patient_draws(patients)
    for kind in ("strengths", "logits"):
        marks = marks_of(volumes, kind)
        drawn = froc_sensitivity(marks, RATES, draws)
        ends = np.nanquantile(drawn, [0.025, 0.975], axis=0).round(3)
        table[kind] = froc_sensitivity(marks, RATES).round(3).tolist()
        table[f"{kind} 95 %"] = ends.T.tolist()
    table["found by any candidate"] = round(float(np.isfinite(marks_of(volumes, "logits").found).mean()), 3)
    return table


def _with_threshold(like: Card, volumes: Sequence[Scored]) -> Card:
    """The score that leaves `FALSE_A_SCAN`, out of fold, as operating point and as the border of regions."""
    false = np.sort(np.concatenate([one.logits[one.on < 0] for one in volumes]))[::-1]
    logit = float(false[min(len(false) - 1, round(FALSE_A_SCAN * len(volumes)))])
    point = round(1.0 / (1.0 + math.exp(-logit)), 4)
    update = {"operating_point": point, "saliency_threshold": point}
    return like.model_copy(update={"labels": tuple(label.model_copy(update=update) for label in like.labels)})


def _line(name: str, table: dict[str, object]) -> str:
    return f"{name}: nodules: {table['nodules']}, scans: {table['scans']}; found at {RATES} false a scan: " + (
        f"{table.get('strengths')} before and {table.get('logits')} after the CNN"
    )
