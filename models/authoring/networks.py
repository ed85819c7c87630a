"""What a user gives as a network, as the bytes of a package's weights file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from models.errors import PackageError

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

    Given = nn.Module | ExportedProgram | str | Path

SUFFIXES = (".pt2", ".onnx")


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """The file of a network, and what a card has of it.

    Attributes
    ----------
    activation
        What the network did to its logits, which was taken away; "" where it gave logits.
    pooled
        Whether it ends in global average pooling and a linear layer that we can read.
    gradients
        Whether methods by gradients can be used.
    """

    data: bytes
    file: str
    backbone: str
    outputs: int
    activation: Literal["sigmoid", "softmax", ""] = ""
    pooled: bool = False
    gradients: bool = True


def stored(network: Given, shape: tuple[int, ...]) -> Stored:
    """The network for inputs of that shape (1, channels, rows, columns).

    Raises
    ------
    PackageError
        It is none of the three kinds, was made for another shape, or cannot be written as a program.
    """
    from torch import nn  # noqa: PLC0415

    if isinstance(network, str | Path):
        return _of_file(Path(network), shape)
    if isinstance(network, nn.Module):
        from models.exporters.program import exported  # noqa: PLC0415

        return _program(exported(network, shape), shape)
    return _program(network, shape)


def _of_file(path: Path, shape: tuple[int, ...]) -> Stored:
    if path.suffix not in SUFFIXES:
        raise PackageError(
            f"{path} is no network that can be taken: give an nn.Module, a program of torch.export (.pt2) or an ONNX"
            " file (.onnx); a .pt or .pth file is a pickle and is never read."
        )
    if path.suffix == ".onnx":
        return _onnx(path, shape)
    from models.importers.pt2 import read_pt2  # noqa: PLC0415

    return _program(read_pt2(path), shape)


def _program(traced: ExportedProgram, shape: tuple[int, ...]) -> Stored:
    from models.exporters.program import input_shape, to_program  # noqa: PLC0415
    from models.networks.modules.program import read_program  # noqa: PLC0415

    _require_shape(input_shape(traced), shape)
    data = to_program(traced)
    return Stored(data, "weights.safetensors", "program", read_program(data).outputs)


def _onnx(path: Path, shape: tuple[int, ...]) -> Stored:
    from models.importers.onnx_file import prepare_onnx  # noqa: PLC0415

    found = prepare_onnx(path)
    _require_shape(found.shape, shape)
    pooled = found.pooled
    return Stored(found.data, "weights.onnx", "onnx", found.outputs, found.activation, pooled, gradients=pooled)


def _require_shape(found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    fits = len(found) == len(wanted) and all(one in (-1, other) for one, other in zip(found, wanted, strict=True))
    if not fits:
        raise PackageError(f"The network was exported for inputs of {found}, and input() asks for {wanted}.")
