"""The tensors of a file that torch.save wrote, state dict or whole network, without running anything that is in it.

Such a file is a pickle, and a pickle may call any function. Here it can call none: names of networks' classes become
empty containers, tensors are rebuilt by this file, and every other name is refused. torch.load(weights_only=True)
cannot read whole networks of the format before torch 1.6, which is how TorchXRayVision's weights are published.

The format: torch/serialization.py. Zip archive: NAME/data.pkl and NAME/data/KEY. Before 1.6: the pickles of a magic
number, a version, the system and the object, the keys of the storages, then each storage's length and bytes.
"""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from models.errors import PackageError

MAGIC = 0x1950A86A20F9469CFC6C
DEEPEST = 16  # modules within modules
DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
CONTAINERS = ("torch.nn.modules.", "torchxrayvision.", "torchvision.models.densenet", "numpy.")  # beginnings of modules
CHECKPOINTS = ("state_dict", "model_state_dict", "model", "network", "net")  # where a checkpoint has the network
BROKEN = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    EOFError,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
    NotImplementedError,  # of zipfile
    MemoryError,
    OverflowError,
)


class Container:
    """Stands for an object of any class whose name is let through; it keeps the object's state and does nothing."""

    def __new__(cls, *_: object) -> Container:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        self.state = state if isinstance(state, dict) else {}


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of numbers that the file holds elsewhere."""

    dtype: torch.dtype
    key: str
    numel: int


@dataclass(frozen=True, slots=True)
class View:
    """A tensor over a storage; offset and strides in numbers."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self, data: bytes) -> Tensor:
        """The tensor, of the storage's bytes; ValueError where they are too few for it."""
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        count = self.storage.numel
        if min(self.offset, *self.size, *self.stride, 0) < 0 or last >= count or math.prod(self.size) > count:
            raise ValueError("a tensor reaches beyond its storage")
        flat = torch.frombuffer(bytearray(data), dtype=self.storage.dtype, count=count)
        return flat.as_strided(self.size, self.stride, self.offset).clone()


def _view(storage: Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> View:
    return View(storage, offset, tuple(size), tuple(stride))


def _first(value: object, *_: object) -> object:
    return value


class _Only:
    """A function that the file may call, and whose attributes it cannot set."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *values: object) -> Any:
        return self._function(*values)


CALLABLE: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("__builtin__", "set"): set,
    ("builtins", "set"): set,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _Only(_view),
    ("torch._utils", "_rebuild_tensor_v2"): _Only(_view),
    ("torch._utils", "_rebuild_parameter"): _Only(_first),
}


class _Unpickler(pickle._Unpickler):  # the one in C makes room for whatever number of objects a file names
    """Imports nothing: each name in the file is one of the tables above, or the file is refused."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if (module, name) in CALLABLE:
            return CALLABLE[module, name]
        if module.startswith(CONTAINERS):
            return type(Container.__name__, (Container,), {})  # its own: a file may set attributes of a class, too
        raise PackageError(
            f"it would run {module}.{name}, which weights have no need of. Nothing was run; do not open it elsewhere"
            " unless you trust who made it"
        )

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":  # a class with its source text, before torch 1.6
            return pid[1]
        kind, dtype, key, _device, numel = pid[:5]
        if kind != "storage" or not isinstance(dtype, torch.dtype) or (len(pid) > 5 and pid[5] is not None):
            raise ValueError("unknown kind of storage")
        return self.storages.setdefault(str(key), Storage(dtype, str(key), int(numel)))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Name to tensor of a safetensors file, or of a file of torch.save as `read_tensors` reads it."""
    if path.suffix != ".safetensors":
        return read_tensors(path)
    try:
        found: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise PackageError(f"{path} cannot be read as safetensors: {error}.") from error
    return found


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Name to tensor of a state dict, a checkpoint with one, or a whole network as its `state_dict` would name them.

    Raises
    ------
    PackageError
        The file is not of torch.save, or names something that is neither a tensor nor part of a network.
    """
    if not path.is_file():
        raise PackageError(f"There is no file {path}; name the file with the weights.")
    try:
        with path.open("rb") as stream:
            root, storages = _read_zip(stream) if zipfile.is_zipfile(stream) else _read_stream(stream)
        return {name: view.tensor(storages(view.storage)) for name, view in _named(_network(root))}
    except PackageError as error:
        raise PackageError(f"{path} was not read: {error}.") from error
    except BROKEN as error:
        raise PackageError(
            f"{path} cannot be read as weights that torch.save wrote: it is another kind of file, or broken ({error});"
            " fetch it again."
        ) from error


def _read_zip(stream: BinaryIO) -> tuple[object, Callable[[Storage], bytes]]:
    with zipfile.ZipFile(stream) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("torch.save does not compress")
        held = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    if "constants.pkl" in held:
        raise PackageError("it is a TorchScript program; give the weights (torch.save of the state dict)")
    if held.get("byteorder", b"little") != b"little":
        raise ValueError("big-endian numbers")
    root = _Unpickler(BytesIO(held["data.pkl"])).load()
    return root, lambda storage: held[f"data/{storage.key}"]


def _read_stream(stream: BinaryIO) -> tuple[object, Callable[[Storage], bytes]]:
    stream.seek(0)
    magic, _version, system = (_Unpickler(stream).load() for _ in range(3))
    if magic != MAGIC or not system["little_endian"]:
        raise ValueError("no magic number, or big-endian numbers")
    unpickler = _Unpickler(stream)
    root = unpickler.load()
    keys = [str(key) for key in _Unpickler(stream).load()]
    held = {}
    for key in keys:
        (numel,) = struct.unpack("<q", stream.read(8))
        held[key] = stream.read(numel * unpickler.storages[key].dtype.itemsize)
    return root, lambda storage: held[storage.key]


def _network(root: object) -> object:
    """The network or state dict of a checkpoint, which has an optimizer's and numbers beside it; others as they are."""
    if not isinstance(root, Mapping) or any(isinstance(value, View) for value in root.values()):
        return root
    return next((root[key] for key in CHECKPOINTS if isinstance(root.get(key), Mapping | Container)), root)


def _named(root: object, prefix: str = "") -> Iterator[tuple[str, View]]:
    """Names and views, in the order of `torch.nn.Module.state_dict`."""
    if prefix.count(".") > DEEPEST:
        raise ValueError("modules within modules without end")
    if isinstance(root, Container):
        for table in ("_parameters", "_buffers"):
            for name, value in root.state.get(table, {}).items():
                if isinstance(value, View):
                    yield prefix + name, value
        for name, module in root.state.get("_modules", {}).items():
            yield from _named(module, f"{prefix}{name}.")
    elif isinstance(root, Mapping):
        for name, value in root.items():
            if isinstance(value, View):
                yield prefix + str(name), value
    elif root is not None:
        raise ValueError("neither a network nor a state dict")
