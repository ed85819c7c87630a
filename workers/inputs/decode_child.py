"""The child process in which untrusted pixels are decoded; started and used by `workers.inputs.decode.Decoder`.

Request on stdin: 4 bytes length (big endian), JSON {"path"}. Answer on what was stdout: 4 bytes length, JSON {"shape",
"dtype", "bytes"} and that many raw bytes (C order), or {"error"}, with "last" where the process then ends (out of
memory). The first answer, {"ready": true}, is sent without a request. It is started with
`python -m workers.inputs.decode_child MEMORY_BYTES LARGEST_BYTES PARENT_PID` and ends with its stdin or its parent.
Only this module loads codecs.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

PR_SET_PDEATHSIG = 1  # linux/prctl.h
REQUIRED = ("SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
PREFERRED = ("pylibjpeg", "pyjpegls", "gdcm")  # pydicom's names, the fastest first; any other last


def main(arguments: list[str]) -> int:
    """Answer requests until stdin ends."""
    memory_bytes, largest_bytes, parent = (int(argument) for argument in arguments)
    confine(memory_bytes, parent)
    requests, answers = sys.stdin.buffer, _private_stdout()
    import gdcm  # noqa: F401, PLC0415  a missing codec is found now, not at the first study
    import pydicom.pixels  # noqa: F401, PLC0415

    _send(answers, {"ready": True})
    while request := _receive(requests):
        try:
            array = decode(request["path"], largest_bytes)
        except MemoryError:
            _send(answers, {"error": "it needs more memory than the limit allows", "last": True})
            return 1
        except Exception as error:  # noqa: BLE001  the outermost handler: whatever a codec throws is the answer
            _send(answers, {"error": _sentence(error)})
        else:
            _send(answers, {"shape": array.shape, "dtype": array.dtype.str, "bytes": array.nbytes}, array.data)
    return 0


def confine(memory_bytes: int, parent: int) -> None:
    """Limit the address space, write no core dump (it would hold pixels), and die with the parent."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            sys.exit(1)


def decode(path: str, largest_bytes: int) -> Any:
    """The stored values of a file: an array ([frames,] rows, columns[, samples]) of the dtype that its bits need.

    Raises
    ------
    ValueError
        No pixels, more declared than `largest_bytes`, or other than declared came out.
    """
    from node.dicom.headers import read_instance  # noqa: PLC0415

    dataset = read_instance(Path(path), lambda header: _require_size(*declared(header), largest_bytes))
    shape, itemsize = declared(dataset)
    _require_size(shape, itemsize, largest_bytes)
    if "PixelData" not in dataset:
        raise ValueError("it has no Pixel Data")
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _require_declared_size(dataset)
    array = _frames(dataset, path)
    if array.shape != shape or array.dtype.itemsize > itemsize:
        raise ValueError(f"{array.shape} values of {array.dtype} came out where {shape} are declared")
    return _stored_bits(array, dataset)


def _require_size(shape: tuple[int, ...], itemsize: int, largest_bytes: int) -> int:
    """Bytes of the pixels, which are not more than the limit."""
    count = math.prod(shape) * itemsize
    if count > largest_bytes:
        raise ValueError(f"it declares {count} bytes of pixels, more than the limit of {largest_bytes}")
    return count


def declared(dataset: Any) -> tuple[tuple[int, ...], int]:
    """(shape, bytes a value) that the Image Pixel module declares (PS3.3 C.7.6.3)."""
    samples, rows, columns, bits, stored, _ = (_number(dataset, keyword) for keyword in REQUIRED)
    frames = _number(dataset, "NumberOfFrames") if dataset.get("NumberOfFrames") else 1
    if min(frames, samples, rows, columns, bits) < 1 or not 1 <= stored <= bits <= 64:
        raise ValueError("its Image Pixel attributes contradict each other")
    shape = (frames,) * (frames > 1) + (rows, columns) + (samples,) * (samples > 1)
    return shape, (bits + 7) // 8


def _number(dataset: Any, keyword: str) -> int:
    if keyword not in dataset:
        raise ValueError(f"it has no {keyword}")
    try:
        return int(dataset[keyword].value)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"its {keyword} is no number") from error


