from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file

from models.data.images import images_below
from models.errors import DataError, PackageError, RunError
from models.learning.contrast.simclr import Pretraining, read_unlabelled
from models.learning.images import Views, batches
from models.learning.machine import Machine, machine
from models.learning.sampling import plan
from models.networks.modules.backbone_file import imagenet_weights
from tests.models import phantoms
from tests.models.learning.runs import CONTRAST, CPU, contrasted

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)


def test_a_labelled_folder_gives_its_split_train_by_patient(data: Path) -> None:
    kept, held = read_unlabelled(data, 0)
    assert len(kept) + len(held) == 60
    assert {int(file.stem) // 2 for file in kept}.isdisjoint({int(file.stem) // 2 for file in held})
    assert max(int(file.stem) for file in (*kept, *held)) < 60


def test_any_folder_of_images_will_do(tmp_path: Path) -> None:
    """PNG, JPEG, DICOM with and without a name that says so, NIfTI; nothing else."""
    (tmp_path / "deep").mkdir()
    for number in range(9):
        Image.fromarray(np.full((40, 40), 20 * number, np.uint8)).save(tmp_path / "deep" / f"{number}.jpg")
    shutil.copy(str(get_testdata_file("CT_small.dcm")), tmp_path / "IM0001")
    nibabel.save(nibabel.Nifti1Image(np.zeros((40, 40), np.float32), np.eye(4)), tmp_path / "a.nii.gz")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    files = images_below(tmp_path)
    assert {file.name for file in files} == {"IM0001", "a.nii.gz", *(f"{number}.jpg" for number in range(9))}
    kept, held = read_unlabelled(tmp_path, 0)
    assert sorted((*kept, *held)) == sorted(files)
    assert len(held) == 2
    learner = Pretraining(
        read_unlabelled(tmp_path, 0), phantoms.card(), replace(CONTRAST, batch=4), imagenet_weights(), CPU
    )
    assert len([loss for loss in learner.losses(0) if torch.isfinite(loss)]) == 2


def test_two_views_of_an_image_differ_and_workers_make_the_same(data: Path) -> None:
    learner = Pretraining(read_unlabelled(data, 0), phantoms.card(), CONTRAST, imagenet_weights(), CPU)
    order = plan(len(learner.images.train), 4, 0, 0)[:2]
    alone = list(batches(learner.views, order, learner.how, CPU))
    assert alone[0][1].shape == (4, 2, 3, 96, 96)
    assert not torch.equal(alone[0][1][:, 0], alone[0][1][:, 1])
    together = list(batches(learner.views, order, learner.how, Machine(CPU.device, 1)))
    for (rows, x), (other, y) in zip(alone, together, strict=True):
        assert torch.equal(rows, other)
        assert torch.equal(x, y)


def test_the_input_is_that_of_the_card(data: Path) -> None:
    how = phantoms.card().network
    assert how is not None
    views = Views(read_unlabelled(data, 0).train, (96, 96), lambda image, seed: torch.ones(96, 96))
    ((_, x),) = batches(views, plan(5, 5, 0, 0), how, CPU)
    torch.testing.assert_close(x, torch.full_like(x, (1 - how.mean) / how.std))


def test_it_learns_to_find_the_partner(few: Path, tmp_path: Path) -> None:
    found = contrasted(few, tmp_path / "run", replace(CONTRAST, epochs=6))
    lines = [line.split(",") for line in (tmp_path / "run" / "history.csv").read_text().splitlines()[1:]]
    assert float(lines[-1][2]) < 0.9 * float(lines[0][2])
    assert found.held_out_loss == pytest.approx(min(float(line[3]) for line in lines), rel=1e-5)


def test_too_few_images_are_named(tmp_path: Path, data: Path) -> None:
    with pytest.raises(DataError, match="There is no folder"):
        read_unlabelled(tmp_path / "nothing", 0)
    with pytest.raises(RunError, match="Too few images to pretrain .*: 0 images or patients, 10 are needed"):
        read_unlabelled(tmp_path, 0)
    with pytest.raises(RunError, match=r"54 and 6 held out; a batch of 64 needs as many"):
        contrasted(data, tmp_path / "run", replace(CONTRAST, batch=64))
    with pytest.raises(RunError, match="temperature must be above 0"):
        replace(CONTRAST, temperature=0.0)
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_named() -> None:
    assert machine("cpu", 0) == CPU
    with pytest.raises(RunError, match="The device 'teapot' cannot be used"):
        machine("teapot", 0)
