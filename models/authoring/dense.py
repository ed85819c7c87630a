"""A user's masks, boxes and volumes as tables of a card, and what of them does not fit the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from models.authoring.networks import Stored
from models.errors import PackageError

MASKS = "Masks are the network's own; how well they lie on what people outline was not measured."
BOXES = (
    "Boxes are the network's own and outline nothing, so that no Segmentation is made of them: reports and pictures"
    " show them. How well they lie on findings was not measured."
)
NO_BOXES = 'output("boxes") is for images: of volumes masks are taken, and no boxes'
VOLUME_WHERE = {"grad-cam": "volume-grad-cam", "occlusion": "volume-occlusion"}
PERCENTILES = (1.0, 99.0)


@dataclass(frozen=True, slots=True)
class Dense:
    """Masks or boxes that the network returns; `table` is the card's of that name.

    `threshold` is of a mask's probability, from which on a pixel belongs to it, or of a box's score.
    """

    kind: Literal["masks", "boxes"]
    threshold: float
    table: dict[str, Any] = field(default_factory=dict)

    @property
    def limit(self) -> str:
        """What the reader of a result must know of the regions."""
        return MASKS if self.kind == "masks" else BOXES

    def label(self, *, structure: bool, volume: bool) -> dict[str, Any]:
        """Keys of each label."""
        region = "smoothed" if self.kind == "boxes" else "whole" if structure else "parts"
        drawn = {"saliency_threshold": self.threshold, "region_of_peak": 0.0, "region": region}
        return drawn | ({"territory": "anywhere"} if volume else {})

    def localizer(self, *, volume: bool) -> str:
        """Name of what reads them."""
        return f"volume-{self.kind}" if volume else self.kind

    def faults(self, network: Stored, labels: int, axes: int) -> Iterator[str]:
        """What does not fit, as clauses; `axes` of the input without its first two."""
        if self.kind == "boxes":
            return
        shape, pixels = network.returned, self.table["pixels"]
        if len(shape) != 2 + axes:
            wanted_shape = f"(1, labels, {'slices, ' * (axes == 3)}rows, columns)"
            yield f"the network returns the shape {shape}, and masks are {wanted_shape}"
            return
        wanted = labels + (pixels == "softmax")
        if shape[1] != wanted:
            background = " and the background" if pixels == "softmax" else ""
            yield f"the network returns {shape[1]} masks, and {labels} labels{background} are named"
        if network.activation not in ("", pixels):
            yield f"the network ends in {network.activation}, and output() says {pixels}"


def masks(activation: str, threshold: float, share: float) -> Dense:
    """Of `output("masks", …)`."""
    if activation not in ("sigmoid", "softmax"):
        raise PackageError(f'The activation of masks is "sigmoid" or "softmax", not {activation!r}.')
    return Dense("masks", threshold, {"pixels": activation, "share": share})


def boxes(threshold: float, first_label: int, suppression: float) -> Dense:
    """Of `output("boxes", …)`."""
    return Dense("boxes", threshold, {"first_label": first_label, "suppression": suppression})


def no_masks(network: Stored) -> Iterator[str]:
    """Why a network is none of one number a label, as a clause."""
    if len(network.returned) > 2:
        yield f'the network returns the shape {network.returned}: where these are masks say output("masks")'


def voxels(
    size: Sequence[int],
    spacing: float | Sequence[float] | None,
    window: Sequence[float] | Sequence[Sequence[float]],
    percentiles: tuple[float, float],
) -> dict[str, Any]:
    """The table [voxels] of `input(volume=True, …)`.

    Raises
    ------
    PackageError
        There is no spacing, or no size of three lengths.
    """
    if spacing is None or len(size) != 3:
        raise PackageError(
            "volume=True needs size=(slices, rows, columns) of the network's input, for which it is written, and"
            " spacing in mm, one number or (z, y, x): a volume is resampled to it and seen in windows of that size."
        )
    steps = (spacing,) * 3 if isinstance(spacing, int | float) else tuple(spacing)
    found: dict[str, Any] = {"spacing_mm": steps, "size": tuple(size)}
    if not window:
        return found | {"percentiles": percentiles}
    windows = [window] if isinstance(window[0], int | float) else window
    return found | {"windows": [tuple(one) for one in windows]}  # type: ignore[arg-type]


def structure_faults(found: Dense | None, structures: int, labels: int) -> Iterator[str]:
    """What does not fit of `structures` of all labels, as clauses."""
    if 0 < structures < labels:
        yield "structure() and finding() are both there: make a package of each, and the node runs both"
    if structures and not (found and found.kind == "masks"):
        yield 'structure() is for output("masks"): an organ without a mask is nothing'


def volume_faults(table: dict[str, Any], rules: dict[str, Any], channels: int, where: str) -> Iterator[str]:
    """What does not fit of a volume's input, as clauses; `where` is empty of masks."""
    if where and where not in VOLUME_WHERE:
        yield f'where="{where}" is for images; of volumes: {", ".join(VOLUME_WHERE)}'
    windows = table.get("windows", ())
    if len(windows) > 1 and len(windows) != channels:
        yield f"{len(windows)} windows are given for {channels} channels of the network"
    if windows and "CT" not in rules["modalities"]:
        yield "window is in HU, which CT alone has: leave it out, and percentiles scale each volume"