def _require_declared_size(dataset: Any) -> None:
    """A codestream of another size makes a codec write where it should not, or cuts the image silently."""
    from pydicom.encaps import generate_frames  # noqa: PLC0415

    from workers.inputs.codestream import rows_columns  # noqa: PLC0415

    size = (int(dataset.Rows), int(dataset.Columns))
    for frame in generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)):
        found = rows_columns(frame)
        if found is not None and found != size:
            raise ValueError(f"its codestream is {found[0]} x {found[1]} where {size[0]} x {size[1]} are declared")


def _frames(dataset: Any, path: str) -> Any:
    from pydicom.pixels.decoders.base import get_decoder  # noqa: PLC0415
    from pydicom.uid import JPEGExtended12Bit  # noqa: PLC0415

    from workers.dicom.attributes import photometric  # noqa: PLC0415

    dataset.PhotometricInterpretation = photometric(dataset)  # pydicom refuses what viewers take: "monochrome2"
    transfer_syntax = dataset.file_meta.TransferSyntaxUID
    if transfer_syntax == JPEGExtended12Bit and int(dataset.BitsStored) > 8:
        return _extended_12_bit(dataset, path)
    decoder = get_decoder(transfer_syntax)
    options: Any = {"raw": True, "correct_unused_bits": False, "allow_excess_frames": False}
    if not transfer_syntax.is_encapsulated:
        return decoder.as_array(dataset, **options)[0]
    failures: list[str] = []
    for plugin in sorted(decoder.available_plugins, key=_rank):
        try:
            return decoder.as_array(dataset, decoding_plugin=plugin, **options)[0]
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  each codec has exceptions of its own; the next may be able to
            failures.append(_sentence(error).rpartition("plugins: ")[2])
    raise ValueError(f"no codec can decode it ({'; '.join(failures)})")


def _rank(plugin: str) -> int:
    return PREFERRED.index(plugin) if plugin in PREFERRED else len(PREFERRED)


def _extended_12_bit(dataset: Any, path: str) -> Any:
    """JPEG Extended of 12 bits, which pydicom's plugins refuse and GDCM itself decodes."""
    import gdcm  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    if not reader.Read():
        raise ValueError("GDCM cannot read it")
    values = reader.GetImage().GetBuffer()
    if values is None:
        raise ValueError("no codec can decode it (gdcm)")
    return np.frombuffer(
        values.encode("utf-8", "surrogateescape"), dtype=f"<{'ui'[int(dataset.PixelRepresentation)]}2"
    ).reshape(declared(dataset)[0])


def _stored_bits(array: Any, dataset: Any) -> Any:
    """Only the Bits Stored below High Bit (PS3.5 8.1.1), sign extended; padding outside of them stays as it is."""
    import numpy as np  # noqa: PLC0415

    stored, high = int(dataset.BitsStored), int(dataset.get("HighBit", dataset.BitsStored - 1))
    array = np.ascontiguousarray(array)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    width = array.dtype.itemsize * 8
    if stored >= width or array.dtype.kind not in "ui":
        return array
    down = width - stored
    up = down - max(high + 1 - stored, 0) if not dataset.file_meta.TransferSyntaxUID.is_encapsulated else down
    values = np.right_shift(np.left_shift(array, max(up, 0)), down)
    padding = _padding_outside(dataset, array.dtype, stored)
    return values if padding is None else np.where(array == padding, array, values)


def _padding_outside(dataset: Any, dtype: Any, stored: int) -> Any:
    import numpy as np  # noqa: PLC0415

    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limits = (-(1 << stored - 1), (1 << stored - 1) - 1) if dtype.kind == "i" else (0, (1 << stored) - 1)
    padding = int(np.array(value & ((1 << dtype.itemsize * 8) - 1)).astype(dtype))
    return None if limits[0] <= padding <= limits[1] else padding


def _private_stdout() -> BinaryIO:
    """The answers' stream, out of reach of codecs that print: their stdout becomes stderr."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return answers


def _receive(stream: BinaryIO) -> Any:
    length = stream.read(4)
    return json.loads(stream.read(int.from_bytes(length, "big"))) if len(length) == 4 else None


def _send(stream: BinaryIO, message: dict[str, object], values: Any = b"") -> None:
    line = json.dumps(message).encode()
    _write(stream, memoryview(len(line).to_bytes(4, "big") + line))
    _write(stream, memoryview(values).cast("B"))


def _write(stream: BinaryIO, view: memoryview) -> None:
    while view:
        view = view[stream.write(view) :]


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
