"""What localizers need of a network; a network has what its end allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn


class SpatialNetwork(Protocol):
    """What any localizer by gradients needs of a network; it is a `torch.nn.Module`, too."""

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Taps (N, c, h, w), the finest first, of an input (N, 3, rows, columns)."""
        ...

    def eval(self) -> Self:
        """Set evaluation mode; see `torch.nn.Module.eval`."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """See `torch.nn.Module.parameters`."""
        ...

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits (N, L) of these features; of one image they depend on no other image of the batch."""
        ...


class MappedNetwork(SpatialNetwork, Protocol):
    """A network that gives its maps itself."""

    def maps(self, features: tuple[Tensor, ...]) -> Tensor:
        """Each cell's part of the logits: (N, L, h, w)."""
        ...


@runtime_checkable
class PooledLinear(Protocol):
    """A network whose logits are a constant plus, over taps, weight · (mean over cells of features)."""

    def tap_weights(self) -> tuple[Tensor, ...]:
        """For each tap the weight (L, c)."""
        ...


@runtime_checkable
class Attentive(Protocol):
    """A transformer of patches."""

    def attentions(self, x: Tensor) -> tuple[Tensor, ...]:
        """Of one input, for each layer what each token (rows) takes of each other: (heads, t, t); rows add up to 1."""
        ...

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patches, which are the last rows * columns tokens."""
        ...


@runtime_checkable
class OneByOne(Protocol):
    """A network that takes one input at a time, of the size that it was written for."""

    one_by_one: Literal[True]


@runtime_checkable
class Centred(Protocol):
    """A network that has a zero of its features, and cells that the maps of `features` do not cover."""

    def centred(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The features relative to what maps call zero."""
        ...

    def framed(self, maps: Tensor, features: tuple[Tensor, ...]) -> Tensor:
        """Maps (N, L, h, w) of the cells of `features` with zeros around them, so that they cover the input."""
        ...


@runtime_checkable
class Foldable(Protocol):
    """A module that is faster once its normalizations are part of its convolutions."""

    def fold(self) -> None:
        """Put each batch normalization into the convolution before it, in place; for inference alone."""
        ...


@runtime_checkable
class Whole(Protocol):
    """What stands for a network until its file is read, which holds the network itself and not its weights alone."""

    def read(self, data: bytes) -> nn.Module:
        """The network; PackageError where the bytes hold none that fits the card."""
        ...
