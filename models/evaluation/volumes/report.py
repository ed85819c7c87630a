"""The figures of an evaluation on volumes as a file."""

from __future__ import annotations

import json
from pathlib import Path

from models.data.files import write_whole
from models.errors import DataError
from models.evaluation.volumes.figures import VolumeEvaluation

FIGURES = "evaluation.json"


def room(out: Path, replace: bool) -> Path:
    """The file that is written: `out` where its name ends in .json, else evaluation.json in the folder `out`.

    Raises
    ------
    DataError
        It is there, and may not be replaced.
    """
    alone = out.suffix.lower() == ".json"
    file = out if alone else out / FIGURES
    if file.exists() and not alone and not replace:
        raise DataError(f"{out} already holds {FIGURES}; choose another folder or give --replace.")
    return file


def write(file: Path, evaluation: VolumeEvaluation) -> None:
    """Write the JSON; DataError where that cannot be."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, (json.dumps(evaluation.as_json(), indent=2) + "\n").encode("utf-8"))
    except OSError as error:
        raise DataError(f"{file} cannot be written: {error.strerror}.") from error
