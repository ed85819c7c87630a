"""Writes labels as the labels.csv that `models.data.datasets.read_examples` reads, and why as JSON Lines."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from models.errors import DataError
from models.report_labels.labeler import Assertion, Labels
from models.report_labels.readers import RadiologyReport

LOCATION_COLUMNS = ("report", "label", "assertion", "location", "side", "comparison")
OWN = ("split", "image", "patient")


def write_labels(
    path: Path,
    labeled: Sequence[tuple[RadiologyReport, Labels]],
    names: Sequence[str],
    uncertain: Assertion,
    validation: float,
) -> int:
    """Write one row of 0 and 1 for each image and return their number. The report's text is not written.

    A `split` column of the reports is kept; else about the fraction `validation` of patients is "validation".

    Raises
    ------
    DataError
        The reports have a column with the name of a label, or the file cannot be written.
    """
    others = list(dict.fromkeys(name for report, _ in labeled for name in report.columns if name not in OWN))
    doubled = [name for name in names if name in others]
    if doubled:
        raise DataError(f"the reports' CSV has a column {', '.join(doubled)} of its own; rename or remove it.")
    rows = [
        {**report.columns, **_own(report, image, validation), **_values(labels, names, uncertain)}
        for report, labels in labeled
        for image in report.images
    ]
    try:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, [*OWN, *others, *names], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.") from error
    return len(rows)


def write_reasons(path: Path, labeled: Iterable[tuple[RadiologyReport, Labels]]) -> None:
    """Write one JSON line for each report: every label that it mentions, the sentence and the cue that decided it."""
    try:
        with path.open("w", encoding="utf-8") as stream:
            for report, labels in labeled:
                reasons = {
                    name: {"answer": one.assertion.value, "words": one.words, "cue": one.cue, "sentence": one.sentence}
                    for name, one in labels.because.items()
                }
                line = {"report": report.name, "images": report.images, "labels": reasons}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.") from error


def write_locations(path: Path, labeled: Iterable[tuple[RadiologyReport, Labels]], sides: Mapping[str, str]) -> None:
    """Write a row for each finding that a report has or may have, and each place that it names for it ("" for none).

    `sides` gives the side of each place. What one mention says of a finding stands beside what another says.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(LOCATION_COLUMNS)
            for report, labels in labeled:
                writer.writerows(_located(report, labels, sides))
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.") from error


def _located(report: RadiologyReport, labels: Labels, sides: Mapping[str, str]) -> list[tuple[str, ...]]:
    rows = [
        (report.name, one.label, one.assertion.value, place, sides.get(place, ""), one.comparison)
        for one in labels.mentions
        if one.assertion in (Assertion.PRESENT, Assertion.UNCERTAIN)
        for place in one.locations or ("",)
    ]
    return list(dict.fromkeys(rows))


def split_of(patient: str, validation: float) -> str:
    """The same patient is always on the same side: SHA-256 of the patient as a fraction of 1."""
    fraction = int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big") / 2**64
    return "validation" if fraction < validation else "train"


def _own(report: RadiologyReport, image: str, validation: float) -> dict[str, str]:
    split = report.columns.get("split") or split_of(report.patient, validation)
    return {"split": split, "image": image, "patient": report.patient}


def _values(labels: Labels, names: Sequence[str], uncertain: Assertion) -> dict[str, str]:
    return {name: str(int(labels.value(name, uncertain))) for name in names}
