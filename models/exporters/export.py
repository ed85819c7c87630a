"""A package written as a file of another format, with its description beside it, and compared with the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models import packages
from models.data.datasets import read_examples
from models.data.files import write_whole
from models.errors import DataError, PackageError
from models.exporters import int8, onnx_writing
from models.exporters.formats import FORMATS, Format
from models.exporters.parity import Floats, Parity, compared
from models.exporters.traced import NOT_A_DEVICE, Exportee, described, exportee, text_of
from models.loaded import LoadedModel

Advance = Callable[[str, int, int], None]
COMPARED = 6  # inputs


@dataclass(frozen=True, slots=True)
class Int8:
    """The 8-bit file beside the float one."""

    file: Path
    file_bytes: int
    calibration_images: int
    parity: Parity
    change: int8.Change | None


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written and measured.

    Attributes
    ----------
    weights_bytes
        Of the package's own file, whose weights may be rounded to 16 bits.
    """

    file: Path
    description: Path
    weights_bytes: int
    file_bytes: int
    parity: Parity
    int8: Int8 | None = None
    faults: tuple[str, ...] = field(default=())


def export(
    folder: Path, to: str, out: Path, *, quantize: bool, data: Path | None, split: str, replace: bool, advance: Advance
) -> Exported:
    """Write the package in `folder` to `out`.

    Parameters
    ----------
    to
        A name of `FORMATS`.
    data
        Folder of labelled images: those of other splits than `split` calibrate and compare, those of `split` measure.

    Raises
    ------
    ModelsError
        It cannot be exported, something is there already, or the data do not fit.
    """
    form, files = _checked(to, quantize, data), _Files.of(out, folder.name, to)
    files.require_free(quantize, replace)
    model = packages.load(folder, "cpu")
    given, weights = exportee(model), _weights(folder, model)
    inputs = _inputs(given, data, split)
    description = described(given, packages.sha256(folder / packages.CARD)) | {"format": to}
    data_bytes = form.write(given, weights, text_of(description))
    out.mkdir(parents=True, exist_ok=True)
    write_whole(files.file, data_bytes)
    parity = compared(given, form.run(files.file, given), inputs[:COMPARED])
    made = _int8(given, files, description, inputs, data, split, advance) if quantize and data else None
    done = Exported(files.file, files.description, len(weights), len(data_bytes), parity, made, _faults(parity, made))
    write_whole(files.description, (text_of(description | _measured(done)) + "\n").encode("utf-8"))
    return done


@dataclass(frozen=True, slots=True)
class _Files:
    file: Path
    quantized: Path
    description: Path

    @classmethod
    def of(cls, out: Path, name: str, to: str) -> _Files:
        suffix = FORMATS[to].suffix
        return cls(out / f"{name}{suffix}", out / f"{name}-int8{suffix}", out / f"{name}{suffix}.json")

    def require_free(self, quantize: bool, replace: bool) -> None:
        wanted = (self.file, self.description, *([self.quantized] if quantize else []))
        there = [path for path in wanted if path.exists()]
        if there and not replace:
            raise PackageError(f"{there[0]} is there already: give --replace, or another --out.")


def _checked(to: str, quantize: bool, data: Path | None) -> Format:
    if to not in FORMATS:
        raise PackageError(f"There is no format {to!r}; there are: {', '.join(FORMATS)}.")
    if quantize and to != "onnx":
        raise PackageError(f"--int8 is for --to onnx: ONNX Runtime quantizes, and {to} is written in 32 bits.")
    if quantize and data is None:
        raise DataError("--int8 needs --data DIR: labelled images to calibrate on, and others to measure the AUC on.")
    return FORMATS[to]


def _weights(folder: Path, model: LoadedModel) -> bytes:
    return b"" if model.card.weights is None else (folder / model.card.weights.file).read_bytes()


def _inputs(given: Exportee, data: Path | None, split: str) -> list[Floats]:
    """Of the calibration images, else noise of the input's kind."""
    if data is not None:
        return int8.calibration_inputs(given, data, split)
    draws = np.random.default_rng(0)
    return [draws.random(given.graph.example, np.float32) for _ in range(COMPARED)]


def _int8(
    given: Exportee, files: _Files, description: dict[str, Any], inputs: list[Floats], data: Path, split: str,
    advance: Advance,
) -> Int8:  # fmt: skip
    run = FORMATS["onnx"].run
    int8.quantized(files.file, files.quantized, given, inputs)
    text = text_of(description | {"quantization": f"int8, static, calibrated on {len(inputs)} images"})
    write_whole(files.quantized, onnx_writing.with_description(files.quantized.read_bytes(), text, NOT_A_DEVICE))
    eight = run(files.quantized, given)
    found = None
    if "logits" in given.outputs:
        count = len(read_examples(data, split, ()).files)
        steps = iter(range(1, count + 1))
        found = int8.change(
            given, run(files.file, given), eight, data, split, lambda: advance("AUC", next(steps), count)
        )
    size = files.quantized.stat().st_size
    return Int8(files.quantized, size, len(inputs), compared(given, eight, inputs[:COMPARED]), found)


def _faults(parity: Parity, made: Int8 | None) -> tuple[str, ...]:
    found = []
    if not parity.holds:
        found.append(
            f"The file differs from the package: {parity.worst} by {parity.differences[parity.worst]:.2g}, of its"
            f" largest value {parity.relative[parity.worst]:.2g}; at most {parity.as_json()['tolerance']:g} is allowed."
        )
    if made and made.change and not made.change.holds:
        found.append(
            f"The 8-bit file ranks worse: the mean AUC changes by {made.change.mean:+.3f} on {made.change.data}; a"
            f" fall of {-int8.LOWEST_CHANGE:g} is allowed. The 32-bit file is not touched by it."
        )
    return tuple(found)


def _measured(done: Exported) -> dict[str, Any]:
    found: dict[str, Any] = {
        "file": {"name": done.file.name, "sha256": packages.sha256(done.file), "bytes": done.file_bytes},
        "package_weights_bytes": done.weights_bytes, "parity": done.parity.as_json(),
    }  # fmt: skip
    if done.int8 is not None:
        made = done.int8
        found["int8"] = {
            "file": {"name": made.file.name, "sha256": packages.sha256(made.file), "bytes": made.file_bytes},
            "calibration_images": made.calibration_images, "difference": made.parity.as_json(),
            "auc": made.change.as_json() if made.change else None,
        }  # fmt: skip
    return found
