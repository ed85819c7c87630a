"""A folder of reports and pseudonyms that `readfirst models label-reports` reads."""

from __future__ import annotations

import csv
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select

from node.durable import replace_file
from node.errors import ReadFirstError
from node.ledger.studies import of_accession
from node.ledger.tables import INSTANCE
from node.reports.deidentify import deidentified
from node.reports.reading import ReceivedReport

KEY = "export.key"  # beside the reports: the same patient has the same pseudonym in every export
COLUMNS = ("image", "patient", "study", "series", "report")  # a volume is named by its series, an image by its file
IMAGE_COLUMNS = ("image", "study", "path")
READY = ("final", "corrected")
MOST_SINGLE = 4  # instances; a study with more is a volume, and one image

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote, and left out."""

    reports: int
    waiting: int
    """Preliminary, canceled, or without text."""
    without_images: int


def export(connection: Connection, reports: Iterable[ReceivedReport], to: Path, data: Path, key: bytes) -> Exported:
    """Write `to`/reports.csv and `to`/texts, and beside `to` the list of images, which names studies.

    Only final and corrected reports whose study is here count; `path` in the list of images is below the data folder.

    Raises
    ------
    ReadFirstError
        The folder is there and not empty, or cannot be written.
    """
    chosen = list(reports)
    ready = [one for one in chosen if one.status in READY and one.text]
    found = [(one, paths) for one in ready if (paths := _paths(connection, one, data))]
    try:
        if to.exists() and any(to.iterdir()):
            raise ReadFirstError(f"{to} is not empty; name a new folder.")
        (to / "texts").mkdir(parents=True)
        written = [_written(one, paths, to, key) for one, paths in found]
        _write(to / "reports.csv", COLUMNS, [row for rows, _ in written for row in rows])
        _write(to.with_name(f"{to.name}-images.csv"), IMAGE_COLUMNS, [row for _, rows in written for row in rows])
    except OSError as error:
        raise ReadFirstError(f"{to} cannot be written: {error.strerror}.") from error
    return Exported(len(found), len(chosen) - len(ready), len(ready) - len(found))


def _written(report: ReceivedReport, paths: Sequence[str], to: Path, key: bytes) -> tuple[list[Row], list[Row]]:
    """Write the text; the rows of reports.csv and of the list of images."""
    study = pseudonym(key, "study", report.accession_number or report.study_instance_uid)
    patient = pseudonym(key, "patient", report.patient if report.patient != "^" else study)
    text = deidentified(report)
    (to / "texts" / f"{study}.txt").write_text(text, encoding="utf-8")
    named = _named(study, paths)
    images = dict.fromkeys(image for image, _ in named)
    rows: list[Row] = [(image, patient, study, image.removesuffix(".dcm"), text) for image in images]
    return rows, [(image, study, path) for image, path in named]


def read_key(folder: Path) -> bytes:
    """The secret key of pseudonyms, made where there is none; 32 bytes, for this user alone."""
    path = folder / KEY
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, secrets.token_bytes(32))
        path.chmod(0o600)
    return path.read_bytes()


def pseudonym(key: bytes, kind: str, value: str) -> str:
    """HMAC-SHA256 of a value, 64 bits of it: who has no key can neither undo nor repeat it."""
    return f"{kind[0].upper()}{hmac.new(key, f'{kind}:{value}'.encode(), hashlib.sha256).hexdigest()[:16]}"


def _paths(connection: Connection, report: ReceivedReport, data: Path) -> list[str]:
    """The files of the report's study, below the data folder."""
    uids = of_accession(connection, report.accession_number) if report.accession_number else []
    if report.study_instance_uid:
        uids = [report.study_instance_uid]
    query = select(INSTANCE.c.path).where(INSTANCE.c.study_instance_uid.in_(uids), INSTANCE.c.conflict.is_(False))
    return [str(data / path) for path in connection.execute(query.order_by(INSTANCE.c.path)).scalars()]


def _named(study: str, paths: Sequence[str]) -> list[tuple[str, str]]:
    """(image, path): a few instances are images of their own, many are one volume."""
    if len(paths) > MOST_SINGLE:
        return [(study, path) for path in paths]
    return [(f"{study}-{number}.dcm", path) for number, path in enumerate(paths, 1)]


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
