"""A labelled folder of simulated chests: which anatomy, which lesions, which scan; written as `data.volumes` reads it.

Every volume is drawn from (seed, its number) alone: the same command writes the same bytes. Anatomies and phantom
families are divided first (of five in a fixed order three train, one validates, one tests), then volumes are drawn, so
no split shares one. Three volumes of ten have no lesion; the others have one to three kinds.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from models.data.volumes.nifti import write_nifti
from models.data.volumes.volume import Volume
from models.errors import DataError
from models.simulation.backgrounds import Background, backgrounds_of, bent, read_chest
from models.simulation.chest import Chest
from models.simulation.lesions.registry import lesions
from models.simulation.nuisances import NUISANCES, small_heart_change
from models.simulation.phantoms.family import drawn_family, varied
from models.simulation.phantoms.render import render
from models.simulation.scanner.acquire import drawn_scan, scanned

LABELS = (
    "Pneumothorax",
    "Effusion",
    "Consolidation",
    "Emphysema",
    "Cardiomegaly",
    "Nodule",
    "Ground_Glass_Nodule",
)
SPLITS = ("train", "train", "train", "validation", "test")  # of anatomies in their order
SHARES = {"train": 0.64, "validation": 0.18, "test": 0.18}  # of volumes
WITHOUT = 0.3
NUMBERS = (0.5, 0.3, 0.2)  # of one, two, three kinds of lesions
SMALLEST_ML = {"Nodule": 0.02, "Ground_Glass_Nodule": 0.05}
SMALLEST_OTHER_ML = 3.0
COLUMNS = ("split", "series", "patient", "collection", "licence", "drawn_from", "simulation")

Advance = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A patient: a real chest, or the number of a phantom family."""

    name: str
    collection: str
    licence: str
    split: str
    background: Background | None = None
    family: int = 0


@dataclass(frozen=True, slots=True)
class Simulated:
    """One chest after its scan."""

    volume: Volume
    chest: Chest
    record: Mapping[str, object] = field(default_factory=dict)


def anatomies(folder: Path | None, phantoms: int, seed: int) -> tuple[Anatomy, ...]:
    """Real chests of a folder and phantom families, each with its split.

    Raises
    ------
    DataError
        There is none, or too few for each split to have one.
    """
    found = []
    for number, one in enumerate(backgrounds_of(folder) if folder else ()):
        split = SPLITS[number % len(SPLITS)]
        found.append(Anatomy(one.patient, one.collection, one.licence, split, background=one))
    for number in range(phantoms):
        name = f"phantom-{seed}-{number:03}"
        found.append(Anatomy(name, "ReadFirst phantoms", "Apache-2.0", SPLITS[number % len(SPLITS)], family=number))
    missing = set(SHARES) - {one.split for one in found}
    if missing:
        raise DataError(
            f"No anatomy is left for {', '.join(sorted(missing))}: give five phantom families or real chests, or more."
        )
    return tuple(found)


def simulated(anatomy: Anatomy, seed: int, number: int) -> Simulated:
    """One volume of an anatomy."""
    rng = np.random.default_rng((seed, 11, number))
    chest = _anatomy_of(anatomy, seed, rng)
    chosen = _chosen(rng)
    names = [name for name, (chance, _) in NUISANCES.items() if rng.random() < chance]
    for name in names:
        chest = NUISANCES[name][1](chest, rng)
    if "Cardiomegaly" not in chosen:
        chest = small_heart_change(chest, rng)
    for label, make in lesions().items():
        if label in chosen:
            chest = make(chest, rng, chosen[label])
    chest = _kept(chest)
    scan = drawn_scan(rng, real=anatomy.background is not None)
    stored = scanned(chest.hu, chest.spacing, scan, rng)
    record = {
        "severity": {label: round(chosen[label], 3) for label in chosen},
        "ml": {label: round(float(mask.sum()) * chest.voxel_ml(), 3) for label, mask in chest.masks.items()},
        "nuisances": names,
        "scan": {key: round(value, 3) for key, value in _fields(scan).items()},
    }
    return Simulated(Volume(stored.astype(np.float32), chest.spacing), chest, record)


