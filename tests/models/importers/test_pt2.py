"""Archives of torch.export: what may be read, and what is refused before PyTorch sees it."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.errors import PackageError
from models.exporters.program import to_program
from models.importers.pt2 import read_pt2
from models.networks.modules.program import read_program

GRAPH = "net/models/model.json"


class Evil:
    """Its pickle makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(4, 2)).eval()


@pytest.fixture
def archive(network: nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "net.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.export.save(torch.export.export(network, (torch.zeros(1, 1, 8, 8),)), path)
    return path


def changed(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """The archive with another content of one file, or with one more file."""
    other = path.with_name("changed.pt2")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for each in old.namelist():
            new.writestr(each, change(old.read(each)) if each == name else old.read(each))
        if name not in old.namelist():
            new.writestr(name, change(b""))
    return other


def test_an_archive_is_read_and_computes_what_its_network_computes(network: nn.Module, archive: Path) -> None:
    x = torch.randn(1, 1, 8, 8)
    program = read_program(to_program(read_pt2(archive)))
    with torch.no_grad():
        torch.testing.assert_close(program(x), network(x), atol=1e-6, rtol=1e-5)


def graph(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def changing(data: bytes) -> bytes:
        table = json.loads(data)
        change(table)
        return json.dumps(table).encode()

    return changing


def first(table: dict[str, Any]) -> dict[str, Any]:
    node: dict[str, Any] = table["graph_module"]["graph"]["nodes"][0]
    return node


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: first(table).update(target="torch.os.system"), "torch.os.system"),
        (lambda table: first(table).update(target="torch.ops.higher_order.cond"), "no operator of ATen"),
        (lambda table: first(table)["inputs"][0].update(arg={"as_custom_obj": {}}), "as_custom_obj"),
        (lambda table: first(table)["inputs"][0].update(arg={"as_expr": {"expr_str": "exit()"}}), "as_expr"),
        (lambda table: table.update(guards_code=["exit()"]), "sizes vary"),
        (lambda table: table.update(range_constraints={"s0": {}}), "sizes vary"),
    ],
)
def test_a_graph_that_could_run_something_is_refused(
    archive: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    with pytest.raises(PackageError, match=reason):
        read_pt2(changed(archive, GRAPH, graph(change)))


@pytest.mark.parametrize(
    "name", ["net/data/sample_inputs/model.pt", "net/data/weights/model.pt", "net/data/constants/custom_obj_0"]
)
def test_a_pickle_is_never_read(archive: Path, tmp_path: Path, name: str) -> None:
    made = tmp_path / "made"
    with pytest.raises(PackageError, match="pickle"):
        read_pt2(changed(archive, name, lambda _: pickle.dumps(Evil(made))))
    assert not made.exists()


def test_weights_that_are_pickled_are_refused(archive: Path) -> None:
    def pickled(table: dict[str, Any]) -> None:
        next(iter(table["config"].values()))["use_pickle"] = True

    with pytest.raises(PackageError, match="is a pickle"):
        read_pt2(changed(archive, "net/data/weights/model_weights_config.json", graph(pickled)))


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"no archive"])
def test_what_is_no_archive_is_refused_with_its_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "net.pt2").write_bytes(data)
    with pytest.raises(PackageError, match=r"net\.pt2 cannot be read"):
        read_pt2(tmp_path / "net.pt2")
