"""Detectors of one's own: an ONNX file that boxes what is bright, and a network with a box for each quarter."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import readfirst
import torch
from onnx import TensorProto, helper, numpy_helper, save_model
from PIL import Image
from pydicom import Dataset, dcmread
from torch import Tensor

from models import packages
from models.card import Boxes
from models.localizers.direct.boxes import boxes_of
from models.predicting.images import predict_file
from tests.workers import study_phantoms

SIZE = (64, 48)


def written(path: Path, names: tuple[str, str, str] = ("boxes", "scores", "labels")) -> Path:
    """A file that gives two boxes whatever it sees; the score of the first is the image's largest value."""
    boxes = np.array([[10.0, 20.0, 22.0, 41.0], [30.0, 5.0, 44.0, 15.0]], np.float32)
    second = np.array([0.25], np.float32)
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["largest"], keepdims=0),
        helper.make_node("Reshape", ["largest", "one"], ["first"]),
        helper.make_node("Concat", ["first", "second"], [names[1]], axis=0),
        helper.make_node("Identity", ["held"], [names[0]]),
        helper.make_node("Identity", ["numbers"], [names[2]]),
    ]
    constants = {"one": np.array([1], np.int64), "second": second, "held": boxes, "numbers": np.array([1, 2], np.int64)}
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, *SIZE])],
        [
            helper.make_tensor_value_info(names[2], TensorProto.INT64, [2]),
            helper.make_tensor_value_info(names[1], TensorProto.FLOAT, [2]),
            helper.make_tensor_value_info(names[0], TensorProto.FLOAT, [2, 4]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save_model(model, path)
    return path


def package(network: object, first_label: int = 1) -> readfirst.Package:
    made = readfirst.Package("boxes-of-lungs", network, licence="MIT", trained_on="nothing")  # type: ignore[arg-type]
    made.input(modality=["DX", "CR"], size=SIZE)
    made.finding("Nodule", sct="427359005", site="39607008")
    made.finding("Mass", sct="4147007", site="39607008")
    made.output("boxes", first_label=first_label)
    return made


@pytest.mark.parametrize("names", [("boxes", "scores", "labels"), ("a", "b", "c")])
def test_boxes_lie_in_the_report_where_the_detector_saw_them(tmp_path: Path, names: tuple[str, str, str]) -> None:
    """The image is 160 x 96: two and a half pixels in a row of the input, and its left is the patient's left."""
    pixels = np.linspace(0, 4000, 160 * 96).reshape(160, 96).astype(np.uint16)
    path = study_phantoms.radiograph(tmp_path, pixels=pixels, PatientOrientation=["R", "F"])
    made = package(written(tmp_path / "net.onnx", names))
    trial = made.test(path, out=tmp_path / "a" / "b" / "results")
    assert [(one.label, one.present) for one in trial.findings] == [("Nodule", True), ("Mass", False)]
    kinds = dict(trial.results)
    assert "segmentation" not in kinds
    assert {"regions", "statement", "key-objects", "capture", "presentation-state"} <= kinds.keys()
    (corners,) = graphics(dcmread(kinds["regions"]))
    scale, beside = 2.5, (48 - 96 / 2.5) / 2  # black beside the image
    left, right = 96 - (22 - beside) * scale, 96 - (10 - beside) * scale
    rectangle = [(left, 50), (right, 50), (right, 102.5), (left, 102.5), (left, 50)]
    np.testing.assert_allclose(np.reshape(corners, (-1, 2)), rectangle, atol=1e-3)
    assert "no Segmentation is made of them" in dcmread(kinds["statement"]).to_json()


def graphics(dataset: Dataset) -> list[list[float]]:
    """Graphic Data of all that has coordinates."""
    return _graphics(dataset)


def _graphics(item: Dataset) -> list[list[float]]:
    own = [list(item.GraphicData)] if "GraphicData" in item else []
    return own + [found for child in item.get("ContentSequence", []) for found in _graphics(child)]


def test_boxes_of_files_are_written_as_they_are(tmp_path: Path) -> None:
    made = package(written(tmp_path / "net.onnx"))
    Image.fromarray(np.full((128, 96), 255, np.uint8)).save(tmp_path / "a.png")
    predicted = predict_file(packages.load(made.save(tmp_path / "boxes-of-lungs"), "cpu"), tmp_path / "a.png")
    (nodule,) = predicted.regions["Nodule"]
    assert nodule.rectangle == (20.0, 40.0, 24.0, 42.0)
    assert "Mass" not in predicted.regions


class Cells(torch.nn.Module):
    """A box for each of the input's four quarters, with a score for each label: that a quarter is bright, or dark."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        means = torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten()
        rows, columns = x.shape[2] / 2, x.shape[3] / 2
        corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        low = corners * torch.tensor([columns, rows])
        boxes = torch.cat([low, low + torch.tensor([columns, rows])], 1)
        return boxes, torch.stack([means, 1 - means], 1)


def test_scores_of_each_label_need_no_label_indices(tmp_path: Path) -> None:
    loaded = packages.load(package(Cells(), first_label=0).save(tmp_path / "boxes-of-lungs"), "cpu")
    image = np.zeros(SIZE, np.float32)
    image[32:, :24] = 1.0  # the lower left quarter
    prediction = loaded.predict(image)
    assert prediction.boxes is not None
    np.testing.assert_allclose(prediction.boxes[0][0], [0, 32, 24, 64, 1.0], atol=1e-6)
    assert prediction.saliency[0, 40, 10] == 1.0
    assert prediction.saliency[0, 10, 10] == 0.0
    np.testing.assert_allclose(prediction.probabilities, 1.0, atol=1e-5)
    assert len(prediction.boxes[1]) == 4


def test_of_overlapping_boxes_the_best_is_kept_and_what_is_outside_or_empty_goes() -> None:
    rows = np.array(
        [[0, 0, 10, 10, 0.8, 1], [1, 0, 11, 10, 0.9, 1], [20, 0, 30, 10, 0.3, 1], [50, 0, 60, 9, 0.9, 1],
         [5, 5, 5, 9, 0.9, 1], [0, 0, 4, 4, 0.9, 0]], np.float32,
    )  # fmt: skip
    (found,) = boxes_of(rows, 1, Boxes(first_label=1, suppression=0.5), (40, 40))
    np.testing.assert_allclose(found, [[1, 0, 11, 10, 0.9], [20, 0, 30, 10, 0.3]])
    (every,) = boxes_of(rows, 1, Boxes(first_label=1), (40, 40))
    assert len(every) == 3
    with pytest.raises(readfirst.PackageError, match=r"scores that are not 0\.\.1"):
        boxes_of(rows * 2, 1, Boxes(), (40, 40))


def test_what_is_no_detector_is_said(tmp_path: Path) -> None:
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(SIZE[0] * SIZE[1], 2))
    with pytest.raises(readfirst.PackageError, match=r"A detector returns boxes \(N, 4\)"):
        package(flat).card()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(flat, (torch.zeros(1, 1, *SIZE),), str(tmp_path / "net.onnx"), dynamo=False)
    with pytest.raises(readfirst.PackageError, match=r"net\.onnx returns .*, and a detector boxes \(N, 4\)"):
        package(tmp_path / "net.onnx").card()
