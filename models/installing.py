"""Puts a verified package into a user's folder, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from models import packages
from models.errors import PackageError

TEXTS = ("LICENSE", "LICENSE.txt", "README.md", "NOTICE")


def add(source: Path, into: Path, *, replace: bool = False) -> tuple[Path, bool]:
    """Copy a package to `into`/name; only card, weights and texts are copied, and the copy is verified.

    Returns
    -------
    Where it lies, and False if the very same package was there already.

    Raises
    ------
    PackageError
        The package is not whole, or another one of its name is there and `replace` is not set.
    """
    packages.load(source, "cpu")
    card = packages.load_card(source)
    target = into / card.name
    if target.exists() and not replace:
        if packages.digest(target) == packages.digest(source):
            return target, False
        there = packages.load_card(target)
        raise PackageError(
            f"{target} holds {there.name} {there.version} and differs from {source} ({card.version}):"
            " say --replace to replace it, or remove it first."
        )
    into.mkdir(parents=True, exist_ok=True)
    names = [packages.CARD, *TEXTS] + ([] if card.weights is None else [card.weights.file])
    with tempfile.TemporaryDirectory(dir=into, prefix=".") as room:
        copy = Path(room) / card.name
        copy.mkdir()
        for name in names:
            if (source / name).is_file():
                shutil.copyfile(source / name, copy / name)
        packages.verify(copy)
        if target.exists():
            target.rename(Path(room) / "old")
        copy.rename(target)
    return target, True


def check_free(folder: Path) -> None:
    """PackageError where a package is already in `folder`: training never writes over one."""
    if (folder / packages.CARD).exists():
        raise PackageError(f"{folder} already holds a package; give another run folder.")
