"""How the network of a package is built, the weights of it, and how a volume becomes its input."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from models.card.table import Fraction, Table, Text


class Weights(Table):
    """The weights' file beside the card."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*\.(safetensors|onnx)$")] = "weights.safetensors"
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    source: str = ""
    """Where the weights were published, where they were not trained here."""
    source_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """Of the file from there."""


class Network(Table):
    """How the network of a package is built."""

    backbone: Text
    """A name of `models.networks.registry.NETWORKS`."""
    taps: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Blocks whose averaged maps the linear head sees, the finest first; none for a network that has one end."""
    channels: Annotated[int, Field(ge=1)] = 3
    """Of the network's input: all alike, or those that `input.colour` or `input.windows` gives."""
    border: Annotated[int, Field(ge=0)] = 0
    """Cells of the coarsest tap at each side that are left out: markers, collimation, what padding does."""
    deviations: bool = False
    """Each tap's maps are joined by how far they are from the average image's, channel by channel."""
    mean: float
    std: Annotated[float, Field(gt=0.0)]
    """The network's input is (intensity - mean) / std, the same in all channels."""
    means: tuple[float, ...] = ()
    stds: tuple[Annotated[float, Field(gt=0.0)], ...] = ()
    """Of each channel, in place of mean and std."""
    scaling: Literal["none", "range", "standard", "equalize", "clahe"] = "none"
    """Of each image's intensities before that, see `models.data.scaling`."""

    @model_validator(mode="after")
    def _one_of_each_channel(self) -> Network:
        if len(self.means) != len(self.stds) or len(self.means) not in (0, self.channels):
            raise ValueError("network.means and network.stds have one number for each of network.channels, or none")
        return self


class Anatomy(Table):
    """The lungs that another package finds; of an image, the network sees a square around them."""

    package: Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of that package's weights."""
    crop: Annotated[int, Field(ge=0, multiple_of=96)] = 0
    """Pixels a side of the square; 0 of a volume."""


class Window(NamedTuple):
    """HU that one channel of a network's input spreads from 0 to 1."""

    centre: float
    width: Annotated[float, Field(gt=0.0)]


class VolumeInput(Table):
    """How a volume becomes the input of a network; see `models.anatomy.volumes`."""

    spacing_mm: tuple[Annotated[float, Field(gt=0.0)], Annotated[float, Field(gt=0.0)], Annotated[float, Field(gt=0.0)]]
    """(z, y, x) of the voxels that the network sees, to the nearest that divides the volume."""
    resolution_mm: Annotated[float, Field(ge=0.0)] = 0.0
    """Finer detail is smoothed away, so that sharp and blurred scans look alike."""
    margin_mm: Annotated[float, Field(ge=0.0)] = 12.0
    """Around the lungs."""
    lung_threshold_hu: float = -400.0
    """Air inside the body below it is lung."""
    windows: tuple[Window, Window, Window]
    """The three channels."""
    slab: Annotated[int, Field(ge=1)] = 1
    """Slices whose features are averaged."""
    zones: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (1, 1, 1)
    """(z, y, x) parts of the crop in which features are averaged; (1, 1, 1): the mean over all slices."""
    bag: Literal["cells", "slices"] = "cells"
    """With attention: what it weighs."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Slices in the network at once: memory does not grow with the number of slices."""

    @model_validator(mode="after")
    def _batch_of_slabs(self) -> VolumeInput:
        if self.batch % self.slab:
            raise ValueError("volume.batch must be a multiple of volume.slab")
        return self


class Detector(Table):
    """Parameters of the classical nodule-candidate detector; see `models.localizers.detectors.nodules`."""

    working_spacing_mm: Annotated[float, Field(gt=0.0)]
    lung_threshold_hu: float
    """Air inside the body below it is lung."""
    closing_mm: Annotated[float, Field(gt=0.0)]
    """Radius of the ball that closes the lung mask."""
    nodule_threshold_hu: float
    opening_mm: Annotated[float, Field(ge=0.0)]
    """Radius of the ball that a candidate's core must hold; thinner vessels fall away."""
    growth_mm: Annotated[float, Field(ge=0.0)]
    growth_threshold_hu: float
    """The opened core grows back, and by `growth_mm` more, where HU are above it."""
    diameter_mm: tuple[float, float]
    """(smallest, largest) diameter of a sphere of the candidate's volume."""
    shell_mm: tuple[float, float]
    air_hu: float
    """Air contact is the part of the shell between these distances that is below these HU."""
    air_contact: tuple[float, float]
    """Where it counts 0 and 1 in the score."""
    aspect: tuple[float, float]
    """Longest to shortest principal axis: where it counts 0 and 1 in the score."""
    smallest_score: Fraction
    most_candidates: Annotated[int, Field(ge=1)]
