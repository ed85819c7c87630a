"""Cohorts: written as `data.volumes` reads them, by the command too, bit for bit; splits share no anatomy."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.data.volumes.folders import labelled, masks_of, read_volume_examples
from models.data.volumes.nifti import read_nifti_mask, read_nifti_volume, write_nifti
from models.data.volumes.volume import Volume
from models.errors import DataError, InputError
from models.simulation.backgrounds import backgrounds_of, lungs_by_rule, read_chest
from models.simulation.chest import Chest
from models.simulation.cohort import LABELS, Anatomy, anatomies, planned, simulated, write_cohort
from models.simulation.fields import distance_inside
from models.simulation.nuisances import NUISANCES
from models.simulation.regions import sides_of
from models.simulation.scanner.noise import estimated
from tests.models.simulation.chests import grown, phantom

VOLUMES, SEED = 5, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort") / "one"
    write_cohort(out, anatomies(None, 5, SEED), VOLUMES, SEED, lambda *_: None)
    return out


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two chests as files, one with a mask of its lungs."""
    root = tmp_path_factory.mktemp("real")
    (root / "train").mkdir()
    for number in (1, 2):
        chest = phantom(number, 12.0)
        volume = Volume(chest.hu, chest.spacing)
        write_nifti(root / "train" / f"chest-{number}.nii.gz", volume.image(chest.hu.astype(np.int16)))
        if number == 1:
            write_nifti(root / "train" / "chest-1.lungs.nii.gz", volume.image(chest.lungs.astype(np.uint8)))
    rows = [f"train,chest-{number},person-{number},Somewhere,CC BY 4.0" for number in (1, 2)]
    text = ["split,series,patient,collection,licence", *rows, "validation,held,person-9,Somewhere,CC BY 4.0"]
    (root / "labels.csv").write_text("\n".join(text) + "\n")
    return root


def test_the_command_writes_the_same_bytes_as_the_function(folder: Path, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "two"), "--phantoms", "5", "--volumes", str(VOLUMES), "--seed", str(SEED)]
    code = "import sys; from models.commands.cli import app; app(['simulate', *sys.argv[1:]])"
    done = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "5 volumes of up to 5 anatomies written" in done.stderr.replace("\n", " ")
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert names == sorted(
        path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*") if path.is_file()
    )
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_the_folder_reads_as_labelled_volumes(folder: Path) -> None:
    assert labelled(folder) == LABELS
    for split in ("train", "validation", "test"):
        examples = read_volume_examples(folder, split, LABELS)
        for file, truth in zip(examples.files, examples.truth, strict=True):
            masks = masks_of(file)
            assert set(masks) == {"lungs", *np.array(LABELS)[truth]}
            volume = read_nifti_volume(file)
            assert volume.spacing == (2.0, 2.0, 2.0)
            assert read_nifti_mask(masks["lungs"], volume).sum() > 100_000


