"""DenseNet-121, which ends in global average pooling and a linear layer, so that class activation maps are exact.

Written from Huang, Liu, van der Maaten, Weinberger, Densely Connected Convolutional Networks, CVPR 2017, table 1
(growth rate 32, bottlenecks of 4 x 32, compression one half). `published_state` takes the names of TorchXRayVision's,
torchvision's and MONAI's weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import PackageError

GROWTH, BOTTLENECK, STEM = 32, 128, 64
BLOCKS = (6, 12, 24, 16)  # layers of each block
STRIDE = 32  # input pixels a cell of it

# Published name -> ours; MONAI has ".layers." within a layer and calls the head "class_layers.out".
NAMES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"^features\.(conv0|norm0|norm5)\.(\w+)$"), lambda m: f"{m[1]}.{m[2]}"),
    (
        re.compile(r"^features\.denseblock(\d)\.denselayer(\d+)\.(?:layers\.)?(norm|conv)\.?([12])\.(\w+)$"),
        lambda m: f"blocks.{int(m[1]) - 1}.{int(m[2]) - 1}.{m[3]}{m[4]}.{m[5]}",
    ),
    (
        re.compile(r"^features\.transition(\d)\.(norm|conv)\.(\w+)$"),
        lambda m: f"transitions.{int(m[1]) - 1}.{m[2]}.{m[3]}",
    ),
    (re.compile(r"^(?:classifier|class_layers\.out)\.(weight|bias)$"), lambda m: f"head.{m[1]}"),
)


class DenseLayer(nn.Module):
    """BN, ReLU, 1 x 1 convolution, BN, ReLU, 3 x 3 convolution; its output is joined to its input."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, BOTTLENECK, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK)
        self.conv2 = nn.Conv2d(BOTTLENECK, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(functional.relu(self.norm1(x), inplace=True))
        y = self.conv2(functional.relu(self.norm2(y), inplace=True))
        return torch.cat([x, y], 1)


class Transition(nn.Module):
    """BN, ReLU, 1 x 1 convolution to half the channels, average of 2 x 2."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(self.conv(functional.relu(self.norm(x), inplace=True)), 2)


class DenseNet121(nn.Module):
    """logit = bias + mean over cells of weight · feature, with the same parts as a `CamNetwork`.

    Parameters
    ----------
    labels
        Outputs of the linear head.
    channels_in
        Channels of the input, 1 or 3.
    """

    def __init__(self, labels: int, channels_in: int = 1) -> None:
        super().__init__()
        self.channels_in = channels_in
        self.conv0 = nn.Conv2d(channels_in, STEM, 7, stride=2, padding=3, bias=False)
        self.norm0 = nn.BatchNorm2d(STEM)
        self.blocks, self.transitions = nn.ModuleList(), nn.ModuleList()
        width = STEM
        for index, layers in enumerate(BLOCKS):
            if index:
                self.transitions.append(Transition(width))
                width //= 2
            self.blocks.append(nn.Sequential(*(DenseLayer(width + GROWTH * layer) for layer in range(layers))))
            width += GROWTH * layers
        self.norm5 = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, labels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, L) and maps (N, L, h, w) of an input (N, channels_in, rows, columns)."""
        features = self.features(x)
        return self.classify(features), self.maps(features)

    def features(self, x: Tensor) -> tuple[Tensor]:
        """The one tap, after the last ReLU: (N, 1024, rows / 32, columns / 32).

        `x` may have more channels, all alike, than the network: localizers give every network three.
        """
        x = functional.relu(self.norm0(self.conv0(x[:, : self.channels_in])), inplace=True)
        x = self.blocks[0](functional.max_pool2d(x, 3, stride=2, padding=1))
        for transition, block in zip(self.transitions, self.blocks[1:], strict=True):
            x = block(transition(x))
        return (functional.relu(self.norm5(x), inplace=True),)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits (N, L) of the tap."""
        logits: Tensor = self.head(features[0].mean((2, 3)))
        return logits

    def tap_weights(self) -> tuple[Tensor]:
        """The head's weight (L, 1024): `models.networks.modules.tapped.PooledLinear`."""
        return (self.head.weight,)

    def maps(self, features: tuple[Tensor, ...]) -> Tensor:
        """Each cell's part of the logits, (N, L, h, w): the mean over the cells is the logit without its bias."""
        return functional.conv2d(features[0], self.head.weight[:, :, None, None])


def published_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of `DenseNet121` from TorchXRayVision's, torchvision's or MONAI's; counters and buffers are left out.

    Raises
    ------
    PackageError
        A name that no DenseNet-121 has; it is named.
    """
    wanted = {key: value for key, value in state.items() if not key.endswith(("num_batches_tracked", "op_threshs"))}
    return {_own_name(key): value for key, value in wanted.items()}


def _own_name(key: str) -> str:
    for pattern, own in NAMES:
        found = pattern.match(key)
        if found:
            return own(found)
    raise PackageError(f"The weights are not a DenseNet-121's: {key!r} has no place in one.")


def load_state(network: DenseNet121, state: Mapping[str, Tensor]) -> None:
    """Take float32 weights by our names, all of them; counters stay as they are.

    Raises
    ------
    PackageError
        A weight is missing, has another shape, or has no place.
    """
    counters = {key: value for key, value in network.state_dict().items() if key.endswith("num_batches_tracked")}
    try:
        network.load_state_dict({key: value.float() for key, value in state.items()} | counters)
    except RuntimeError as error:
        lines = str(error).splitlines()
        reason = lines[1].strip() if len(lines) > 1 else lines[0]
        raise PackageError(f"The weights are not those of this DenseNet-121: {reason}") from error
