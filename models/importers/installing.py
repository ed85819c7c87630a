"""Puts a verified package into a user's folder, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from models import packages
from models.errors import PackageError

XRV = "torchxrayvision:"
METADATA = Path("configs") / "metadata.json"  # what makes a folder a MONAI Bundle
BESIDES = ("LICENSE", "LICENSE.txt", "README.md", "NOTICE", packages.RELIABILITY)


def add(source: Path, into: Path, *, replace: bool = False) -> tuple[Path, bool]:
    """Copy a package to `into`/name, verified: card, weights, texts and reliability diagram, nothing else.

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
            " give --replace to replace it, or remove it first."
        )
    into.mkdir(parents=True, exist_ok=True)
    names = [packages.CARD, *BESIDES] + ([] if card.weights is None else [card.weights.file])
    with tempfile.TemporaryDirectory(dir=into, prefix=".") as room:
        copy = Path(room) / card.name
        copy.mkdir()
        for name in names:
            if (source / name).is_symlink():
                raise PackageError(f"{source / name} is a link, which could lead anywhere: put the file itself there.")
            if (source / name).is_file():
                shutil.copyfile(source / name, copy / name)
        packages.verify(copy)
        if target.exists():
            target.rename(Path(room) / "old")
        copy.rename(target)
    return target, True


def add_any(
    what: str, into: Path, *, weights: Path | None, replace: bool, advance: Callable[[str, int, int], None]
) -> tuple[Path, bool, tuple[str, ...]]:
    """Add a package folder, a network of TorchXRayVision ("torchxrayvision:NAME") or a MONAI Bundle.

    Parameters
    ----------
    weights
        The file with TorchXRayVision's weights; None fetches it. Packages and bundles hold theirs.

    Returns
    -------
    What `add` returns, and sentences for the user.

    Raises
    ------
    PackageError
        It is none of the three, or cannot be used.
    """
    xrv = what.startswith(XRV)
    if weights is not None and not xrv:
        raise PackageError("--weights is for torchxrayvision:NAME; a package or a MONAI Bundle holds its weights.")
    if not xrv and not (Path(what) / METADATA).is_file():
        return *add(Path(what), into, replace=replace), ()
    with tempfile.TemporaryDirectory() as room:
        if xrv:
            from models.importers.xrv import build  # noqa: PLC0415 (torch)

            built, notes = build(what.removeprefix(XRV), Path(room), weights, advance)
        else:
            from models.importers.bundle.converting import convert  # noqa: PLC0415 (torch)

            built, notes = convert(Path(what), Path(room))
        return *add(built, into, replace=replace), notes


def check_free(folder: Path) -> None:
    """PackageError where a package is already in `folder`: training never writes over one."""
    if (folder / packages.CARD).exists():
        raise PackageError(f"{folder} already holds a package; give another run folder.")
