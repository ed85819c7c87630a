"""Folders of packages: the one that the node is configured with, and those that a command is given."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from models.errors import ModelsError
from models.packages import CARD, find


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


def user_folders(given: list[Path] | None) -> list[Path]:
    """The folders of a command's --models, else the configured one."""
    return given or [configured_folder()]


def package_folder(package: str, given: list[Path] | None) -> Path:
    """The folder of a package that a command names by its path or its name; PackageError where there is none."""
    path = Path(package)
    return path if (path / CARD).is_file() else find(package, user_folders(given))
