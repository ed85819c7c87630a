"""Model packages: folders with a card and weights, found, verified, loaded. Imports torch only to load weights."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from models.cardfile import read_card
from models.errors import InputError, ModelsError, PackageError, UnknownPackage
from models.localizers.registry import LOCALIZERS, OfLungs, OfVolumeLungs, SegmentsVolumes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.anatomy.ct.lungs import SegmentVolume
    from models.card import Card
    from models.loaded import LoadedModel
    from models.prediction import Model
    from models.segmenter import Segmenter

Given = TypeVar("Given", bound="Model")
ZOO = Path(__file__).parent / "zoo"
CARD = "card.toml"
_SPACING = (2.5, 1.0, 1.0)  # mm
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


def inherited(folder: Path) -> tuple[str, ...]:
    """Texts of a card that are of a shipped package with other weights, as clauses."""
    from models.provenance import inherited as compared  # noqa: PLC0415 (the card's models)

    return tuple(compared(load_card(folder), tuple(load_card(path) for path in available())))


def require_own(folder: Path) -> None:
    """PackageError where the card has texts of a shipped package with other weights; it names all."""
    found = inherited(folder)
    if found:
        raise PackageError(f"{folder / CARD}: {'; '.join(found)}.")


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
    if isinstance(localizer, OfVolumeLungs):
        localizer = localizer.with_volume_lungs(volume_lungs(card, (folder.parent,), device, threads))
    elif isinstance(localizer, OfLungs):
        segmenter = anatomy_segmenter(card, (folder.parent,), device, threads)
        localizer = localizer.with_lungs(segmenter.lungs) if segmenter else localizer
    return LoadedModel(card, _digest(folder, card.weights.sha256 if card.weights else None), localizer)


def load_segmenter(
    package: str | Path, folders: Sequence[Path] = (), device: str = "cpu", threads: int | None = None
) -> Segmenter:
    """The package of lungs of that name or in that folder; see `load`.

    Raises
    ------
    PackageError
        There is none, it is not whole, or it finds no lungs.
    """
    from models.loaded import LoadedModel  # noqa: PLC0415 (numpy)
    from models.localizers.lungs import LungLocalizer  # noqa: PLC0415
    from models.segmenter import Segmenter  # noqa: PLC0415

    path = Path(package)
    model = load(path if (path / CARD).is_file() else find(str(package), folders), device, threads)
    if not (isinstance(model, LoadedModel) and isinstance(model.localizer, LungLocalizer)):
        raise PackageError(f'{package} finds no lungs: its card\'s localizer must be "lungs".')
    return Segmenter(model, model.localizer)


def anatomy_segmenter(
    card: Card, folders: Sequence[Path] = (), device: str = "cpu", threads: int | None = None
) -> Segmenter | None:
    """The lungs' package that the card's [anatomy] names; None without that table.

    Raises
    ------
    PackageError
        It is not there, or is not the one that the card was measured with.
    """
    if card.anatomy is None:
        return None
    segmenter = load_segmenter(card.anatomy.package, folders, device, threads)
    _require_measured_with(card, segmenter.sha256)
    return segmenter


def volume_lungs(
    card: Card, folders: Sequence[Path] = (), device: str = "cpu", threads: int | None = None
) -> SegmentVolume:
    """What finds the lungs of volumes, of the package that the card's [anatomy] names.

    Raises
    ------
    PackageError
        It is not there, finds no lungs of volumes, or is not the one that the card was measured with.
    """
    assert card.anatomy is not None
    model = load(find(card.anatomy.package, folders), device, threads)
    localizer, weights = model.localizer, model.card.weights
    if not isinstance(localizer, SegmentsVolumes) or weights is None or model.card.input.kind != "volume":
        raise PackageError(f"{card.anatomy.package}, which {card.name} needs, finds no lungs of volumes.")
    _require_measured_with(card, weights.sha256)
    return localizer.segment


def _require_measured_with(card: Card, found: str) -> None:
    assert card.anatomy is not None
    if found != card.anatomy.sha256:
        raise PackageError(
            f"{card.name} was measured with weights of {card.anatomy.package} whose SHA-256 is"
            f" {card.anatomy.sha256[:12]}…; here it is {found[:12]}…. Copy both packages again."
        )


def require_working(model: Model) -> None:
    """Have a loaded package predict an input of its card's kind; PackageError where every study would fail with it.

    That it takes this input for none of its own (InputError) is no failure. In it no lungs are seen: a model that needs
    them is tried with drawn ones, too.
    """
    import numpy as np  # noqa: PLC0415

    rules = model.card.input
    shape = rules.shape or (rules.smallest_slices, *rules.smallest_rows_columns)
    ramp = np.linspace(0.0, 1.0, math.prod(shape), dtype=np.float32).reshape(shape)
    given = (ramp, None) if rules.kind == "image" else (1400.0 * ramp - 1000.0, _SPACING)
    drawn = with_drawn_lungs(model)
    for tried in (model,) if drawn is model else (model, drawn):
        _require_finite(tried, *given)


def with_drawn_lungs(model: Given) -> Given:
    """The model of images in which lungs are seen; itself where it needs none."""
    from models.anatomy.ct.lungs import drawn_in_volume  # noqa: PLC0415 (numpy)
    from models.anatomy.lungs import drawn  # noqa: PLC0415 (numpy)
    from models.loaded import LoadedModel  # noqa: PLC0415

    if isinstance(model, LoadedModel) and isinstance(model.localizer, OfLungs):
        return replace(model, localizer=model.localizer.with_lungs(drawn))
    if isinstance(model, LoadedModel) and isinstance(model.localizer, OfVolumeLungs):
        return replace(model, localizer=model.localizer.with_volume_lungs(drawn_in_volume))
    return model


def _require_finite(model: Model, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> None:
    import numpy as np  # noqa: PLC0415

    try:
        prediction = model.predict(image, spacing)
        if not np.isfinite(prediction.probabilities).all():
            raise PackageError("It predicts probabilities that are no numbers: are the weights whole?")
    except InputError:
        pass
    except ModelsError:
        raise
    except Exception as error:
        raise PackageError(f"It fails with every study: {type(error).__name__}: {error}") from error
