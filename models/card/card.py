"""The card itself, of its tables."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.augmentation import Augmentation
from models.card.dense import Boxes, Masks, Voxels
from models.card.inputs import Input
from models.card.labels import Label
from models.card.network import Anatomy, Detector, Network, VolumeInput, Weights
from models.card.table import Table, Text
from models.card.training import Training
from models.classes.rules import exclusive_objection
from models.slices.table import Slices

COARSEST_STRIDE = 32  # input pixels a cell of the last tap


class Card(Table):
    """All that is known of a package but its weights."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
    title: Text
    manufacturer: Text
    summary: Text
    licence: Text
    limits: Annotated[tuple[Text, ...], Field(min_length=1)]
    algorithm: Literal["neural network", "classical image analysis"]
    quantity: Literal["probability", "score"]
    activation: Literal["sigmoid", "softmax", "ordinal"] = "sigmoid"
    """Softmax: the labels are exclusive classes, one of which each input has. Ordinal: they are grades in their order,
    and the network has a logit for each but the first, that the grade is this one or a higher one."""
    category: Literal["finding", "structure"] = "finding"
    """What its labels are. A structure is an organ: it is segmented, is in no report, and requests no priority."""
    localizer: Text
    """How findings are located: a name of `models.localizers.registry.LOCALIZERS`."""
    input: Input
    network: Network | None = None
    anatomy: Anatomy | None = None
    detector: Detector | None = None
    slices: Slices | None = None
    volume: VolumeInput | None = None
    voxels: Voxels | None = None
    masks: Masks | None = None
    boxes: Boxes | None = None
    augmentation: Augmentation | None = None
    weights: Weights | None = None
    training: Training
    labels: Annotated[tuple[Label, ...], Field(min_length=1)]

    @property
    def exclusive(self) -> bool:
        """Whether each input has exactly one of the labels."""
        return self.activation != "sigmoid"

    @property
    def outputs(self) -> int:
        """Logits of the network."""
        return len(self.labels) - (self.activation == "ordinal")

    @model_validator(mode="after")
    def _parts_fit(self) -> Card:
        if self.network and self.input.size and min(self.input.size) // COARSEST_STRIDE <= 2 * self.network.border:
            raise ValueError(f"network.border leaves no cell: input.size must exceed {COARSEST_STRIDE} x 2 x border")
        if self.anatomy and (self.anatomy.crop > 0) != (self.input.kind == "image"):
            raise ValueError(
                "anatomy.crop is the side of the square that is cut from an image; of a volume there is none"
            )
        names = [label.name for label in self.labels]
        if len(set(names)) != len(names):
            raise ValueError("labels: two labels have the same name")
        objection = exclusive_objection(self.labels, self.quantity, self.activation)
        objection = objection or (self.input.objection(self.network) if self.network else "")
        if objection:
            raise ValueError(objection)
        if self.training.simulated and any(label.triage and label.triage.raises_priority for label in self.labels):
            raise ValueError("training.simulated: what was trained on simulated lesions may not claim raises_priority")
        return self
