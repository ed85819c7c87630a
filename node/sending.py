"""`readfirst send`: which files, and to whom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import MediaStorageDirectoryStorage

from node.errors import ReadFirstError
from node.scu import Requestor
from node.settings import AETitle, Peer

_ADDRESS = re.compile(r"(?P<ae_title>[^@]+)@(?P<host>[^@]+):(?P<port>\d{1,5})")


def parse_address(text: str) -> Peer:
    """The peer that `AET@HOST:PORT` names.

    Raises
    ------
    ReadFirstError
        It is not of that form.
    """
    match = _ADDRESS.fullmatch(text)
    if not match:
        raise ReadFirstError(f"--to {text}: write AET@HOST:PORT, for example READFIRST@127.0.0.1:11112")
    try:
        return Peer(ae_title=match["ae_title"], host=match["host"].strip("[]"), port=int(match["port"]))
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ReadFirstError(f"--to {text}: {reason}; write AET@HOST:PORT with an AE title of DICOM") from error


def requestor_named(ae_title: str) -> Requestor:
    """Who sends.

    Raises
    ------
    ReadFirstError
        It is no AE title.
    """
    try:
        return Requestor(TypeAdapter(AETitle).validate_python(ae_title))
    except ValidationError as error:
        raise ReadFirstError(f"--as {ae_title}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error


def find_dicom(paths: Iterable[Path]) -> tuple[list[Path], int]:
    """The DICOM instances among files and below folders, sorted, and the number of other files.

    Raises
    ------
    ReadFirstError
        A path does not exist.
    """
    found, others = [], 0
    for path in _files(paths):
        if _is_instance(path):
            found.append(path)
        else:
            others += 1
    return found, others


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            raise ReadFirstError(f"there is no {path}")
        yield from sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else (path,)


def _is_instance(path: Path) -> bool:
    try:
        meta = read_file_meta_info(path)
    except (InvalidDicomError, OSError, EOFError):
        return False
    kind = meta.get("MediaStorageSOPClassUID")
    return bool(kind and kind != MediaStorageDirectoryStorage and meta.get("TransferSyntaxUID"))
