"""run.json: all that is needed to repeat a run, written before its first step; its result is added at the end."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from models.card import Card
from models.cardfile import card_text
from models.data.files import write_whole
from models.errors import RunError
from models.learning.options import Options
from models.packages import sha256
from models.provenance import today

FILE = "run.json"
PACKAGES = ("readfirst", "torch", "monai", "numpy", "pillow", "pydicom", "nibabel", "scikit-learn")
# What may differ when a run is continued: it is recorded and not compared.
NOT_COMPARED = ("data", "versions", "device", "result", "date", "owner")


def given(command: str, options: Options, **more: object) -> dict[str, Any]:
    """What a run is given, as JSON has it."""
    whole = {"command": command, "options": asdict(options), **more, "versions": versions()}
    found: dict[str, Any] = json.loads(json.dumps(whole))
    return found


def versions() -> dict[str, str]:
    """Of Python and the packages that decide the result; those that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def names_digest(files: tuple[Path, ...], folder: Path) -> str:
    """SHA-256 of the names in their order, relative to the folder, a line each."""
    lines = "".join(f"{file.relative_to(folder).as_posix()}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def begin(run: Path, record: dict[str, Any], *, resume: bool) -> dict[str, Any]:
    """Open a run folder, a new one, or with `resume` one that was given the same; the record that it holds.

    Raises
    ------
    RunError
        There is a run already, none to continue, or one that was given something else, which is named.
    """
    path = run / FILE
    if not resume:
        if path.exists():
            raise RunError(f"{run} holds a run already: continue it with --resume, or give another run folder.")
        run.mkdir(parents=True, exist_ok=True)
        write_whole(path, _text(record))
        return record
    before = _read(path)
    other = differences(before, record)
    if other:
        raise RunError(f"{run} cannot be continued, because this differs: {'; '.join(other)}.")
    return before


def finish(run: Path, result: dict[str, object]) -> None:
    """Add the result."""
    write_whole(run / FILE, _text(_read(run / FILE) | {"result": result}))


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """In words, what two records do not share."""
    old, new = _flat(before), _flat(now)
    return [
        f"{name} was {old.get(name)!r} and is {new.get(name)!r}"
        for name in sorted(old | new)
        if old.get(name) != new.get(name)
    ]


def _flat(record: dict[str, Any]) -> dict[str, object]:
    """The options beside the rest, without what is not compared."""
    compared = {name: value for name, value in record.items() if name not in (*NOT_COMPARED, "options")}
    options: dict[str, object] = record.get("options", {})
    return compared | options


def _read(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"There is no run to continue in {path.parent}: leave --resume out.") from error
    except (OSError, json.JSONDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    return record


def _text(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=2) + "\n").encode()


def training_record(data: Path, like: Card, weights: Path, seed: int, test: str, device: str) -> dict[str, Any]:
    """All that is needed to repeat a run of `readfirst models train`."""
    return {
        "command": "train",
        "data": str(data),
        "labels_sha256": sha256(data / "labels.csv"),
        "like_sha256": hashlib.sha256(card_text(like).encode()).hexdigest(),
        "localizer": like.localizer,
        "seed": seed,
        "test": test,
        "weights": weights.name,
        "weights_sha256": sha256(weights) if weights.is_file() else "",
        "device": device,
        "date": today(),
        "versions": versions(),
    }
