"""The formats that a package is exported to: how a file is written, and how it is run without anything of ours."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import PackageError
from models.exporters import onnx_writing
from models.exporters.traced import NOT_A_DEVICE, Exportee
from models.networks.modules.onnx_network import started

Floats = NDArray[np.float32]
Run = Callable[[Floats], tuple[Floats, ...]]
EXTRA = "readfirst.json"  # the description, in a program of torch.export


@dataclass(frozen=True, slots=True)
class Format:
    """One of them.

    Attributes
    ----------
    write
        The file's bytes of a package, its weights' bytes as they are stored, and its description.
    run
        Runs a file: the outputs of one input, in the order of the description.
    """

    suffix: str
    write: Callable[[Exportee, bytes, str], bytes]
    run: Callable[[Path, Exportee], Run]


def _is_onnx(given: Exportee) -> bool:
    return given.model.card.network is not None and given.model.card.network.backbone == "onnx"


def _refuse_onnx(given: Exportee, to: str) -> None:
    if _is_onnx(given):
        raise PackageError(f"{given.model.card.name} is an ONNX file, which cannot become {to}: export it --to onnx.")


def _write_onnx(given: Exportee, weights: bytes, text: str) -> bytes:
    data = onnx_writing.of_onnx(given, weights) if _is_onnx(given) else onnx_writing.of_traced(given)
    return onnx_writing.with_description(data, text, NOT_A_DEVICE)


def run_onnx(path: Path, given: Exportee) -> Run:
    """An ONNX file under ONNX Runtime on the CPU, with as many threads as PyTorch has."""
    session, names = started(path.read_bytes()), list(given.outputs)
    return lambda x: tuple(session.run(names, {given.input_name: x}))


def _write_program(given: Exportee, weights: bytes, text: str) -> bytes:
    _refuse_onnx(given, "a program of torch.export")
    buffer = io.BytesIO()
    torch.export.save(given.traced(), buffer, extra_files={EXTRA: text})
    return buffer.getvalue()


def _run_program(path: Path, given: Exportee) -> Run:
    module = torch.export.load(path).module()

    def run(x: Floats) -> tuple[Floats, ...]:
        with torch.no_grad():
            return tuple(one.numpy() for one in module(torch.from_numpy(x)))

    return run


def _write_tflite(given: Exportee, weights: bytes, text: str) -> bytes:
    _refuse_onnx(given, "a TFLite file")
    if given.graph.open_axes:
        raise PackageError(f"{given.model.card.name} takes inputs of any length, and a TFLite file those of one alone.")
    converter = _litert()
    with tempfile.TemporaryDirectory() as room, torch.no_grad():
        path = Path(room) / "network.tflite"
        converter.convert(given.module, (torch.rand(given.graph.example),)).export(str(path))
        return path.read_bytes()


def _run_tflite(path: Path, given: Exportee) -> Run:
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    _litert()
    held = Interpreter(str(path), num_threads=torch.get_num_threads())
    held.allocate_tensors()
    source, found = held.get_input_details()[0]["index"], [one["index"] for one in held.get_output_details()]

    def run(x: Floats) -> tuple[Floats, ...]:
        held.set_tensor(source, x)
        held.invoke()
        return tuple(held.get_tensor(index) for index in found)

    return run


def _litert() -> Any:
    try:
        import litert_torch  # noqa: PLC0415
    except ImportError as error:
        raise PackageError(
            "TFLite files are written with litert-torch, which is not here: pip install litert-torch (1 GB with JAX and"
            " transformers), or export --to onnx."
        ) from error
    return litert_torch


FORMATS = {
    "onnx": Format(".onnx", _write_onnx, run_onnx),
    "torch-export": Format(".pt2", _write_program, _run_program),
    "tflite": Format(".tflite", _write_tflite, _run_tflite),
}
