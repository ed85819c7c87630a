"""Prepares an ONNX file for a package: logits first, and the maps that global average pooling sees where it ends so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.errors import PackageError
from models.networks.modules.onnx_network import BIAS, WEIGHT, started, text_of

_LARGEST = 2 << 30  # bytes: protobuf's own limit
_ENDS = {"Sigmoid": "sigmoid", "Softmax": "softmax"}
_POOLS, _FLATTENS = ("GlobalAveragePool", "ReduceMean"), ("Flatten", "Reshape", "Squeeze", "Identity", "Dropout")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The file's bytes for a package.

    Attributes
    ----------
    shape
        Of the input, its first axis 1; -1 where the file leaves a length open.
    outputs
        How many logits.
    activation
        What the file did to its logits, which is taken away: "sigmoid", "softmax" or "".
    pooled
        Whether class activation maps are exact.
    returned
        Shape of the logits; -1 where the file leaves a length open.
    """

    data: bytes
    shape: tuple[int, ...]
    outputs: int
    activation: Literal["sigmoid", "softmax", ""]
    pooled: bool
    returned: tuple[int, ...]


def prepare_onnx(path: Path) -> Prepared:
    """Read a file and make its logits, and the maps before its global pooling, outputs.

    Raises
    ------
    PackageError
        It is no ONNX file, keeps weights in other files, takes more than one input, or ONNX Runtime cannot run it.
    """
    model = read_onnx(path)
    given = one_input(model, path)
    logits, activation = _logits(model.graph)
    head = _head(model.graph, logits)
    _set_outputs(model, [logits, *([head.maps] if head else [])])
    if head:
        helper.set_model_props(model, {WEIGHT: text_of(head.weight), BIAS: text_of(head.bias)})
    data = model.SerializeToString()
    shape = started(data).get_outputs()[0].shape
    if len(shape) < 2 or not isinstance(shape[1], int):
        raise PackageError(f"{path} returns the shape {shape}, not (1, labels): export it for one fixed size.")
    returned = tuple(length if isinstance(length, int) else -1 for length in shape)
    return Prepared(data, given, shape[1], activation, head is not None, returned)


def read_onnx(path: Path) -> ModelProto:
    """The file, which ONNX Runtime can run; PackageError as for `prepare_onnx`."""
    model = _read(path)
    _require_running(model, path)
    return model


def one_input(model: ModelProto, path: Path) -> tuple[int, ...]:
    """The shape of the one input, its first axis 1, -1 where a length is open; PackageError where there are more."""
    inputs = [one for one in model.graph.input if one.name not in {each.name for each in model.graph.initializer}]
    if len(inputs) != 1:
        raise PackageError(f"{path} takes {len(inputs)} inputs: one image or volume is given.")
    lengths = [one.dim_value or -1 for one in inputs[0].type.tensor_type.shape.dim]
    return (1, *lengths[1:])


@dataclass(frozen=True, slots=True, eq=False)
class _Head:
    maps: str
    weight: NDArray[np.float32]  # (L, c)
    bias: NDArray[np.float32]


def _read(path: Path) -> ModelProto:
    try:
        if path.stat().st_size > _LARGEST:
            raise PackageError(f"{path} is larger than 2 GiB, which ONNX allows for no single file.")
        model = onnx.load_model(path, load_external_data=False)
        if not any(one.data_location == TensorProto.EXTERNAL for one in model.graph.initializer):
            onnx.checker.check_model(model)
            return model
    except PackageError:
        raise
    except Exception as error:  # protobuf's and the checker's own, which have no common class
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PackageError(f"{path} cannot be read as an ONNX file: {reason}") from error
    raise PackageError(f"{path} keeps weights in other files: save it as one file (save_as_external_data=False).")


def _require_running(model: ModelProto, path: Path) -> None:
    try:
        started(model.SerializeToString())
    except PackageError as error:
        raise PackageError(f"{path} cannot be used: {error}") from error


