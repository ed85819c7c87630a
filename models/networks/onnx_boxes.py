"""The network "onnx-boxes": a detector as an ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.networks.registry import register

if TYPE_CHECKING:
    from torch import nn

    from models.card import Network


@register("onnx-boxes", citation="a detector of its own kind, written by models.importers.onnx_boxes")
def build(table: Network, labels: int) -> nn.Module:
    """What reads the file; see `models.networks.registry.Build`."""
    from models.networks.modules.boxes import OnnxDetectorFile

    return OnnxDetectorFile()