def test_each_row_records_what_was_drawn(folder: Path) -> None:
    with (folder / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == VOLUMES
    for row in rows:
        record = json.loads(row["simulation"])
        assert set(record) == {"severity", "ml", "nuisances", "scan"}
        assert {label for label in LABELS if row[label] == "1"} == set(record["ml"])


def test_a_finished_folder_is_not_written_over(folder: Path) -> None:
    with pytest.raises(DataError, match="name a new folder"):
        write_cohort(folder, anatomies(None, 5, 0), 3, 0, lambda *_: None)


@pytest.mark.parametrize("seed", range(3))
def test_no_split_shares_an_anatomy(real: Path, seed: int) -> None:
    cases = planned(anatomies(real, 23, seed), 200, seed)
    splits: dict[str, set[str]] = {}
    for one in cases:
        splits.setdefault(one.split, set()).add(one.name)
    assert len(cases) == 200
    assert set(splits) == {"train", "validation", "test"}
    assert sum(len(names) for names in splits.values()) == len(set().union(*splits.values()))
    assert Counter(one.split for one in cases)["train"] == 128


def test_real_anatomies_keep_their_split_whatever_the_seed(real: Path) -> None:
    first, *others = ({one.name: one.split for one in anatomies(real, 5, seed) if one.background} for seed in range(4))
    assert all(other == first for other in others)
    assert set(first) == {"person-1", "person-2"}


def test_too_few_anatomies_are_refused() -> None:
    with pytest.raises(DataError, match="give five phantom families"):
        anatomies(None, 3, 0)


def test_normal_and_lesion_have_the_same_noise_outside_of_the_lesion() -> None:
    anatomy = anatomies(None, 5, 1)[0]
    normal = simulated(anatomy, 1, 5, {})
    ill = simulated(anatomy, 1, 5, {"Consolidation": 0.7})
    assert not normal.chest.masks
    lesion = np.any(list(ill.chest.masks.values()), axis=0)
    away = distance_inside(lesion, normal.chest.spacing) < -25.0  # mm: so wide is a consolidation's border
    assert np.array_equal(normal.volume.array[away], ill.volume.array[away])
    assert not np.array_equal(normal.volume.array[lesion], ill.volume.array[lesion])
    one, two = (estimated(made.volume.array, (2.0, 2.0, 2.0)) for made in (normal, ill))
    assert one.sigma > 3
    assert two.sigma == pytest.approx(one.sigma, rel=0.05)


def test_a_lesion_in_a_real_chest_has_that_scans_noise(real: Path) -> None:
    chest = read_chest(backgrounds_of(real)[0])
    assert chest.noise.sigma == pytest.approx(12.0, rel=0.3)
    from models.simulation.lesions.effusion import effusion

    ill = effusion(chest, np.random.default_rng(2), 0.8)
    fluid = ill.masks["Effusion"]
    inner = fluid & ~grown(~fluid, 3)
    assert ill.hu[inner].std() == pytest.approx(chest.noise.sigma, rel=0.35)


def test_a_background_without_a_mask_gets_its_lungs_by_rule(real: Path) -> None:
    found, truth = {one.patient: read_chest(one) for one in backgrounds_of(real)}["person-2"], phantom(2, 12.0)
    dice = 2 * (found.lungs & truth.lungs).sum() / (found.lungs.sum() + truth.lungs.sum())
    assert dice > 0.95
    assert found.heart.any()


def test_what_is_no_chest_is_refused(real: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No lungs"):
        lungs_by_rule(np.full((20, 40, 40), 40.0, np.float32), (2.0, 2.0, 2.0))
    with pytest.raises(InputError, match="no two lungs"):
        sides_of(phantom().sides == 1, phantom().spacing)
    with pytest.raises(DataError, match=r"labels\.csv cannot be read"):
        backgrounds_of(tmp_path)
    (tmp_path / "labels.csv").write_text("split,series\ntrain,a\n")
    with pytest.raises(DataError, match="columns series, patient"):
        backgrounds_of(tmp_path)


@pytest.mark.parametrize("name", sorted(NUISANCES))
def test_a_nuisance_changes_voxels_and_makes_no_mask(name: str) -> None:
    before = phantom(0, 15.0)
    kept = before.hu.copy()
    after: Chest = NUISANCES[name][1](before, np.random.default_rng(4))
    assert not after.masks
    assert not np.array_equal(after.hu, before.hu)
    assert np.array_equal(before.hu, kept)
    assert np.array_equal(after.sides, before.sides)


def test_about_three_of_ten_have_no_lesion_and_each_label_occurs() -> None:
    from models.simulation.cohort import _chosen

    drawn = [_chosen(np.random.default_rng(number)) for number in range(600)]
    counts = Counter(label for one in drawn for label in one)
    assert 0.25 < sum(not one for one in drawn) / len(drawn) < 0.35
    assert set(counts) == set(LABELS)
    assert min(counts.values()) > 60
    assert any(len(one) == 3 for one in drawn)


def test_anatomies_of_phantoms_are_named_by_their_seed() -> None:
    assert {one.name for one in anatomies(None, 5, 1)}.isdisjoint(one.name for one in anatomies(None, 5, 2))
    assert all(isinstance(one, Anatomy) for one in anatomies(None, 5, 1))
