"""Where the node looks for the user's packages."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from models.errors import ModelsError


def configured_folder(file: Path = Path("readfirst.toml")) -> Path:
    """`models.folder` of the node's configuration, else `models` below `node.data`; read as the node reads them.

    Raises
    ------
    ModelsError
        The file is no TOML.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ModelsError(f"{file} cannot be read: {error}") from error
    folder = os.environ.get("READFIRST_MODELS__FOLDER") or table.get("models", {}).get("folder")
    data = os.environ.get("READFIRST_NODE__DATA") or table.get("node", {}).get("data", "var")
    return Path(folder) if folder else Path(data) / "models"
