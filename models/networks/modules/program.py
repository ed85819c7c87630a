"""A network as a list of Core ATen operators with their tensors: data that is interpreted here, and never code.

Stored as safetensors whose metadata has the list as JSON under "program". An operator is run where PyTorch tags it as
core (docs.pytorch.org, Core ATen IR): none of them reads a file or starts anything. `models.exporters.program` writes.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from models.errors import PackageError

KEY = "program"
INPUT = "input"
SOFTMAX = "_softmax.default"
PICK = "getitem"  # the one node that is no operator: an element of what another returned
ALSO = ("_native_batch_norm_legit.no_stats",)  # instance normalization, which no core operator stands for
CONSTANTS = {
    str(one): one for one in vars(torch).values() if isinstance(one, torch.dtype | torch.layout | torch.memory_format)
}
"""What an argument may be that is neither a tensor nor a number, by its name: "torch.float32"."""


class Node(NamedTuple):
    """One step: an operator such as "relu.default", and its arguments as `models.exporters.program` encodes them."""

    name: str
    operator: str
    positional: list[Any]
    keywords: dict[str, Any]


class Cut(NamedTuple):
    """The last node through which all has to pass that the output knows of the input, and that still has cells.

    It has rows x columns cells, as maps (1, c, rows, columns) or, of volumes, (1, c, slices, rows, columns), or as
    tokens (1, t, c) behind `leading` others.
    """

    node: str
    rows: int
    columns: int
    leading: int | None = None
    """None: maps."""


class Program(nn.Module):
    """A `SpatialNetwork`: `features` runs up to the cut, `classify` from it on; without one the input is the feature.

    Parameters
    ----------
    nodes
        In an order in which they can run.
    tensors
        By the names that arguments have.
    output
        The node, or the input, that the program returns.
    outputs
        Length of its second axis: labels.
    """

    one_by_one: Literal[True] = True

    def __init__(
        self, nodes: list[Node], tensors: Mapping[str, Tensor], output: str, cut: Cut | None, outputs: int
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self._steps = [(each, permitted(each.operator)) for each in nodes]
        self._output, self._cut, self._names = output, cut, tuple(tensors)
        for index, tensor in enumerate(tensors.values()):
            self.register_parameter(f"tensor{index}", nn.Parameter(tensor, requires_grad=False))
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)  # where it computes, if it has no tensors
        self._before = self._needed(cut.node, INPUT) if cut else frozenset()
        self._behind = self._needed(output, cut.node if cut else INPUT)

    def forward(self, x: Tensor) -> Tensor:
        """The output for one input of the size that the network was written for."""
        return self.classify(self.features(x))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Cells (1, c, rows, columns), and the tokens before them (1, c, leading, 1) where there are any."""
        if self._cut is None:
            return (x,)
        found = self._run(self._before, {INPUT: x}, self._cut.node)
        if self._cut.leading is None:
            return (found,)
        leading, cells = found.transpose(1, 2).tensor_split([self._cut.leading], 2)
        tap = cells.reshape(*cells.shape[:2], self._cut.rows, self._cut.columns)
        return (tap, leading[..., None]) if self._cut.leading else (tap,)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits (1, L) of these features."""
        if self._cut is None:
            return self._run(self._behind, {INPUT: features[0]}, self._output)
        found = features[0]
        if self._cut.leading is not None:
            found = torch.cat([each.flatten(2) for each in reversed(features)], 2).transpose(1, 2)
        return self._run(self._behind, {self._cut.node: found}, self._output)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the cells; (1, 1) where it has none."""
        return (self._cut.rows, self._cut.columns) if self._cut else (1, 1)

    def attentions(self, x: Tensor) -> tuple[Tensor, ...]:
        """(heads, t, t) of each softmax over all cells and at most one more token; see `Attentive`."""
        cells = math.prod(self.grid)
        names = [node.name for node, _ in self._steps if node.operator == SOFTMAX]
        held = self._ran(self._needed(self._output, INPUT), {INPUT: x})
        found = (held[name].flatten(0, -3) for name in names if name in held and held[name].ndim > 2)
        return tuple(one for one in found if one.shape[-1] == one.shape[-2] and 0 <= one.shape[-1] - cells <= 1)

    def _run(self, names: frozenset[str], values: dict[str, Any], wanted: str) -> Tensor:
        found: Tensor = self._ran(names, values)[wanted]
        return found

    def _ran(self, names: frozenset[str], values: dict[str, Any]) -> dict[str, Any]:
        held = values | {name: getattr(self, f"tensor{index}") for index, name in enumerate(self._names)}
        for node, function in self._steps:
            if node.name in names:
                held[node.name] = function(*_filled(node.positional, held), **_filled(node.keywords, held))
        return held

    def _needed(self, wanted: str, given: str) -> frozenset[str]:
        """The nodes that have to run for one that is wanted, where another is given."""
        needed, ahead = set[str](), {wanted}
        for node, _ in reversed(self._steps):
            if node.name in ahead and node.name != given:
                needed.add(node.name)
                ahead |= set(references([node.positional, node.keywords]))
        return frozenset(needed)


class Unread(nn.Module):
    """What a card's [network] alone knows of a program: how many labels it has."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self._labels = labels

    def read(self, data: bytes) -> Program:
        """See `models.networks.protocols.Whole`."""
        program = read_program(data)
        if program.outputs != self._labels:
            raise PackageError(f"The network has {program.outputs} outputs and the card {self._labels} [[labels]].")
        return program


def permitted(name: str) -> Any:
    """The operator of that name; PackageError where it is none that may run."""
    if name == PICK:
        return operator.getitem
    packet, _, overload = name.partition(".")
    found = getattr(getattr(torch.ops.aten, packet, None), overload, None) if packet.isidentifier() else None
    if not isinstance(found, torch._ops.OpOverload) or not (torch.Tag.core in found.tags or name in ALSO):
        raise PackageError(f"The network asks for the operator {name!r}, which is not of Core ATen and is not run.")
    return found


def references(value: Any) -> Iterator[str]:
    """Names of the nodes and tensors in encoded arguments."""
    if isinstance(value, dict) and set(value) == {"node"}:
        yield value["node"]
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from references(each)


def read_program(data: bytes) -> Program:
    """The network in the bytes of a file; PackageError where they hold none."""
    try:
        tensors = safetensors.torch.load(data)
        table = json.loads(_metadata(data)[KEY])
        nodes = [Node(*each) for each in table["nodes"]]
        cut = Cut(*table["cut"]) if table["cut"] else None
        return Program(nodes, tensors, table["output"], cut, table["outputs"]).eval()
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise PackageError(f"The weights hold no network as a program: {error}") from error


def _metadata(data: bytes) -> dict[str, str]:
    """Of a safetensors file: eight bytes of length, then JSON (github.com/huggingface/safetensors, Format)."""
    found: dict[str, str] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    return found


def _filled(value: Any, held: Mapping[str, Any]) -> Any:
    """Arguments as an operator takes them."""
    if isinstance(value, list):
        return [_filled(each, held) for each in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"node"}:
        return held[value["node"]]
    if set(value) == {"constant"}:
        return CONSTANTS[value["constant"]]
    return {key: _filled(each, held) for key, each in value.items()}
