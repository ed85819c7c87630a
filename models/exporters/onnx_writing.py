"""ONNX files: of traced networks by PyTorch's exporter, and of packages that are ONNX files already."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnx.compose
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.errors import PackageError
from models.exporters.traced import Exportee

KEY = "readfirst"  # of metadata_props: the description as JSON
OPSET = 18


def of_traced(given: Exportee) -> bytes:
    """The file of a package whose network is PyTorch's.

    Raises
    ------
    PackageError
        onnxscript is missing, or an operator has no counterpart in ONNX.
    """
    try:
        import onnxscript  # noqa: F401, PLC0415
    except ImportError as error:
        raise PackageError(
            "ONNX files are written with onnxscript, which is not here: pip install 'readfirst[export]'."
        ) from error
    with _quiet():
        try:
            written: Any = torch.onnx.export(
                given.traced(), dynamo=True, verbose=False, opset_version=OPSET, external_data=False,
                input_names=[given.input_name], output_names=list(given.outputs),
                dynamic_shapes=(dict(given.graph.open_axes),),
            )  # fmt: skip
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error).strip().splitlines()[-1]
            raise PackageError(f"{given.model.card.name} cannot be written as ONNX: {reason}") from error
    return bytes(_plain(written.model_proto).SerializeToString())


def of_onnx(given: Exportee, network: bytes) -> bytes:
    """The file of a package whose network is an ONNX file: the same, between normalization and calibration.

    Where its second output has the maps that are pooled, the class activation maps follow from them.
    """
    model = onnx.compose.add_prefix(onnx.load_model_from_string(network), "network/")  # no name of it is one of ours
    card = given.model.card
    table = card.network
    assert table is not None
    if table.scaling != "none":
        raise PackageError(f'{card.name} scales each image first: of ONNX packages only scaling = "none" is exported.')
    graph, inside = model.graph, model.graph.input[0].name
    outputs = [one.name for one in graph.output]
    before = _before(given, inside, table.mean, table.std, table.channels)
    after = _after(given, outputs)
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(given.input_name, TensorProto.FLOAT, given.graph.example))
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in given.outputs)
    del model.metadata_props[:]
    return bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())


def with_description(data: bytes, text: str, notice: str) -> bytes:
    """The file with the description in its metadata."""
    model = onnx.load_model_from_string(data)
    helper.set_model_props(model, {KEY: text, "notice": notice})
    model.producer_name, model.doc_string = "readfirst", notice
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _plain(model: ModelProto) -> ModelProto:
    """Without what the exporter writes down about itself: names of source files, and stack traces."""
    for one in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer, model.graph):
        del one.metadata_props[:]
    return model


def _before(given: Exportee, inside: str, mean: float, std: float, channels: int) -> Iterator[NodeProto]:
    yield _constant("readfirst_mean", mean)
    yield _constant("readfirst_std", std)
    yield helper.make_node("Sub", [given.input_name, "readfirst_mean"], ["readfirst_centred"])
    yield helper.make_node("Div", ["readfirst_centred", "readfirst_std"], ["readfirst_scaled"])
    yield helper.make_node("Concat", ["readfirst_scaled"] * channels, [inside], axis=1)


def _after(given: Exportee, outputs: list[str]) -> Iterator[NodeProto]:
    """From the network's outputs to ours: `models.networks.modules.graph.Calibrated` is the same in PyTorch."""
    card = given.model.card
    slope, intercept, pivot = np.asarray([label.calibration for label in card.labels], np.float32).T
    yield helper.make_node("Identity", [outputs[0]], ["logits"])
    yield _constant("readfirst_slope", slope)
    yield _constant("readfirst_intercept", intercept)
    yield helper.make_node("Mul", ["logits", "readfirst_slope"], ["readfirst_product"])
    yield helper.make_node("Add", ["readfirst_product", "readfirst_intercept"], ["readfirst_score"])
    if card.activation == "softmax":
        yield helper.make_node("Softmax", ["readfirst_score"], ["probabilities"], axis=1)
    elif (pivot != 0.5).any():
        raise PackageError(f"{card.name} has a pivot in its calibration, which is not written into its ONNX file.")
    else:
        yield helper.make_node("Sigmoid", ["readfirst_score"], ["probabilities"])
    if "maps" in given.outputs:
        weight: Any = given.model.localizer.network.weight  # type: ignore[attr-defined]
        yield _constant("readfirst_weight", weight.detach().numpy()[:, :, None, None])
        yield helper.make_node("Conv", [outputs[1], "readfirst_weight"], ["maps"])


def _constant(name: str, value: object) -> NodeProto:
    tensor = numpy_helper.from_array(np.asarray(value, np.float32), name)
    return helper.make_node("Constant", [], [name], value=tensor)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on packages that it could use, and on its own future."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