def _logits(graph: GraphProto) -> tuple[str, Literal["sigmoid", "softmax", ""]]:
    name = graph.output[0].name
    last = _maker(graph, name)
    if last is None or last.op_type not in _ENDS or (last.op_type == "Softmax" and not _over_labels(graph, last)):
        return name, ""
    return last.input[0], "sigmoid" if last.op_type == "Sigmoid" else "softmax"


def _over_labels(graph: GraphProto, node: NodeProto) -> bool:
    """Whether a softmax is over the second axis: of masks it may be over another, which is no class."""
    axes = [helper.get_attribute_value(one) for one in node.attribute if one.name == "axis"]
    count = len(next(one for one in graph.output if one.name == node.output[0]).type.tensor_type.shape.dim)
    return (axes[0] if axes else -1) in (1, 1 - count)


def _head(graph: GraphProto, logits: str) -> _Head | None:
    """The linear layer behind global average pooling, if the file ends in these; None where it does not."""
    linear = _linear(graph, logits)
    if linear is None:
        return None
    vector, weight, bias = linear
    node = _maker(graph, vector)
    while node is not None and node.op_type in _FLATTENS:
        node = _maker(graph, node.input[0])
    if node is None or node.op_type not in _POOLS or not _pools_cells(graph, node):
        return None
    return _Head(node.input[0], weight, bias)


def _linear(graph: GraphProto, name: str) -> tuple[str, NDArray[np.float32], NDArray[np.float32]] | None:
    """(what the layer sees, weight (L, c), bias (L,)) of a Gemm, or of a MatMul with or without an Add."""
    node, bias = _maker(graph, name), None
    if node is not None and node.op_type == "Add":
        constants = [_constant(graph, each) for each in node.input]
        bias = next((each for each in constants if each is not None), None)
        node = _maker(graph, next(each for each, held in zip(node.input, constants, strict=True) if held is None))
    if node is None or node.op_type not in ("Gemm", "MatMul"):
        return None
    weight = _constant(graph, node.input[1])
    facts = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    if (
        weight is None
        or weight.ndim != 2
        or facts.get("transA")
        or {facts.get("alpha", 1), facts.get("beta", 1)} != {1}
    ):
        return None
    if node.op_type == "Gemm" and len(node.input) == 3:
        bias = _constant(graph, node.input[2])
    weight = weight if facts.get("transB") else weight.T
    return node.input[0], weight, np.zeros(len(weight), np.float32) if bias is None else bias.reshape(-1)


def _pools_cells(graph: GraphProto, node: NodeProto) -> bool:
    """Whether a pooling takes the mean over rows and columns, and nothing else."""
    if node.op_type == "GlobalAveragePool":
        return True
    facts = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    axes = facts.get("axes") if "axes" in facts else _constant(graph, node.input[1]) if len(node.input) > 1 else None
    return axes is not None and sorted(int(axis) % 4 for axis in np.ravel(axes)) == [2, 3]


def _maker(graph: GraphProto, name: str) -> NodeProto | None:
    return next((node for node in graph.node if name in node.output), None)


def _constant(graph: GraphProto, name: str) -> NDArray[np.float32] | None:
    return next((numpy_helper.to_array(value) for value in _values(graph, name)), None)


def _values(graph: GraphProto, name: str) -> Iterator[TensorProto]:
    yield from (one for one in graph.initializer if one.name == name)
    node = _maker(graph, name)
    if node is not None and node.op_type == "Constant":
        yield from (one.t for one in node.attribute if one.name == "value")


def _set_outputs(model: ModelProto, names: Sequence[str]) -> None:
    known = {one.name: one for one in onnx.shape_inference.infer_shapes(model).graph.value_info} | {
        one.name: one for one in model.graph.output
    }
    missing = [name for name in names if name not in known]
    if missing:
        raise PackageError(f"The shape of {missing[0]!r} is not known: export the network for one fixed size.")
    outputs = [known[name] for name in names]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
