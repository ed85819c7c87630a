"""The errors of `models`; each text is a sentence with what is wrong and what to do.

ModelsError
├── PackageError        a package folder cannot be used: missing file, other hash, unknown name
│   ├── CardError       its card.toml is wrong; the sentence names the key and the file
│   ├── UnknownPackage  there is none of that name
│   └── DeviceError     the GPU that it is to compute on is not there, or fails
├── InputError          an array that this model was not made for: shape, range, spacing
├── DataError           a folder of training or test data is not what we read
├── RegistrationError   two volumes cannot be brought to match
└── RunError            a training run cannot be started or continued as asked
"""

from __future__ import annotations

from collections.abc import Sequence


class ModelsError(Exception):
    """Root of all errors that `models` raises on purpose."""


class PackageError(ModelsError):
    """A model package cannot be found, verified or loaded."""


class CardError(PackageError):
    """A card is missing a key, has one that we do not know, or holds a wrong value."""


class UnknownPackage(PackageError):
    """No folder of packages holds one of that name."""


class DeviceError(PackageError):
    """The device cannot be used; on another one the package may work."""


class InputError(ModelsError):
    """The array or spacing given to `predict` does not fit the card."""


class DataError(ModelsError):
    """A folder of data is not in the form that `datasets` reads."""


class RunError(ModelsError):
    """Options of a training run that do not fit each other, the data, or the run folder that is there."""


class RegistrationError(ModelsError):
    """Two volumes do not match well enough for points of one to be found in the other."""


def numbered(what: str, faults: Sequence[str]) -> str:
    """Clauses as one message: "what: the fault.", or a numbered list of them."""
    if len(faults) == 1:
        return f"{what}: {faults[0]}."
    return f"{what}:\n" + "\n".join(f"  {number}. {one}" for number, one in enumerate(faults, 1))
