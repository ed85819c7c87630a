"""A labelled folder of simulated chests: which anatomy, which lesions, which scan; written as `data.volumes` reads it.

Every volume is drawn from (seed, its number) alone: the same command writes the same bytes. Anatomies and phantom
families are divided first (of five in a fixed order three train, one validates, one tests), then volumes are drawn, so
no split shares one. Three volumes of ten have no lesion; the others have one to three kinds.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
from models.simulation.scanner.acquire import Scan, drawn_scan, scanned
from models.simulation.visible import visible

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
    record: Mapping[str, object]


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


def simulated(anatomy: Anatomy, seed: int, number: int, chosen: Mapping[str, float] | None = None) -> Simulated:
    """One volume of an anatomy with its own lesions, or with `chosen` ones (severity 0..1 by label).

    Anatomy, nuisances, lesions and scan have a generator each: with other lesions the rest is the same chest.
    """
    anatomy_rng, plan, nuisance_rng, lesion_rng, scan_rng = (
        np.random.default_rng(one) for one in np.random.SeedSequence((seed, 11, number)).spawn(5)
    )
    chosen = _chosen(plan) if chosen is None else dict(chosen)
    names = [name for name, (chance, _) in NUISANCES.items() if plan.random() < chance]
    chest = _anatomy_of(anatomy, seed, anatomy_rng)
    for name in names:
        chest = NUISANCES[name][1](chest, nuisance_rng)
    if "Cardiomegaly" not in chosen:
        chest = small_heart_change(chest, nuisance_rng)
    for label, make in lesions().items():
        if label in chosen:
            chest = make(chest, lesion_rng, chosen[label])
    chest = visible(chest)
    scan = drawn_scan(scan_rng, real=anatomy.background is not None)
    stored = scanned(chest.hu, chest.spacing, scan, scan_rng)
    return Simulated(Volume(stored.astype(np.float32), chest.spacing), chest, _record(chest, chosen, names, scan))


def _record(chest: Chest, chosen: Mapping[str, float], nuisances: Sequence[str], scan: Scan) -> dict[str, object]:
    return {
        "severity": {label: round(severity, 3) for label, severity in chosen.items()},
        "ml": {label: round(float(mask.sum()) * chest.voxel_ml(), 3) for label, mask in chest.masks.items()},
        "nuisances": list(nuisances),
        "scan": {name: round(float(value), 3) for name, value in asdict(scan).items()},
    }


def write_cohort(folder: Path, cases: Sequence[Anatomy], volumes: int, seed: int, advance: Advance) -> None:
    """Volumes, masks of lesions and lungs, labels.csv (last: a folder without it is not finished).

    Raises
    ------
    DataError
        The folder holds a labels.csv already.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty: name a new folder.")
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
        count = volumes - len(plan) if split == "test" else max(1, round(volumes * share))
        here = [one for one in cases if one.split == split]
        kinds = [[one for one in here if (one.background is not None) is real] for real in (True, False)]
        order = [[kind[k] for k in rng.permutation(len(kind))] for kind in kinds if kind]
        plan += [order[k % len(order)][k // len(order) % len(order[k % len(order)])] for k in range(count)]
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
