"""Networks of volumes of one's own: masks of CT and MR in 3D, drawn where the ball lies; maps of random weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import readfirst
import torch
from pydicom import Dataset, dcmread
from pydicom.uid import MRImageStorage
from torch import nn

from models import packages
from tests.workers import ct_phantoms as ct


class Bright(nn.Module):
    """A mask of the voxels whose value is above a level, by a convolution of one voxel."""

    def __init__(self, level: float = 0.5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, 1, 1, 1, 1), 40.0))
        self.bias = nn.Parameter(torch.tensor([-40.0 * level]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv3d(x, self.weight, self.bias)


def package(network: nn.Module, modality: str = "CT", **given: Any) -> readfirst.Package:
    made = readfirst.Package("balls", network, licence="MIT", trained_on="nothing")
    window = {"window": (160, 280)} if modality == "CT" else {"percentiles": (0, 100)}
    made.input(
        modality=[modality], volume=True, smallest=(8, 8), **({"size": (16, 24, 32), "spacing": 2.5} | window | given)
    )
    made.finding("Mass", sct="4147007", site="39607008")
    return made


def magnetic(slices: list[Dataset]) -> list[Dataset]:
    """The same as MR: numbers without a unit and without Rescale Slope."""
    for one in slices:
        one.Modality, one.SOPClassUID = "MR", MRImageStorage
        one.file_meta.MediaStorageSOPClassUID = MRImageStorage
        one.ImageType = ["ORIGINAL", "PRIMARY"]
        del one.RescaleSlope, one.RescaleIntercept
    return slices


@pytest.mark.parametrize(("modality", "tilt", "turn"), [("CT", 0, 25), ("CT", 12, 0), ("MR", 0, 25)])
def test_a_mask_lies_on_the_ball_in_the_patient(tmp_path: Path, modality: str, tilt: float, turn: float) -> None:
    slices = ct.ct(tilt, turn)
    slices = magnetic(slices) if modality == "MR" else slices
    ct.written(slices, tmp_path)
    made = package(Bright(0.5 if modality == "CT" else 0.9), modality)  # about 160 HU: water is below
    made.output("masks")
    trial = made.test(tmp_path, out=tmp_path / "a" / "b" / "results")
    kinds = dict(trial.results)
    segmentation = dcmread(kinds["segmentation"])
    centre, volume = measured(segmentation)
    assert np.linalg.norm(centre - ct.BALL) < 1.0
    assert volume == pytest.approx(4 / 3 * np.pi * ct.RADIUS**3, rel=0.25)  # between lung and ball that is inside
    statement = dcmread(kinds["statement"]).to_json()
    (written,) = re.findall(r"volume ([0-9.]+) ml", statement)
    assert float(written) == pytest.approx(volume / 1000, abs=0.006)
    assert ("HU" in statement) == (modality == "CT")


def measured(segmentation: Dataset) -> tuple[np.ndarray, float]:
    """Centre in LPS mm and volume in mm3, by the Segmentation's own geometry."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    axes = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    down, across = (float(one) for one in shared.PixelMeasuresSequence[0].PixelSpacing)
    places = []
    for frame, plane in zip(segmentation.PerFrameFunctionalGroupsSequence, segmentation.pixel_array, strict=True):
        rows, columns = np.nonzero(plane)
        start = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        places.append(start + rows[:, None] * down * axes[1] + columns[:, None] * across * axes[0])
    every = np.concatenate(places)
    return every.mean(axis=0), len(every) * down * across * ct.STEPS[0]


def test_masks_do_not_depend_on_the_windows_that_the_volume_is_seen_in(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(160, 100, (12, 30, 34)).astype(np.float32)
    made = package(Bright(), size=(8, 16, 16), spacing=(4.0, 2.5, 2.5))
    made.output("masks")
    prediction = packages.load(made.save(tmp_path / "balls"), "cpu").predict(volume, (4.0, 2.5, 2.5))
    assert prediction.saliency.shape == (1, 12, 30, 34)
    np.testing.assert_array_equal(prediction.saliency[0] >= 0.5, volume >= 160)


def classifier() -> nn.Module:
    """Two convolutions of random weights, seeded: it knows nothing."""
    torch.manual_seed(0)
    body = nn.Conv3d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv3d(4, 4, 3, 2, 1), nn.ReLU()
    return nn.Sequential(*body, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 1))


@pytest.mark.parametrize("where", ["grad-cam", "occlusion"])
def test_a_network_of_random_weights_has_maps_on_the_grid_that_it_sees(tmp_path: Path, where: str) -> None:
    made = package(classifier(), size=(12, 16, 16), spacing=(4.0, 5.0, 5.0))
    made.output("sigmoid", where=where)
    loaded = packages.load(made.save(tmp_path / "balls"), "cpu")
    volume = np.random.default_rng(0).normal(160, 100, (16, 32, 24)).astype(np.float32)
    prediction = loaded.predict(volume, (4.0, 5.0, 5.0))
    x = np.clip((volume[2:14, 8:24, 4:20] - 20) / 280, 0, 1).astype(np.float32)
    with torch.no_grad():
        logits = classifier()(torch.from_numpy(x)[None, None])[0]
    np.testing.assert_allclose(prediction.logits, logits, atol=1e-5)
    assert prediction.saliency.shape == (1, 16, 32, 24)
    assert not prediction.saliency[0, :2].any()
    assert not prediction.saliency[0, :, :, 20:].any()
    assert prediction.remarks == ("only the middle 25 % of the volume was seen",)


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_study_of_shapes_gives_results_that_pass_all_checks(modality: str) -> None:
    made = package(classifier(), modality, size=(16, 32, 32), spacing=8)
    trial = made.test()
    assert {"segmentation", "regions", "statement"} <= dict(trial.results).keys()
    assert not trial.faults


def test_what_cannot_be_a_volume_is_said_at_once() -> None:
    with pytest.raises(readfirst.PackageError, match=r"volume=True needs size=\(slices, rows, columns\)"):
        package(Bright(), size=(64, 64))
    made = package(Bright(), "MR", window=(40, 400))
    made.output("masks")
    made.structure("Liver", sct="10200004")
    with pytest.raises(
        readfirst.PackageError, match=r"(?s)1\. structure\(\) and finding.*2\. window is in HU.*3\. the"
    ):
        made.card()
    made = package(classifier(), size=(12, 16, 16))
    made.output("sigmoid", where="cam")
    with pytest.raises(readfirst.PackageError, match=r'where="cam" is for images; of volumes: grad-cam, occlusion'):
        made.card()
    made = package(Bright())
    made.output("boxes")
    with pytest.raises(readfirst.PackageError, match="is for images: of volumes masks are taken"):
        made.card()
    radiograph = package(Bright())
    radiograph.input(modality=["DX"], volume=True, size=(8, 8, 8), spacing=2)
    radiograph.output("masks")
    with pytest.raises(readfirst.PackageError, match="no study can meet it: DX has no volumes that are read"):
        radiograph.card()
