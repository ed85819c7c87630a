"""Puts a verified package into a user's folder, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from models import packages
from models.errors import PackageError

XRV = "torchxrayvision:"
METADATA = Path("configs") / "metadata.json"  # what makes a folder a MONAI Bundle
BESIDES = ("LICENSE", "LICENSE.txt", "README.md", "NOTICE", packages.RELIABILITY)


Tried = Callable[[Path], Sequence[str]]
"""What is wrong with the results that a package folder makes, as sentences; none where nothing is."""


def add(source: Path, into: Path, *, replace: bool = False, trials: Sequence[Tried] = ()) -> tuple[Path, bool]:
    """Copy a package to `into`/name, verified: card, weights, texts and reliability diagram, nothing else.

    Returns
    -------
    Where it lies, and False if the very same package was there already.

    Raises
    ------
    PackageError
        The package is not whole, fails with every study or in a trial, or another one of its name is there and
        `replace` is not set.
    """
    packages.require_working(packages.load(source, "cpu"))
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
    _require_tried(source, trials)
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


def _require_tried(source: Path, trials: Sequence[Tried]) -> None:
    faults = [fault for trial in trials for fault in trial(source)]
    if len(faults) == 1:
        raise PackageError(f"{source} cannot be used as it is: {faults[0]}")
    if faults:
        numbered = "\n".join(f"  {number}. {fault}" for number, fault in enumerate(faults, start=1))
        raise PackageError(f"{source} cannot be used as it is:\n{numbered}")


def add_any(
    what: str,
    into: Path,
    *,
    weights: Path | None,
    replace: bool,
    advance: Callable[[str, int, int], None],
    trials: Sequence[Tried] = (),
) -> tuple[Path, bool, tuple[str, ...]]:
    """Add a package folder, a network of TorchXRayVision ("torchxrayvision:NAME") or a MONAI Bundle.

    Parameters
    ----------
    weights
        The file with TorchXRayVision's weights; None fetches it. Packages and bundles hold theirs.
    trials
        What a package has to pass before it is added.

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
        return *add(Path(what), into, replace=replace, trials=trials), ()
    with tempfile.TemporaryDirectory() as room:
        if xrv:
            from models.importers.xrv import build  # noqa: PLC0415 (torch)

            built, notes = build(what.removeprefix(XRV), Path(room), weights, advance)
        else:
            from models.importers.bundle.converting import convert  # noqa: PLC0415 (torch)

            built, notes = convert(Path(what), Path(room))
        return *add(built, into, replace=replace, trials=trials), notes


def check_free(folder: Path) -> None:
    """PackageError where a package is already in `folder`: training never writes over one."""
    if (folder / packages.CARD).exists():
        raise PackageError(f"{folder} already holds a package; give another run folder.")
