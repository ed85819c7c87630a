"""Reads the archive of a torch.export program (.pt2) without running anything that is in it.

`torch.export.load` unpickles, evaluates expressions and looks names up in PyTorch where the archive asks for it. So
what the archive holds is looked at first: JSON with operators of ATen and fixed sizes, tensors as bytes, nothing else.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from models.errors import PackageError

_OPERATOR = re.compile(r"(torch\.ops\.aten\.\w+\.\w+|_operator\.getitem)")
_GRAPH, _CONFIG, _SAMPLES = "/models/model.json", "_config.json", "/data/sample_inputs/"
_BYTES = re.compile(r"(weight|constant|tensor)_\d+")  # what torch.export.save calls a tensor's bytes
_FOREIGN = ("as_custom_obj", "as_expr", "as_graph", "as_graphs", "as_operator", "expr_str")
_LARGEST = 64 << 20  # bytes of one JSON text


def read_pt2(path: Path) -> ExportedProgram:
    """The program of an archive.

    Raises
    ------
    PackageError
        It is no such archive, was written by another version of PyTorch than can be read, or holds pickles, code,
        sizes that vary or operators other than ATen's.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive)
        return torch.export.load(path)
    except PackageError as error:
        raise PackageError(f"{path} cannot be used: {error}") from error
    except Exception as error:  # the archive is a stranger's: whatever PyTorch's reader raises
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PackageError(f"{path} cannot be read as a torch.export program: {reason}") from error


def _check(archive: zipfile.ZipFile) -> None:
    graphs = [name for name in archive.namelist() if name.endswith(_GRAPH)]
    if len(graphs) != 1:
        raise PackageError("it has no models/model.json; write it with torch.export.save of PyTorch 2.9 or newer.")
    _check_graph(_json(archive, graphs[0]))
    for name in archive.namelist():
        folder, last = name.rsplit("/", 1)
        if name.endswith(_CONFIG):
            _check_config(_json(archive, name))
        elif _SAMPLES in name:
            _check_samples(archive.read(name))
        elif folder.endswith(("/weights", "/constants")) and not _BYTES.fullmatch(last):
            raise PackageError(f"{name} is no tensor as bytes: such parts may be pickles, which are never read.")


def _check_graph(table: dict[str, Any]) -> None:
    if table.get("range_constraints") or table.get("guards_code"):
        raise PackageError("sizes vary: export it without dynamic_shapes, for one image or volume of one size.")
    for key, value in _items(table["graph_module"]):
        if key == "target" and not (isinstance(value, str) and _OPERATOR.fullmatch(value)):
            raise PackageError(f"it asks for {value!r}, which is no operator of ATen and is not run.")
        if key in _FOREIGN:
            raise PackageError(f"it holds {key!r}, which is no tensor, number or text.")


def _check_config(table: dict[str, Any]) -> None:
    for name, entry in table["config"].items():
        if entry["use_pickle"] is not False or not _BYTES.fullmatch(entry["path_name"]):
            raise PackageError(f"{name} is a pickle, which is never read.")


def _check_samples(data: bytes) -> None:
    try:
        torch.load(io.BytesIO(data), weights_only=True)
    except Exception as error:
        raise PackageError("its sample inputs are a pickle of more than tensors, which is never read.") from error


def _json(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > _LARGEST:
        raise PackageError(f"{name} is larger than {_LARGEST >> 20} MiB.")
    table: dict[str, Any] = json.loads(archive.read(name))
    return table


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth; what describes where a step was written is left out: nothing reads it."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key != "metadata":
                yield key, each
                yield from _items(each)
    elif isinstance(value, list):
        for each in value:
            yield from _items(each)
