"""Writes any PyTorch network as a program of Core ATen operators; see `models.networks.modules.program`.

`torch.export` traces it once for one input of one size: what depends on the values in the image cannot be written.
"""

from __future__ import annotations

import json
import math
import operator
import warnings
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from models.errors import PackageError
from models.networks.modules.program import CONSTANTS, INPUT, KEY, PICK, Cut, Node, Program, permitted

_CHECKS = ("aten._assert_tensor_metadata.default",)  # of what the trace has settled; nothing follows from them


def exported(network: nn.Module, shape: tuple[int, ...]) -> ExportedProgram:
    """The network traced for an input of that shape, its first axis of one; PackageError where it cannot be."""
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The tensor attribute")  # what a module keeps of a run: it is not needed
            return torch.export.export(network.eval(), (torch.zeros(shape),), strict=False)
    except Exception as error:  # whatever the user's own code raises
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PackageError(f"The network cannot be traced for an input of {shape} by torch.export: {reason}") from error


def input_shape(traced: ExportedProgram) -> tuple[int, ...]:
    """Of the one input; PackageError where there are more."""
    names = set(traced.graph_signature.user_inputs)
    inputs = [node for node in traced.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(inputs) != 1:
        raise PackageError(f"The network takes {len(inputs)} inputs: one image or volume is given.")
    return _shape(inputs[0])


class Written(NamedTuple):
    """The bytes of a file that `read_program` reads.

    `returned` is the shape of its output; `activation` is what the network did to it, which is taken away.
    """

    data: bytes
    returned: tuple[int, ...]
    activation: Literal["sigmoid", "softmax", ""]


def to_program(traced: ExportedProgram) -> bytes:
    """The bytes alone of what is `written`."""
    return written(traced).data


def written(traced: ExportedProgram) -> Written:
    """The network as a program that gives logits.

    Raises
    ------
    PackageError
        It takes more than one input, returns no tensor first, or needs an operator that is not of Core ATen.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyTorch 2.13 warns of its own copies
        core = traced.run_decompositions()
    shape, names = input_shape(core), _tensors(core)
    (source,) = (node for node in core.graph.nodes if node.op == "placeholder" and node.name not in names)
    called = {source: INPUT}
    steps = (each for each in core.graph.nodes if each.op == "call_function" and str(each.target) not in _CHECKS)
    nodes = [_node(each, called) for each in steps]
    output, activation = _logits(_output(core.graph))
    stored = {name: tensor.detach().clone().contiguous() for name, tensor in names.items()}
    end, outputs = called.get(output, output.name), _outputs(output)
    programs = ((one, Program(nodes, stored, end, one, outputs)) for one in _cuts(core.graph, source, output))
    cut = next((one for one, program in programs if _matters(program, shape)), None)
    table = {"nodes": nodes, "output": end, "cut": cut, "outputs": outputs}
    return Written(safetensors.torch.save(stored, {KEY: json.dumps(table)}), _shape(output), activation)


def _tensors(core: ExportedProgram) -> dict[str, Tensor]:
    """Parameters, buffers and constants by the names of their placeholders."""
    held = core.state_dict | core.constants
    specs = core.graph_signature.input_specs
    found = {one.arg.name: held[one.target] for one in specs if one.target is not None and one.target in held}
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def _node(node: fx.Node, called: dict[fx.Node, str]) -> Node:
    if node.target is operator.getitem:
        name = PICK
    else:
        name = str(node.target).removeprefix("aten.")
        permitted(name)
    return Node(node.name, name, _encoded(list(node.args), called), _encoded(dict(node.kwargs), called))


def _encoded(value: Any, called: dict[fx.Node, str]) -> Any:
    if isinstance(value, fx.Node):
        return {"node": called.get(value, value.name)}
    if isinstance(value, list | tuple):
        return [_encoded(each, called) for each in value]
    if isinstance(value, dict):
        return {key: _encoded(each, called) for key, each in value.items() if key not in ("device", "pin_memory")}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if str(value) in CONSTANTS:
        return {"constant": str(value)}
    raise PackageError(f"The network has an argument that depends on its input: {value}; export it for one fixed size.")


def _output(graph: fx.Graph) -> fx.Node:
    found = next(node for node in graph.nodes if node.op == "output").args[0]
    first = found[0] if isinstance(found, list | tuple) else found
    if not isinstance(first, fx.Node):
        raise PackageError("The network returns no tensor.")
    return first


def _logits(output: fx.Node) -> tuple[fx.Node, Literal["sigmoid", "softmax", ""]]:
    """What a last sigmoid, or a softmax over the second axis, is of; the output itself where it ends in neither."""
    before = output.args[0] if output.args else None
    if not isinstance(before, fx.Node):
        return output, ""
    if str(output.target) == "aten.sigmoid.default":
        return before, "sigmoid"
    over_labels = len(output.args) > 1 and output.args[1] in (1, 1 - len(_shape(output)))
    return (before, "softmax") if str(output.target) == "aten._softmax.default" and over_labels else (output, "")


def _outputs(output: fx.Node) -> int:
    shape = _shape(output)
    if len(shape) < 2 or shape[0] != 1:
        raise PackageError(f"The network returns the shape {shape}, not (1, labels) or (1, labels, …).")
    return shape[1]


def _cuts(graph: fx.Graph, source: fx.Node, output: fx.Node) -> Iterator[Cut]:
    """Where the network could be cut, the last place first."""
    grid = _grid(graph)
    for node in reversed(list(graph.nodes)):
        cut = _cells(node, grid) if node.op == "call_function" and node is not output else None
        if cut and not _reaches(output, source, node):
            yield cut


def _matters(program: Program, shape: tuple[int, ...]) -> bool:
    """Whether the logits depend on the cells: behind the last block of a transformer on the class token alone."""
    cells, *others = program.features(torch.rand(shape, generator=torch.Generator().manual_seed(0)))
    cells.requires_grad_()
    logits = program.classify((cells, *others))
    (gradient,) = torch.autograd.grad(logits.sum(), cells, allow_unused=True)
    return gradient is not None and bool(gradient.any())


def _cells(node: fx.Node, grid: tuple[int, int]) -> Cut | None:
    shape = _shape(node)
    if len(shape) in (4, 5) and math.prod(shape[2:]) > 1:
        return Cut(node.name, shape[-2], shape[-1])
    leading = shape[1] - math.prod(grid) if len(shape) == 3 else -1
    return Cut(node.name, *grid, leading) if leading in (0, 1) and math.prod(grid) > 1 else None


def _grid(graph: fx.Graph) -> tuple[int, int]:
    """Rows and columns of the first convolution's maps, of which a transformer makes its tokens."""
    embedded = (_shape(node) for node in graph.nodes if str(node.target) == "aten.convolution.default")
    rows, columns = next((shape[2:] for shape in embedded if len(shape) == 4), (1, 1))
    return rows, columns


def _shape(node: fx.Node) -> tuple[int, ...]:
    value = node.meta.get("val")
    return tuple(int(length) for length in value.shape) if isinstance(value, Tensor) else ()


def _reaches(output: fx.Node, source: fx.Node, without: fx.Node) -> bool:
    """Whether the output knows of the source by a way that does not lead through a node."""
    ahead, seen = [output], {without}
    while ahead:
        node = ahead.pop()
        if node in seen:
            continue
        if node is source:
            return True
        seen.add(node)
        ahead += node.all_input_nodes
    return False
