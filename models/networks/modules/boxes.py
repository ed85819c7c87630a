"""Detectors as one tensor of rows: x0, y0, x1, y1, score, index of the label; see `models.localizers.direct.boxes`."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from models.errors import PackageError
from models.networks.modules.onnx_network import OnnxNetwork, started
from models.networks.modules.program import Program, read_program


class Rows(nn.Module):
    """A detector that returns boxes (N, 4), scores (N,) and labels (N,), or scores (N, labels) alone, as rows."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor) -> Tensor:
        """(1, rows, 6) of one image (1, channels, rows, columns)."""
        return rows_of(*returned(self.detector(x)))[None]


def returned(found: Any) -> tuple[Tensor, ...]:
    """Boxes, scores and, where there are any, labels, of a tuple, of a table by those names, or of a list with one."""
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if isinstance(found, dict):
        found = tuple(found[name] for name in ("boxes", "scores", "labels") if name in found)
    if not isinstance(found, tuple | list) or len(found) not in (2, 3):
        raise PackageError(
            "A detector returns boxes (N, 4), scores (N,) and labels (N,), as a tuple or by these names, or scores"
            " (N, labels) and no labels."
        )
    return tuple(found)


def rows_of(boxes: Tensor, scores: Tensor, labels: Tensor | None = None) -> Tensor:
    """(rows, 6); a first axis of one is left out."""
    boxes = boxes[0] if boxes.ndim == 3 else boxes
    if labels is None:
        scores = scores[0] if scores.ndim == 3 else scores
        count = scores.shape[1]
        labels = torch.arange(count, device=scores.device).repeat(scores.shape[0])
        boxes, scores = boxes.repeat_interleave(count, 0), scores.reshape(-1)
    scores, labels = scores.reshape(-1, 1), labels.reshape(-1, 1)
    return torch.cat([boxes.float(), scores.float(), labels.float()], 1)


class ProgramFile(nn.Module):
    """What stands for a program until its file is read."""

    def read(self, data: bytes) -> Program:
        """See `models.networks.protocols.Whole`."""
        return read_program(data)


class OnnxDetectorFile(nn.Module):
    """What stands for an ONNX file until it is read."""

    def read(self, data: bytes) -> nn.Module:
        """See `models.networks.protocols.Whole`."""
        return OnnxDetector(started(data)).eval()


class OnnxDetector(OnnxNetwork):
    """An ONNX file whose outputs are boxes, scores and, where it has them, labels, in this order."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        super().__init__(session)
        self._names = [one.name for one in session.get_outputs()]

    def forward(self, x: Tensor) -> Tensor:
        """(1, rows, 6)."""
        given = np.ascontiguousarray(x.detach().cpu().numpy())
        found = [torch.from_numpy(one) for one in self._session.run(self._names, {self._input: given})]
        return rows_of(*found)[None]