def write_cohort(folder: Path, cases: Sequence[Anatomy], volumes: int, seed: int, advance: Advance) -> None:
    """Volumes, masks of lesions and lungs, labels.csv (last: a folder without it is not finished).

    Raises
    ------
    DataError
        The folder holds a labels.csv already.
    """
    if (folder / "labels.csv").exists():
        raise DataError(f"{folder} holds labels.csv already: name a new folder.")
    rows = []
    for number, anatomy in enumerate(planned(cases, volumes, seed)):
        made = simulated(anatomy, seed, number)
        rows.append(_written(folder, anatomy, made, seed, number))
        advance("volumes", number + 1, volumes)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*COLUMNS, *LABELS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def planned(cases: Sequence[Anatomy], volumes: int, seed: int) -> tuple[Anatomy, ...]:
    """The anatomy of each volume: split by share, then a kind (real or phantom) by half, then an anatomy in turn."""
    rng = np.random.default_rng((seed, 3))
    plan: list[Anatomy] = []
    for split, share in SHARES.items():
        count = volumes - len(plan) if split == "test" else round(volumes * share)
        kinds = [[one for one in cases if one.split == split and (one.background is not None) is real] for real in (True, False)]
        kinds = [list(rng.permutation(np.array(kind, object))) for kind in kinds if kind]
        plan += [kinds[k % len(kinds)][k // len(kinds) % len(kinds[k % len(kinds)])] for k in range(count)]
    return tuple(plan)


def _anatomy_of(anatomy: Anatomy, seed: int, rng: np.random.Generator) -> Chest:
    if anatomy.background is not None:
        return bent(_read(anatomy.background), rng)
    return render(varied(drawn_family(anatomy.family, seed), rng), rng)


@lru_cache(maxsize=16)
def _read(background: Background) -> Chest:
    return read_chest(background)


def _chosen(rng: np.random.Generator) -> dict[str, float]:
    """Severity 0..1 of each kind of lesion that the chest gets."""
    if rng.random() < WITHOUT:
        return {}
    count = 1 + int(rng.choice(3, p=NUMBERS))
    return {str(label): float(rng.beta(1.3, 1.3)) for label in rng.choice(LABELS, count, replace=False)}


def _kept(chest: Chest) -> Chest:
    """Without masks so small that nobody would see the lesion: what another lesion covered has no label."""
    least = {label: SMALLEST_ML.get(label, SMALLEST_OTHER_ML) / chest.voxel_ml() for label in chest.masks}
    return replace(chest, masks={label: mask for label, mask in chest.masks.items() if mask.sum() >= least[label]})


def _written(folder: Path, anatomy: Anatomy, made: Simulated, seed: int, number: int) -> dict[str, object]:
    series = f"sim-{number:04}"
    target = folder / anatomy.split
    target.mkdir(parents=True, exist_ok=True)
    write_nifti(target / f"{series}.nii.gz", made.volume.image(made.volume.array.astype(np.int16)))
    for name, mask in {"lungs": made.chest.lungs, **made.chest.masks}.items():
        write_nifti(target / f"{series}.{name}.nii.gz", made.volume.image(mask.astype(np.uint8)))
    row: dict[str, object] = {
        "split": anatomy.split,
        "series": series,
        "patient": anatomy.name,
        "collection": anatomy.collection,
        "licence": anatomy.licence,
        "drawn_from": f"seed {seed} volume {number}",
        "simulation": json.dumps(made.record, sort_keys=True),
    }
    return row | {label: int(label in made.chest.masks) for label in LABELS}


def _fields(scan: object) -> dict[str, float]:
    return {name: getattr(scan, name) for name in scan.__slots__}  # type: ignore[attr-defined]
