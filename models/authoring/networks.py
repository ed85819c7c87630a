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
    returned
        The shape of its first output; -1 where the file leaves a length open.
    """

    data: bytes
    file: str
    backbone: str
    outputs: int
    activation: Literal["sigmoid", "softmax", ""] = ""
    pooled: bool = False
    gradients: bool = True
    returned: tuple[int, ...] = ()


def stored(network: Given, shape: tuple[int, ...], *, boxes: bool = False) -> Stored:
    """The network for inputs of that shape (1, channels, rows, columns), or with slices before the rows.

    `boxes`: it returns boxes, scores and labels.

    Raises
    ------
    PackageError
        It is none of the three kinds, was made for another shape, or cannot be written as a program.
    """
    from torch import nn  # noqa: PLC0415

    if boxes:
        return _detector(network, shape)
    if isinstance(network, str | Path):
        return _of_file(Path(network), shape)
    if isinstance(network, nn.Module):
        from models.exporters.program import exported  # noqa: PLC0415

        return _program(exported(network, shape), shape)
    return _program(network, shape)


def _of_file(path: Path, shape: tuple[int, ...]) -> Stored:
    if _known(path).suffix == ".onnx":
        return _onnx(path, shape)
    from models.importers.pt2 import read_pt2  # noqa: PLC0415

    return _program(read_pt2(path), shape)


def _known(path: Path) -> Path:
    if path.suffix not in SUFFIXES:
        raise PackageError(
            f"{path} is no network that can be taken: give an nn.Module, a program of torch.export (.pt2) or an ONNX"
            " file (.onnx); a .pt or .pth file is a pickle and is never read."
        )
    return path


def _detector(network: Given, shape: tuple[int, ...]) -> Stored:
    """A network of boxes."""
    from torch import nn  # noqa: PLC0415

    from models.exporters.program import exported, written  # noqa: PLC0415
    from models.networks.modules.boxes import Rows  # noqa: PLC0415

    if isinstance(network, str | Path) and Path(network).suffix == ".onnx":
        from models.importers.onnx_boxes import prepare_detector  # noqa: PLC0415

        data, found = prepare_detector(Path(network))
        _require_shape(found, shape)
        return Stored(data, "weights.onnx", "onnx-boxes", 0, gradients=False)
    if isinstance(network, str | Path):
        from models.importers.pt2 import read_pt2  # noqa: PLC0415

        network = read_pt2(_known(Path(network)))
    module = network if isinstance(network, nn.Module) else network.module()
    data = written(exported(Rows(module), shape)).data
    return Stored(data, "weights.safetensors", "program-boxes", 0, gradients=False)


def _program(traced: ExportedProgram, shape: tuple[int, ...]) -> Stored:
    from models.exporters.program import input_shape, written  # noqa: PLC0415

    _require_shape(input_shape(traced), shape)
    found = written(traced)
    return Stored(
        found.data, "weights.safetensors", "program", found.returned[1], found.activation, returned=found.returned
    )


def _onnx(path: Path, shape: tuple[int, ...]) -> Stored:
    from models.importers.onnx_file import prepare_onnx  # noqa: PLC0415

    found = prepare_onnx(path)
    _require_shape(found.shape, shape)
    pooled = found.pooled
    return Stored(
        found.data, "weights.onnx", "onnx", found.outputs, found.activation, pooled, pooled, found.returned
    )  # fmt: skip


def _require_shape(found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    fits = len(found) == len(wanted) and all(one in (-1, other) for one, other in zip(found, wanted, strict=True))
    if not fits:
        raise PackageError(f"The network was exported for inputs of {found}, and input() asks for {wanted}.")
