"""Files of torch.save are read, and nothing in them is run."""

from __future__ import annotations

import os
import pickle
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from models.errors import PackageError
from models.importers import pickled
from models.importers.pickled import read_tensors
from tests.models import xrv_phantoms as theirs


@pytest.mark.parametrize("old", [True, False])
def test_a_whole_network_is_read_as_its_state_dict(old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = theirs.network()
    read = read_tensors(theirs.save(network, tmp_path / "whole.pt", monkeypatch, old=old))
    state = network.state_dict()
    assert set(read) == set(state)
    assert all(torch.equal(read[key], state[key]) for key in state)


@pytest.mark.parametrize("new", [True, False])
def test_views_of_one_storage_are_read(new: bool, tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(2, 3, 4)
    state = {"a": whole[1, :, 1:], "b": whole.transpose(0, 2), "c": torch.tensor(3), "d": torch.ones(2).half()}
    torch.save(state, tmp_path / "state.pt", _use_new_zipfile_serialization=new)
    read = read_tensors(tmp_path / "state.pt")
    assert all(torch.equal(read[key], state[key]) and read[key].dtype == state[key].dtype for key in state)


class Bomb:
    """Unpickled blindly it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("new", [True, False])
def test_nothing_in_a_file_is_run(new: bool, tmp_path: Path) -> None:
    torch.save(
        {"a": torch.ones(1), "b": Bomb(tmp_path / "went off")}, tmp_path / "x.pt", _use_new_zipfile_serialization=new
    )
    with pytest.raises(PackageError, match=r"x\.pt was not read: it would run (posix|nt)\.mkdir, .* Nothing was run"):
        read_tensors(tmp_path / "x.pt")
    assert not (tmp_path / "went off").exists()


@pytest.mark.parametrize(("module", "name"), [("builtins", "eval"), ("torch", "load"), ("torch.hub", "load")])
def test_no_function_is_let_through_by_its_name(module: str, name: str, tmp_path: Path) -> None:
    code = f"c{module}\n{name}\n(Vx\ntR.".encode()
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", code)
    with pytest.raises(PackageError, match=f"it would run {module}.{name}"):
        read_tensors(tmp_path / "x.pt")


def test_names_of_networks_are_empty_containers(tmp_path: Path) -> None:
    """Even torch.nn.modules.module.os.system, were there one, is a container that does nothing with "false"."""
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", b"ctorch.nn.modules.module\nsystem\n(Vfalse\ntR.")
    assert read_tensors(tmp_path / "x.pt") == {}


def test_what_is_no_file_of_weights_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    for data in (b"", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps(0x1950A86A20F9469CFC6C)):
        path.write_bytes(data)
        with pytest.raises(PackageError, match=r"x\.pt cannot be read as weights that torch\.save wrote"):
            read_tensors(path)
    torch.save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(PackageError, match="cannot be read as weights"):
        read_tensors(path)


def test_a_tensor_cannot_reach_beyond_its_storage(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(4)}, tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in held if name.endswith("data.pkl"))
    assert held[pickled].count(b"K\x04\x85") == 1  # size (4,)
    held[pickled] = held[pickled].replace(b"K\x04\x85", b"K\x09\x85")
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    with pytest.raises(PackageError, match="a tensor reaches beyond its storage"):
        read_tensors(tmp_path / "x.pt")


def zipped(path: Path, code: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", code)
    return path


def test_a_few_bytes_do_not_ask_for_gigabytes(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.pt", b"\x80\x02Nr" + (0x3FFFFFFF).to_bytes(4, "little") + b"0N.")
    tracemalloc.start()
    assert read_tensors(path) == {}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 22


@pytest.mark.parametrize("name", ["torch._utils\n_rebuild_tensor_v2", "torch.nn.modules.linear\nLinear"])
def test_a_file_changes_nothing_of_ours(name: str, tmp_path: Path) -> None:
    """BUILD with a pair sets attributes of what it is given, also of functions and classes."""
    code = b"\x80\x02c" + name.encode() + b"\n(N}Vspoiled\nVx\nsstb0N."
    before = {attribute: getattr(pickled.Container, attribute, None) for attribute in ("spoiled", "__setstate__")}
    with suppress(PackageError):
        read_tensors(zipped(tmp_path / "x.pt", code))
    assert not hasattr(pickled._view, "spoiled")
    assert {attribute: getattr(pickled.Container, attribute, None) for attribute in before} == before


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"There is no file .*nowhere\.pt"):
        read_tensors(tmp_path / "nowhere.pt")
