"""The network "onnx": an ONNX file, run by ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.networks.registry import register

if TYPE_CHECKING:
    from torch import nn

    from models.card import Network


@register(
    "onnx", channels=(), volumes=True, citation="a network of its own kind, prepared by models.importers.onnx_file"
)
def build(table: Network, labels: int) -> nn.Module:
    """What reads the file; see `models.networks.registry.Build`."""
    from models.networks.modules.onnx_network import OnnxFile

    return OnnxFile(labels)
