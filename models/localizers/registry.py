"""The localizers that a card may name: how each is loaded, fitted, and described in results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

from models.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from models.anatomy.ct.lungs import SegmentVolume
    from models.anatomy.lungs import Segment
    from models.card import Card, Code
    from models.fitting.classes.fit import ClassFit
    from models.fitting.lungs import MaskFit, MaskTask
    from models.fitting.task import Fit, Task
    from models.fitting.volumes.task import VolumeFit, VolumeTask

    Load = Callable[[Card, bytes, str, int | None], "Localizer"]
    """Of (card, weights, device, threads): the method with the package's weights; see `models.packages.load`."""


class Localized(NamedTuple):
    """What a localizer finds in one input: logits (L,) before calibration, the rest as in `Prediction`."""

    logits: NDArray[np.float32]
    saliency: NDArray[np.float32]
    zones: NDArray[np.uint8] | None = None
    remarks: tuple[str, ...] = ()
    boxes: tuple[NDArray[np.float32], ...] | None = None


class Localizer(Protocol):
    """What a package's method does with one checked input; all labels in one pass."""

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits and raw saliency of all labels; zones and remarks where the method knows of them.

        `image` and `spacing` are as `Model.predict` describes them; whoever loads the package has checked them.
        """
        ...


@runtime_checkable
class OfLungs(Protocol):
    """A localizer that needs the lungs of each image, which another package finds."""

    def with_lungs(self, segment: Segment) -> Localizer:
        """The localizer, complete."""
        ...


@runtime_checkable
class OfVolumeLungs(Protocol):
    """A localizer that needs the lungs of each volume, which another package finds."""

    def with_volume_lungs(self, segment: SegmentVolume) -> Localizer:
        """The localizer, complete."""
        ...


@runtime_checkable
class SegmentsVolumes(Protocol):
    """A localizer that finds the lungs of volumes."""

    @property
    def segment(self) -> SegmentVolume:
        """What `OfVolumeLungs.with_volume_lungs` takes."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """What of a localizer is one fixed computation that another program can run; see `models.exporters`.

    Attributes
    ----------
    module
        It takes one tensor and returns a tuple: a tensor for each of `outputs`.
    outputs
        Names with their meanings; where it gives scores the first is "logits".
    example
        Shape of an input that it can be traced with.
    open_axes
        Axes of the input whose length is open, by their names.
    given
        What the input is, as a sentence: what a caller has to do to an image before.
    left
        What a caller has to do after, to have what the node has; "" where nothing is left.
    inputs
        The inputs that this package makes of an image (rows, columns), or of a volume and its spacing; InputError
        where it takes it for none of its own.
    own
        What the localizer itself makes of one input, scaled as the card has it, in the order of `outputs`.
    """

    module: nn.Module
    outputs: dict[str, str]
    example: tuple[int, ...]
    open_axes: dict[int, str]
    given: str
    left: str
    inputs: Callable[[NDArray[np.float32], tuple[float, ...] | None], NDArray[np.float32]]
    own: Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], ...]]


@runtime_checkable
class Exportable(Protocol):
    """A localizer of which something is one fixed computation."""

    def graph(self, card: Card) -> Graph:
        """That computation; PackageError names why this card has none."""
        ...


TABLES = ("network", "weights", "anatomy", "detector", "slices", "volume", "voxels", "masks", "boxes")
"""Of a card, those that a localizer needs or must not have."""


@dataclass(frozen=True, slots=True)
class LocalizerEntry:
    """A registered localizer.

    Attributes
    ----------
    name
        `localizer` of a card.
    maps
        What its maps are, in the words of a result: "class activation map".
    citation
        The paper.
    kind
        `input.kind` of its cards.
    tables
        Those of `TABLES` that it needs, in this order; it may have no other.
    general
        Whether it takes what any input and output of a card gives: colour, windows, ordinal grades.
    taps, deviations
        Whether the network must have taps, and may have deviations.
    code
        The method in CID 217; None where it has none.
    fit
        Fits a package on labelled images; None where nothing is learned of labels.
    fit_masks
        Fits a package on images with masks; None where nothing is learned of masks.
    fit_classes
        Fits a package of exclusive classes on labelled images; None where it cannot.
    fit_volumes
        Fits a package on labelled volumes; None where nothing is learned of them.
    made_by
        The module whose function `make` makes a whole package of a folder of volumes with masks; "" where none does.
    """

    name: str
    load: Load
    _: KW_ONLY
    maps: str
    citation: str
    kind: Literal["image", "volume"] = "image"
    tables: tuple[str, ...] = ("network", "weights")
    general: bool = False
    taps: bool = False
    deviations: bool = True
    code: Code | None = None
    fit: Callable[[Task], Fit] | None = None
    fit_masks: Callable[[MaskTask], MaskFit] | None = None
    fit_classes: Callable[[Task], ClassFit] | None = None
    fit_volumes: Callable[[VolumeTask], VolumeFit] | None = None
    made_by: str = ""

    def objection(self, card: Card) -> str:
        """Why a card does not fit, as a clause; "" where it does."""
        if self.tables != tuple(name for name in TABLES if getattr(card, name) is not None):
            needed = " and ".join(f"[{name}]" for name in self.tables)
            others = " or ".join(f"[{name}]" for name in TABLES if name not in self.tables)
            return f'localizer "{self.name}" needs the tables {needed} and no {others}'
        if card.input.kind != self.kind:
            return f'localizer "{self.name}" takes input.kind "{self.kind}"'
        if not self.general and (card.input.planes > 1 or card.activation == "ordinal"):
            return f'localizer "{self.name}" takes neither colour nor windows nor ordinal grades'
        if self.taps and card.network and not card.network.taps:
            return f'localizer "{self.name}" needs a network with taps'
        if not self.deviations and card.network and card.network.deviations:
            return f'localizer "{self.name}" has no use for deviations'
        return ""


LOCALIZERS = Registry("localizer", "models.localizers", "readfirst.localizers", LocalizerEntry)
register = LOCALIZERS.register


def trainable() -> tuple[str, ...]:
    """Names of the localizers that can be fitted on labelled images or volumes."""
    return tuple(entry.name for entry in LOCALIZERS.entries() if entry.fit or entry.fit_volumes)
