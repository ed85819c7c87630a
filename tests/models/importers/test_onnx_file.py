"""ONNX files: logits as ONNX Runtime's own, exact maps where the file ends in global pooling, and clear refusals."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from models.errors import PackageError
from models.importers.onnx_file import prepare_onnx
from models.networks.modules.onnx_network import OnnxFile, OnnxNetwork, PooledOnnx

SHAPE = (1, 1, 16, 12)
POOLED = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def network(*end: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), *end).eval()


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(module: nn.Module) -> Path:
        path = tmp_path / "net.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's older exporter, which needs no further package
            torch.onnx.export(module, (torch.zeros(SHAPE),), str(path), dynamo=False)
        return path

    return write


def own(path: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: x})[0]
    return found


@pytest.mark.parametrize(
    ("end", "activation", "kind"),
    [
        (POOLED, "", PooledOnnx),
        ((*POOLED, nn.Sigmoid()), "sigmoid", PooledOnnx),
        ((*POOLED, nn.Softmax(1)), "softmax", PooledOnnx),
        ((nn.Flatten(), nn.Linear(4 * 16 * 12, 2)), "", OnnxNetwork),
        ((nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 2)), "", OnnxNetwork),
    ],
)
def test_logits_are_those_of_onnx_runtime(
    write: Any, end: tuple[nn.Module, ...], activation: str, kind: type[OnnxNetwork]
) -> None:
    path = write(network(*end))
    prepared = prepare_onnx(path)
    assert (prepared.shape, prepared.outputs, prepared.activation) == (SHAPE, 2, activation)
    read = OnnxFile(2).read(prepared.data)
    assert type(read) is kind
    assert prepared.pooled == (kind is PooledOnnx)
    x = torch.randn(SHAPE)
    logits = read.classify(read.features(x))
    ends = {"": torch.nn.Identity(), "sigmoid": torch.sigmoid, "softmax": lambda logit: torch.softmax(logit, 1)}
    np.testing.assert_allclose(ends[activation](logits).detach().numpy(), own(path, x.numpy()), atol=1e-5)


def test_the_mean_of_a_pooled_files_maps_is_its_logit(write: Any) -> None:
    read = OnnxFile(2).read(prepare_onnx(write(network(*POOLED))).data)
    assert isinstance(read, PooledOnnx)
    features = read.features(torch.randn(SHAPE))
    assert read.maps(features).shape == (1, 2, 16, 12)
    torch.testing.assert_close(read.maps(features).mean((2, 3)) + read.bias, read.classify(features))


def test_a_card_with_other_labels_is_refused(write: Any) -> None:
    with pytest.raises(PackageError, match=r"outputs of the shape \[1, 2\] and the card 3"):
        OnnxFile(3).read(prepare_onnx(write(network(*POOLED))).data)


def test_weights_in_other_files_are_refused(write: Any) -> None:
    path = write(network(*POOLED))
    model = onnx.load_model(path)
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(PackageError, match="keeps weights in other files"):
        prepare_onnx(path)


def test_an_operator_of_another_domain_is_refused(write: Any) -> None:
    path = write(network(*POOLED))
    model = onnx.load_model(path)
    model.graph.node[0].domain = "org.example"
    model.opset_import.append(onnx.helper.make_opsetid("org.example", 1))
    onnx.save_model(model, path)
    with pytest.raises(PackageError, match="cannot be used: ONNX Runtime cannot load the network"):
        prepare_onnx(path)


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff", b"PK\3\4"])
def test_what_is_no_onnx_file_is_refused_with_its_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    with pytest.raises(PackageError, match=r"net\.onnx cannot be "):
        prepare_onnx(path)
    with pytest.raises(PackageError, match=r"gone\.onnx cannot be read"):
        prepare_onnx(tmp_path / "gone.onnx")
