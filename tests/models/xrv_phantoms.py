"""TorchXRayVision's own network, from the installed PyPI package, with random weights.

Its `models` module imports torchvision, of which there is no CPU build for this torch. So the classes are compiled from
the installed file, unchanged, without importing the module: nothing that they use is replaced.
"""

from __future__ import annotations

import ast
import sys
from collections import OrderedDict
from functools import cache
from importlib import util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

MODULE = "torchxrayvision.models"
WANTED = {"_DenseLayer", "_DenseBlock", "_Transition", "DenseNet", "op_norm"}


def module() -> ModuleType:
    """DenseNet, op_norm and model_urls of torchxrayvision; skips the test where it is not installed."""
    found = util.find_spec("torchxrayvision")
    if found is None or found.origin is None:
        pytest.skip("needs PyPI torchxrayvision (pip install --no-deps torchxrayvision==1.5.7)")
    return _module(Path(found.origin).parent)


@cache
def _module(folder: Path) -> ModuleType:
    tree = ast.parse((folder / "models.py").read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if _is_wanted(node)]
    made = ModuleType(MODULE)
    made.__file__ = str(folder / "models.py")  # where torch.save of the old format looks for the classes' source
    datasets = SimpleNamespace(default_pathologies=_literal(folder / "datasets.py", "default_pathologies"))
    names = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "np": np, "OrderedDict": OrderedDict}
    vars(made).update(names, datasets=datasets, List=list)
    exec(compile(tree, made.__file__, "exec"), vars(made))  # the installed package's own code
    return made


def _is_wanted(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return "model_urls" in ast.unparse(node.targets[0])
    return isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in WANTED


def _literal(path: Path, name: str) -> Any:
    assigned = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign)]
    return next(ast.literal_eval(node.value) for node in assigned if ast.unparse(node.targets[0]) == name)


@cache
def network() -> torch.nn.Module:
    """Their DenseNet with random weights, whose batch norms know the statistics of noise in their input range."""
    torch.manual_seed(0)
    made: torch.nn.Module = module().DenseNet()
    settled(made, (torch.rand(4, 1, 64, 64) * 2 - 1) * 1024)
    return made


def settled(network: torch.nn.Module, noise: torch.Tensor) -> None:
    """Batch norms get the statistics of `noise`, so that logits are of the size that trained networks have."""
    norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias, 0.0, 0.2)
    for head in (one for one in network.modules() if isinstance(one, torch.nn.Linear) and one.bias is not None):
        torch.nn.init.normal_(head.bias)
    with torch.no_grad():
        network.train()(noise)
    network.eval()


def save(network: torch.nn.Module, path: Path, monkeypatch: pytest.MonkeyPatch, *, old: bool = True) -> Path:
    """The whole network, pickled as TorchXRayVision's weights are published: by torch.save, before 1.6 if `old`."""
    whole = {"torchxrayvision": ModuleType("torchxrayvision"), MODULE: module()}
    with monkeypatch.context() as patched:
        for name, one in whole.items():
            patched.setitem(sys.modules, name, one)
        torch.save(network, path, _use_new_zipfile_serialization=not old)
    return path
