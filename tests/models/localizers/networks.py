"""Small networks for tests of localizers: any `classify`, a DenseNet-like end, and one that hides what it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.modules.tapped import CamNetwork

LABELS = 5


class Curved(nn.Module):
    """Two taps and a `classify` that is neither linear nor a plain average."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=4, padding=1)
        self.next = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.hidden = nn.Linear(14, 7)
        self.head = nn.Linear(7, LABELS)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        fine = functional.relu(self.stem(x))
        return fine, functional.relu(self.next(fine))

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        whole = torch.cat([tap.flatten(2).square().mean(2) for tap in features], 1)
        logits: Tensor = self.head(torch.tanh(self.hidden(whole)))
        return logits


class DenseLike(nn.Module):
    """Concatenated convolutions, ReLU, global average pooling, a linear layer; one module a stage for torchcam."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=4, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.ReLU()
        self.head = nn.Linear(16, LABELS)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        first = self.first(x)
        return (self.last(torch.cat([first, self.second(functional.relu(first))], 1)),)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        logits: Tensor = self.head(features[0].mean((2, 3)))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x))


class KnownDenseLike(DenseLike):
    """The same, and says that it ends in global average pooling and a linear layer."""

    def tap_weights(self) -> tuple[Tensor, ...]:
        return (self.head.weight,)


class Hidden(nn.Module):
    """A `CamNetwork` that does not say what its `classify` is."""

    def __init__(self, network: CamNetwork) -> None:
        super().__init__()
        self.inside = network

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.inside.features(x)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        return self.inside.classify(features)

    def centred(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self.inside.centred(features)

    def framed(self, maps: Tensor, features: tuple[Tensor, ...]) -> Tensor:
        return self.inside.framed(maps, features)


def cam_network(taps: tuple[int, ...] = (10, 14)) -> CamNetwork:
    """Random weights, two taps, deviations, a border, a centre: all that a `CamNetwork` can have."""
    torch.manual_seed(0)
    built = CamNetwork(taps, LABELS, border=1, deviations=True).eval()
    nn.init.normal_(built.head.weight)
    built.centre.normal_()
    built.average.normal_()
    return built
