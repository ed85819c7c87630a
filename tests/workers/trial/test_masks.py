"""A U-Net of one's own on MR slices: trained here on drawn ones, measured on others, drawn in the patient."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import readfirst
import torch
from monai.networks.nets.unet import UNet
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from torch.nn import functional

from models import packages
from models.metrics.masks import dice
from tests.workers.mr_phantoms import AXIS, CORNER, SPACING, mr_slice, saved
from workers.inputs.decoding.decoder import Decoder
from workers.inputs.pixels import image_grid, load_image

SIZE = (64, 64)
LEAST_DICE = 0.75  # of each held-out slice; measured: 0.85 at the lowest


def blobs(count: int, seed: int) -> list[tuple[float, float, float]]:
    rng = np.random.default_rng(seed)
    return [(rng.uniform(25, 70), rng.uniform(22, 58), rng.uniform(11, 20)) for _ in range(count)]


@cache
def trained() -> torch.nn.Module:
    """The network, 120 steps on 24 slices as the node itself would show them to it."""
    torch.manual_seed(0)
    images, masks = [], []
    with Decoder() as decoder:
        for number, blob in enumerate(blobs(24, 1)):
            image, mask = seen(*mr_slice(blob, number), decoder)
            images.append(image)
            masks.append(mask)
        x, y = torch.from_numpy(np.stack(images))[:, None], torch.from_numpy(np.stack(masks))[:, None]
    network = UNet(2, 1, 1, (8, 16, 32), (2, 2), num_res_units=1)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    for step in range(120):
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(step))[:8]
        optimizer.zero_grad()
        torch.autograd.backward(functional.binary_cross_entropy_with_logits(network(x[rows] - 0.5), y[rows]))
        optimizer.step()
    return network.eval()


def seen(dataset: Dataset, mask: NDArray[np.bool_], decoder: Decoder) -> tuple[NDArray[Any], NDArray[Any]]:
    with tempfile.TemporaryDirectory() as room:
        image = load_image(saved(dataset, Path(room) / "a.dcm"), decoder)
    grid = image_grid(image.dataset, SIZE)
    return grid.to_input(image.intensity), grid.to_input(mask.astype(np.float32))


def package(network: Any, *, organ: bool = False) -> readfirst.Package:
    made = readfirst.Package("mr-blobs", network, licence="MIT", trained_on="24 drawn slices")
    made.input(modality=["MR"], body_part="BRAIN", size=SIZE, mean=0.5)
    if organ:
        made.structure("Brain", sct="12738006")
    else:
        made.finding("Mass", sct="4147007", site="12738006")
    made.output("masks")
    return made


def test_held_out_slices_are_segmented_where_the_blob_lies_in_the_patient(tmp_path: Path) -> None:
    made = package(trained())
    for number, blob in enumerate(blobs(4, 2)):
        dataset, mask = mr_slice(blob, 100 + number)
        trial = made.test(saved(dataset, tmp_path / f"{number}.dcm"), out=tmp_path / str(number) / "a" / "results")
        segmentation = dcmread(dict(trial.results)["segmentation"])
        (item,) = segmentation.SegmentSequence
        assert (item.SegmentAlgorithmType, item.SegmentedPropertyTypeCodeSequence[0].CodeValue) == (
            "AUTOMATIC", "4147007",
        )  # fmt: skip
        assert item.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "mr-blobs"
        found = segmentation.pixel_array.astype(bool)
        assert dice(found, mask) >= LEAST_DICE
        centre = position(segmentation, np.argwhere(found).mean(axis=0))
        true = CORNER + blob[0] * SPACING[0] * AXIS[1] + blob[1] * SPACING[1] * AXIS[0]
        assert np.linalg.norm(centre - true) < 1.5  # a pixel
        statement = dcmread(dict(trial.results)["statement"]).to_json()
        assert f"area {found.sum() * SPACING[0] * SPACING[1] / 100:.1f} cm2" in statement


def position(segmentation: Dataset, index: NDArray[Any]) -> NDArray[Any]:
    """LPS mm of (row, column), by the Segmentation's own geometry."""
    shared, (frame,) = segmentation.SharedFunctionalGroupsSequence[0], segmentation.PerFrameFunctionalGroupsSequence
    places = (frame if "PlanePositionSequence" in frame else shared).PlanePositionSequence[0]
    axes = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    down, across = (float(one) for one in shared.PixelMeasuresSequence[0].PixelSpacing)
    start = np.array(places.ImagePositionPatient, float)
    found: NDArray[Any] = start + index[0] * down * axes[1] + index[1] * across * axes[0]
    return found


def test_an_organ_is_segmented_and_in_no_report(tmp_path: Path) -> None:
    dataset, mask = mr_slice((45.0, 40.0, 18.0), 7)
    trial = package(trained(), organ=True).test(saved(dataset, tmp_path / "a.dcm"), out=tmp_path / "a" / "b" / "out")
    assert {kind for kind, _ in trial.results} == {"segmentation", "capture"}
    assert not trial.findings
    segmentation = dcmread(dict(trial.results)["segmentation"])
    category = segmentation.SegmentSequence[0].SegmentedPropertyCategoryCodeSequence[0].CodeMeaning
    assert category == "Anatomical Structure"
    assert dice(segmentation.pixel_array.astype(bool), mask) >= LEAST_DICE


class Halves(torch.nn.Module):
    """Channels of the background, of what is bright and of what is in between: exact thresholds of the input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([40 * (0.3 - x), 0 * x, 40 * (x - 0.7)], 1)


def test_a_pixel_belongs_to_one_of_exclusive_masks_and_holes_stay_holes(tmp_path: Path) -> None:
    made = readfirst.Package("halves", Halves(), licence="MIT", trained_on="nothing")
    made.input(modality=["MR"], size=SIZE)
    made.finding("Ring", sct="4147007", site="12738006")
    made.finding("Core", sct="49755003", site="12738006")
    made.output("masks", activation="softmax")
    loaded = packages.load(made.save(tmp_path / "halves"), "cpu")
    y, x = np.ogrid[:64, :64]
    away = np.hypot(y - 31.5, x - 31.5)
    image = np.where(away < 8, 1.0, np.where(away < 20, 0.5, 0.0)).astype(np.float32)
    prediction = loaded.predict(image)
    np.testing.assert_array_equal(prediction.saliency[0] >= 0.5, (away >= 8) & (away < 20))
    np.testing.assert_array_equal(prediction.saliency[1] >= 0.5, away < 8)
    assert (prediction.probabilities > 0.99).all()
    empty = loaded.predict(np.zeros((64, 64), np.float32))
    assert (empty.probabilities < 0.01).all()


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (torch.nn.Conv2d(1, 2, 3, padding=1), "the network returns 2 masks, and 1 labels are named"),
        (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4096, 1)), r"masks are \(1, labels, rows, columns"),
        (
            torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.Softmax(1)),
            "the network ends in softmax, and output.. says sigmoid",
        ),
    ],
)
def test_what_is_no_mask_of_these_labels_is_said(network: torch.nn.Module, sentence: str) -> None:
    with pytest.raises(readfirst.PackageError, match=sentence):
        package(network).card()


def test_masks_that_are_taken_for_scores_are_said() -> None:
    made = package(torch.nn.Conv2d(1, 1, 3, padding=1))
    made.output("sigmoid")
    with pytest.raises(readfirst.PackageError, match=r'where these are masks say output\("masks"\)'):
        made.card()
