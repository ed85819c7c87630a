"""The graph of a loaded package with its calibration, traced once; what it was made of, and how it is described."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from models.errors import PackageError
from models.localizers.registry import Exportable, Graph
from models.networks.modules.graph import Calibrated

if TYPE_CHECKING:
    from models.card import Label
    from models.loaded import LoadedModel

NOT_A_DEVICE = "Research software, not a medical device: no result may be used without a radiologist's reading."
PROBABILITIES = {"probabilities": "(1, labels), calibrated as on the card; present from the label's threshold on"}


@dataclass(frozen=True, slots=True, eq=False)
class Exportee:
    """A package to be exported: its graph, with probabilities behind the logits where it has these."""

    model: LoadedModel
    graph: Graph
    module: nn.Module
    outputs: dict[str, str]

    @property
    def input_name(self) -> str:
        """Of the one input."""
        return "volume" if self.model.card.input.kind == "volume" else "image"

    def traced(self) -> ExportedProgram:
        """The module by `torch.export`; PackageError where it cannot be traced."""
        open_axes = {axis: Dim(name, min=1) for axis, name in self.graph.open_axes.items()}
        try:
            with torch.no_grad():
                example = (torch.rand(self.graph.example),)
                return torch.export.export(self.module, example, dynamic_shapes=(open_axes,), strict=False)
        except Exception as error:  # whatever a network's own code raises
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise PackageError(f"{self.model.card.name} cannot be traced by torch.export: {reason}") from error


def exportee(model: LoadedModel) -> Exportee:
    """What of a loaded package can be exported; PackageError where nothing can."""
    card = model.card
    if not isinstance(model.localizer, Exportable):
        why = "it is no network" if card.network is None else f'localizer "{card.localizer}" has no graph yet'
        raise PackageError(f"{card.name} cannot be exported: {why}.")
    graph = model.localizer.graph(card)
    if "logits" not in graph.outputs:
        return Exportee(model, graph, graph.module.eval(), graph.outputs)
    module = Calibrated(graph.module, [label.calibration for label in card.labels], card.activation).eval()
    first, *others = graph.outputs.items()
    return Exportee(model, graph, module, dict([first]) | PROBABILITIES | dict(others))


def described(given: Exportee, card_sha256: str) -> dict[str, Any]:
    """All that another program needs to know of the file, as JSON."""
    card, graph = given.model.card, given.graph
    network = {} if card.network is None else card.network.model_dump(mode="json", include={"mean", "std", "scaling"})
    return {
        "notice": NOT_A_DEVICE,
        "package": card.name, "version": card.version, "title": card.title, "licence": card.licence,
        "manufacturer": card.manufacturer, "card_sha256": card_sha256, "digest": given.model.digest,
        "weights_sha256": card.weights.sha256 if card.weights else "",
        "input": {
            "name": given.input_name, "shape": _shape(graph), "is": graph.given,
            "normalization": network | {"where": "inside the graph: give intensities as they are"},
            "modalities": card.input.modalities, "body_parts": card.input.body_parts, "views": card.input.views,
        },
        "outputs": given.outputs, "left_to_the_caller": graph.left,
        "activation": card.activation, "labels": [_label(label) for label in card.labels], "limits": card.limits,
    }  # fmt: skip


def text_of(description: dict[str, Any]) -> str:
    """The JSON as it is written into files and beside them."""
    return json.dumps(description, indent=2, ensure_ascii=False)


def _shape(graph: Graph) -> list[int | str]:
    return [graph.open_axes.get(axis, length) for axis, length in enumerate(graph.example)]


def _label(label: Label) -> dict[str, Any]:
    regions = {
        "saliency_threshold": label.saliency_threshold, "region_of_peak": label.region_of_peak,
        "shows_regions": label.shows_regions,
    }  # fmt: skip
    return {
        "name": label.name, "code": list(label.code), "site": list(label.site), "finding": label.finding,
        "threshold": label.operating_point, "calibration": label.calibration._asdict(), "regions": regions,
    }  # fmt: skip
