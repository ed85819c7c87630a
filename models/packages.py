"""Model packages: folders with a card and weights, found, verified, loaded. Imports torch only to load weights."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.cardfile import read_card
from models.errors import InputError, ModelsError, PackageError, UnknownPackage
from models.localizers.registry import LOCALIZERS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.card import Card
    from models.loaded import LoadedModel
    from models.prediction import Model

ZOO = Path(__file__).parent / "zoo"
CARD = "card.toml"
_SPACING = (2.5, 1.0, 1.0)  # mm
_BLUR = 0.4  # of an ellipse's radius: the width of the border between dark and bright in the drawn chest
RELIABILITY = "reliability.png"  # of the training images, out of fold; not part of the digest


def load_card(folder: Path) -> Card:
    """Read the card of the package in `folder`; CardError names what is wrong with it."""
    return read_card(folder / CARD)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(folder: Path) -> str:
    """SHA-256 over card.toml's bytes and the SHA-256 of the weights as they are on disk.

    It changes whenever card or weights change, and so names the results of this very model.
    """
    card = load_card(folder)
    return _digest(folder, None if card.weights is None else sha256(_weights(folder, card)))


def verify(folder: Path) -> None:
    """Check card and weights; PackageError (or CardError) names what is wrong and what to do."""
    card = load_card(folder)
    if card.weights is not None:
        _verified(folder, card)


def _digest(folder: Path, weights_sha256: str | None) -> str:
    state = hashlib.sha256((folder / CARD).read_bytes())
    state.update((weights_sha256 or "").encode("ascii"))
    return state.hexdigest()


def _weights(folder: Path, card: Card) -> Path:
    assert card.weights is not None
    path = folder / card.weights.file
    if not path.is_file():
        raise PackageError(f"{path} is missing: copy the whole package folder again, the card alone is not enough.")
    return path


def _verified(folder: Path, card: Card) -> bytes:
    """The weights' bytes, read once, so that what was verified is what is loaded."""
    assert card.weights is not None
    path = _weights(folder, card)
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != card.weights.sha256:
        raise PackageError(
            f"{path} has the SHA-256 {found[:12]}… and {CARD} asks for {card.weights.sha256[:12]}…: the weights are"
            " not those that were measured. Copy the package again, or train it and write a new card."
        )
    return data


def available(folders: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Package folders by name: those in the user's `folders` first, then the shipped ones; a name appears once."""
    found: dict[str, Path] = {}
    for parent in (*folders, ZOO):
        for path in sorted(parent.glob(f"*/{CARD}")):
            found.setdefault(path.parent.name, path.parent)
    return tuple(found.values())


def find(name: str, folders: Sequence[Path] = ()) -> Path:
    """The package folder of that name, the user's `folders` before the shipped ones.

    Raises
    ------
    UnknownPackage
        No such package; the sentence names those that there are.
    PackageError
        A folder cannot be read.
    """
    for folder in folders:
        if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
            raise PackageError(f"The folder of model packages {folder} cannot be read: permission denied.")
    there = {path.name: path for path in available(folders)}
    if name not in there:
        raise UnknownPackage(f"There is no model package named {name!r}; there are: {', '.join(sorted(there))}.")
    return there[name]


def load(folder: Path, device: str = "auto", threads: int | None = None) -> LoadedModel:
    """Verify and load the package in `folder`.

    Parameters
    ----------
    device
        "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N"; the classical detector always runs on the CPU.
    threads
        CPU threads of this process for torch or SimpleITK; None leaves them as they are.

    Raises
    ------
    PackageError
        The package is not whole, or the device is not there.
    """
    from models.loaded import LoadedModel  # noqa: PLC0415 (numpy)

    card = load_card(folder)
    data = b"" if card.weights is None else _verified(folder, card)
    localizer = LOCALIZERS.get(card.localizer).load(card, data, device, threads)
    return LoadedModel(card, _digest(folder, card.weights.sha256 if card.weights else None), localizer)


def require_working(model: Model) -> None:
    """Have a loaded package predict an input of its card's kind; PackageError where every study would fail with it.

    An image is a drawn chest, so that a package that looks for lungs first goes on to its network. That it takes the
    input for none of its own (InputError) is no failure.
    """
    import numpy as np  # noqa: PLC0415

    rules = model.card.input
    if rules.size is not None:
        image, spacing = _drawn_chest(rules.size), None
    else:
        shape = rules.smallest_slices, *rules.smallest_rows_columns
        image, spacing = np.linspace(-1000.0, 400.0, math.prod(shape), dtype=np.float32).reshape(shape), _SPACING
    try:
        if not np.isfinite(model.predict(image, spacing).probabilities).all():
            raise PackageError("It predicts probabilities that are no numbers: are the weights whole?")
    except InputError:
        pass
    except ModelsError:
        raise
    except Exception as error:
        raise PackageError(f"It fails with every study: {type(error).__name__}: {error}") from error


def _drawn_chest(shape: tuple[int, int]) -> NDArray[np.float32]:
    """An image of a bright trunk with a spine and two dark, blurred ellipses, which `lungs` takes for lungs."""
    import numpy as np  # noqa: PLC0415

    rows, columns = (np.linspace(-1.0, 1.0, n, dtype=np.float32) for n in shape)

    def ellipse(row: float, column: float, height: float, width: float) -> NDArray[np.float32]:
        away = np.hypot((rows[:, None] - row) / height, (columns - column) / width)
        inside: NDArray[np.float32] = np.clip((1.0 - away) / _BLUR + 0.5, 0.0, 1.0)
        return inside

    lungs = np.maximum(ellipse(-0.05, -0.39, 0.55, 0.26), ellipse(-0.05, 0.39, 0.55, 0.26))
    spine = 0.1 * np.exp(-((columns / 0.08) ** 2))
    trunk = 0.7 * ellipse(0.3, 0.0, 1.3, 0.95)
    image: NDArray[np.float32] = np.clip(trunk - 0.5 * lungs + spine, 0.0, 1.0).astype(np.float32)
    return image
