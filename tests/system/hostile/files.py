"""Files: the cases of the field, and those that pydicom, pydicom-data, pynetdicom and nibabel carry (PyPI)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from pydicom.errors import InvalidDicomError

from tests.field_data import FIELD
from tests.system.hostile.kind import NOTHING, Answer, Kind, spread
from tests.system.hostile.limited import Site
from tests.system.hostile.raw import acknowledgements, orders, stores_file

_PACKAGES = ("pydicom", "data_store", "pynetdicom", "nibabel")  # the second is pydicom-data's
_NOT_SENT = "no File Meta Information, not sent"
_PROGRAMS = {
    "16-one-context-three-syntaxes": "JPEG-LS Lossless Image Compression",
    "22-associate-rq-tolerance": "A-ASSOCIATE-AC",
}


def _public(site: Site, most: int) -> Iterator[Answer]:
    for path in spread(_files(), most):
        try:
            answer = stores_file(site, path)
        except (InvalidDicomError, AttributeError, UnicodeEncodeError):
            answer = _NOT_SENT
        yield Answer(path.name, answer, answer in ("0x0000", "0xA900", "0xC000", "ended", _NOT_SENT))


def _files() -> list[Path]:
    specs = [find_spec(name) for name in _PACKAGES]
    folders = [Path(place) for spec in specs if spec for place in spec.submodule_search_locations or ()]
    return sorted(path for folder in folders for path in folder.rglob("*.dcm") if path.stat().st_size)


def _field(folder: Path, site: Site, most: int) -> Iterator[Answer]:
    for path in sorted(folder.glob("*.dcm"))[:most]:
        answer = stores_file(site, path)
        yield Answer(path.name, answer, answer == "0x0000")
    for path in sorted(folder.glob("*.hl7")):
        answer = acknowledgements(orders(site, path.read_bytes()))
        yield Answer(path.name, answer, answer != NOTHING)
    if folder.name in _PROGRAMS:
        yield _played(folder, site)


def _played(folder: Path, site: Site) -> Answer:
    """The program of the case against our port: each of its lines names what is expected."""
    command = [sys.executable, str(folder / "repro.py"), str(site.house.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    lines, expected = done.stdout.splitlines(), _PROGRAMS[folder.name]
    right = bool(lines) and all(expected in line for line in lines)
    return Answer("repro.py", f"{expected} × {len(lines)}" if right else done.stdout + done.stderr, right)


def field() -> tuple[Kind, ...]:
    """A kind for each folder of ../shared/cases/field whose inputs are files or play at our port."""
    found: list[Kind] = []
    for folder in sorted(path for path in FIELD.iterdir() if path.is_dir()):
        run: Callable[[Site, int], Iterator[Answer]] = partial(_field, folder)
        if folder.name in _PROGRAMS or any(folder.glob("*.dcm")) or any(folder.glob("*.hl7")):
            found.append(Kind(f"field {folder.name}", run, few=1))
    return tuple(found)


KINDS = (Kind("public files", _public, few=10),)
