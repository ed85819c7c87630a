"""Prepares a detector's ONNX file for a package: boxes, scores and labels in this order, and nothing else."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto, TensorProto, ValueInfoProto

from models.errors import PackageError
from models.importers.onnx_file import one_input, read_onnx

NAMES = ("boxes", "scores", "labels")


def prepare_detector(path: Path) -> tuple[bytes, tuple[int, ...]]:
    """The file's bytes and the shape of its input, -1 where a length is open.

    Outputs are known by their names, else boxes by their last length of 4 and labels by their whole numbers.

    Raises
    ------
    PackageError
        See `models.importers.onnx_file.prepare_onnx`, or its outputs are none of a detector.
    """
    model = read_onnx(path)
    outputs = _outputs(model, path)
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    return model.SerializeToString(), one_input(model, path)


def _outputs(model: ModelProto, path: Path) -> list[ValueInfoProto]:
    every = list(model.graph.output)
    named = [next((one for one in every if name in one.name.lower()), None) for name in NAMES]
    found = named if named[0] is not None and named[1] is not None else _by_kind(every)
    kept = [one for one in found if one is not None]
    if len(kept) < 2 or found[0] is None or found[1] is None:
        there = ", ".join(one.name for one in every)
        raise PackageError(f"{path} returns {there}, and a detector boxes (N, 4), scores (N,) and labels (N,).")
    return kept


def _by_kind(every: list[ValueInfoProto]) -> list[ValueInfoProto | None]:
    whole = [one for one in every if one.type.tensor_type.elem_type in (TensorProto.INT64, TensorProto.INT32)]
    others = [one for one in every if one not in whole]
    boxes = [one for one in others if (shape := one.type.tensor_type.shape.dim) and shape[-1].dim_value == 4]
    scores = [one for one in others if one not in boxes]
    return [next(iter(each), None) for each in (boxes, scores, whole)]
