"""An ONNX file run by ONNX Runtime; where it ends in global average pooling and a linear layer, its maps are exact.

`models.importers.onnx_file` writes the file: the first output has the logits, a second one the maps that are pooled,
whose linear layer stands in the metadata. ONNX Runtime runs the operators of the standard alone: no custom operators
are registered, and a model in memory has no files beside it.
"""

from __future__ import annotations

import base64
from typing import Literal

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from models.errors import PackageError

WEIGHT, BIAS = "readfirst.weight", "readfirst.bias"
_QUIET = 3  # of ONNX Runtime's log: errors alone


class OnnxFile(nn.Module):
    """What a card's [network] alone knows of an ONNX file: how many labels it has."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self._labels = labels

    def read(self, data: bytes) -> nn.Module:
        """See `models.networks.protocols.Whole`."""
        session = started(data)
        shape = session.get_outputs()[0].shape
        if len(shape) < 2 or shape[1] != self._labels:
            raise PackageError(f"The network has outputs of the shape {shape} and the card {self._labels} [[labels]].")
        held = session.get_modelmeta().custom_metadata_map
        if WEIGHT not in held or len(session.get_outputs()) != 2:
            return OnnxNetwork(session).eval()
        bias = _floats(held[BIAS])
        return PooledOnnx(session, _floats(held[WEIGHT]).reshape(len(bias), -1), bias).eval()


class OnnxNetwork(nn.Module):
    """The file behind the protocol `SpatialNetwork`: its only feature is its input, and it has no gradients."""

    one_by_one: Literal[True] = True

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        super().__init__()
        self._session, self._input = session, session.get_inputs()[0].name
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)  # where tensors are given and taken: the CPU

    def forward(self, x: Tensor) -> Tensor:
        """The file's first output: logits (N, L), or masks (N, L, …)."""
        return self._run(x, 0)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """The input itself."""
        return (x,)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits (N, L)."""
        return self._run(features[0], 0)

    def _run(self, x: Tensor, output: int) -> Tensor:
        name = self._session.get_outputs()[output].name
        given = np.ascontiguousarray(x.detach().cpu().numpy())
        return torch.from_numpy(self._session.run([name], {self._input: given})[0])


class PooledOnnx(OnnxNetwork):
    """A `MappedNetwork` that is `PooledLinear`: logit = bias + weight · (mean over cells of the maps)."""

    def __init__(self, session: onnxruntime.InferenceSession, weight: Tensor, bias: Tensor) -> None:
        super().__init__(session)
        self.weight, self.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps (N, c, h, w) that are pooled."""
        return (self._run(x, 1),)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits (N, L)."""
        return nn.functional.linear(features[0].mean((2, 3)), self.weight, self.bias)

    def maps(self, features: tuple[Tensor, ...]) -> Tensor:
        """Each cell's part of the logits (N, L, h, w): their mean is the logit without its bias."""
        return nn.functional.conv2d(features[0], self.weight[:, :, None, None])

    def tap_weights(self) -> tuple[Tensor, ...]:
        """The linear layer's weight (L, c)."""
        return (self.weight,)


def started(data: bytes) -> onnxruntime.InferenceSession:
    """A session on the CPU with as many threads as PyTorch has; PackageError where the bytes are no network."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = _QUIET
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own, which have no common class
        reason = str(error).strip().splitlines()[0]
        raise PackageError(f"ONNX Runtime cannot load the network: {reason}") from error


def text_of(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
    """Numbers as the metadata has them."""
    return base64.b64encode(np.ascontiguousarray(values, np.float32).tobytes()).decode("ascii")


def _floats(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), np.float32).copy())
