"""`readfirst send`: which files, and to whom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import MediaStorageDirectoryStorage

from node.errors import ReadFirstError
from node.settings import Peer

_ADDRESS = re.compile(r"(?P<ae_title>[^@]{1,16})@(?P<host>[^@]+):(?P<port>\d{1,5})")


def parse_address(text: str) -> Peer:
    """The peer that `AET@HOST:PORT` names.

    Raises
    ------
    ReadFirstError
        It is not of that form.
    """
    match = _ADDRESS.fullmatch(text)
    if not match or not 0 < int(match["port"]) < 65536:
        raise ReadFirstError(f"--to {text}: write AET@HOST:PORT, for example READFIRST@127.0.0.1:11112")
    return Peer(ae_title=match["ae_title"], host=match["host"].strip("[]"), port=int(match["port"]))


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
