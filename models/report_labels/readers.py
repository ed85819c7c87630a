"""Reports from where they lie: a CSV with images beside them, or a folder or tar archive of .txt and Open-I .xml."""

from __future__ import annotations

import csv
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from models.errors import DataError

NEEDED = ("image", "patient", "report")
ENDINGS = (".txt", ".xml")
NAME_ENDINGS = (*ENDINGS, ".png", ".jpg", ".jpeg", ".dcm")
LARGEST = 10_000_000  # bytes of one file; a report has a few thousand


@dataclass(frozen=True, slots=True)
class RadiologyReport:
    """One report: its text with headings, and the images that it describes."""

    name: str
    """The file's name without its ending, or the image of a CSV's row."""
    patient: str
    images: tuple[str, ...]
    text: str
    columns: Mapping[str, str] = field(default_factory=dict)
    """Other columns of a CSV's row, which are passed on."""


def read_reports(source: Path, suffix: str = "") -> list[RadiologyReport]:
    """The reports of a CSV, folder or tar archive, in the order of their names (a CSV's rows as they stand).

    The image of a file is the file's name with `suffix`, its patient the name, too; an Open-I file names its images.

    Raises
    ------
    DataError
        There is nothing to read, or a file is not what its ending says; the sentence names it.
    """
    if source.suffix.lower() == ".csv":
        return _from_csv(source)
    found = sorted(_files(source), key=lambda one: one[0])
    if not found:
        raise DataError(f"{source} holds no .txt or .xml reports; give such a folder or archive, or a .csv file.")
    return [_from_file(name, data, suffix) for name, data in found]


def bare_name(name: str) -> str:
    """A report's or image's name without its folder and ending; dots of a UID stay."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in NAME_ENDINGS else path.name


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every report file."""
    try:
        if source.is_dir():
            for path in source.rglob("*"):
                if path.suffix.lower() in ENDINGS and path.is_file():
                    yield str(path), path.read_bytes()
            return
        with tarfile.open(source) as archive:
            for member in archive:
                if member.isfile() and member.name.lower().endswith(ENDINGS) and member.size <= LARGEST:
                    stream = archive.extractfile(member)
                    yield member.name, stream.read() if stream else b""
    except (OSError, EOFError, tarfile.TarError) as error:
        reason = "give a folder or tar archive of .txt or .xml reports, or a .csv with image, patient, report"
        raise DataError(f"{source} cannot be read: {error}; {reason}.") from error


def _from_file(name: str, data: bytes, suffix: str) -> RadiologyReport:
    path = PurePosixPath(name)
    if path.suffix.lower() == ".xml":
        return _from_xml(path, data, suffix)
    return RadiologyReport(path.stem, path.stem, (path.stem + suffix,), _decoded(name, data))


def _from_xml(path: PurePosixPath, data: bytes, suffix: str) -> RadiologyReport:
    """An Open-I report (Demner-Fushman et al., JAMIA 2016): AbstractText with a Label, parentImage with an id."""
    if b"<!ENTITY" in data or b"<!DOCTYPE" in data:
        raise DataError(f"{path} declares XML entities, which no report needs; remove the declaration.")
    try:
        root = ET.fromstring(data)  # noqa: S314 (without entities nothing can expand)
    except ET.ParseError as error:
        raise DataError(f"{path} is no XML: {error}.") from error
    parts = [(part.get("Label", ""), "".join(part.itertext()).strip()) for part in root.iter("AbstractText")]
    text = "\n\n".join(f"{label}:\n{words}" if label else words for label, words in parts if words)
    images = tuple(image.get("id", "") + suffix for image in root.iter("parentImage"))
    return RadiologyReport(path.stem, path.stem, images or (path.stem + suffix,), text)


def _from_csv(source: Path) -> list[RadiologyReport]:
    try:
        with source.open("rb") as stream:
            lines = _decoded(str(source), stream.read()).splitlines(keepends=True)
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror}.") from error
    reader = csv.DictReader(lines)
    missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise DataError(f"{source} has no column {', '.join(missing)}; it needs {', '.join(NEEDED)}.")
    try:
        return [_from_row(source, reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{source}, line {reader.line_num}: {error}; is a quote not closed?") from error


def _from_row(source: Path, line: int, row: dict[str, str]) -> RadiologyReport:
    if None in row or None in row.values():
        raise DataError(f"{source}, line {line}: more or fewer values than columns; put reports with commas in quotes.")
    columns = {name: value for name, value in row.items() if name not in NEEDED}
    return RadiologyReport(row["image"], row["patient"], (row["image"],), row["report"], columns)


def _decoded(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 at byte {error.start}; save it again as UTF-8.") from error
