"""The transforms of a MONAI Bundle on a radiograph, as far as a card can describe the same.

Each transform is a line of a table with a function that takes what was known before it. A transform that is not in the
table, or an argument that its function does not know, cannot be honoured; the sentence names it. MONAI 1.6:
monai/transforms/{io,spatial,intensity,utility,post}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from models.errors import PackageError
from models.importers.bundle.faults import Faults

Arguments = dict[str, Any]
WHITE = 255.0  # of an 8-bit file, whose values bundles for PNG and JPEG images mean
READERS = (None, "PILReader", "ITKReader", "PydicomReader")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The network's input is gain * scaled + offset, where `scaled` is an image's intensity after `scaling`.

    Attributes
    ----------
    size
        Of the input, in the order of the array's axes; None before a Resize.
    x_first
        Whether the array's first axis runs along the image's rows: MONAI's readers give (x, y).
    channels
        1, or 3 after a RepeatChannel.
    notes
        What is honoured, but not to the letter.
    """

    scaling: Literal["none", "range", "standard"] = "none"
    gain: float = WHITE
    offset: float = 0.0
    size: tuple[int, int] | None = None
    x_first: bool = True
    channels: int = 1
    notes: tuple[str, ...] = ()

    def noting(self, note: str) -> Preprocessing:
        """The same with one more note."""
        return replace(self, notes=(*self.notes, note))

    def affine(self, gain: float, offset: float) -> Preprocessing:
        """After value * gain + offset."""
        return replace(self, gain=self.gain * gain, offset=self.offset * gain + offset)


@dataclass(frozen=True, slots=True)
class Postprocessing:
    """How outputs become probabilities, and the threshold of a finding."""

    activation: Literal["", "sigmoid", "softmax"] = ""
    threshold: float = 0.5


@dataclass(slots=True)
class _Taken:
    """Arguments of one transform; what nobody takes is refused, so that none is overlooked."""

    name: str
    rest: Arguments
    ignored: tuple[str, ...] = field(default=("keys", "allow_missing_keys", "dtype", "device", "track_meta", "_desc_"))

    def take(self, key: str, default: Any = None) -> Any:
        return self.rest.pop(key, default)

    def number(self, key: str, default: float | None) -> float | None:
        value = self.take(key, default)
        same = len(set(value)) == 1 if isinstance(value, list) and value else False
        value = value[0] if same else value
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise PackageError(f"{self.name}: {key} = {value!r} is not one number")
        return None if value is None else float(value)

    def only(self, key: str, *allowed: Any) -> Any:
        value = self.take(key, allowed[0])
        if value not in allowed:
            raise PackageError(f"{self.name}: {key} = {value!r} cannot be honoured")
        return value

    def done(self) -> None:
        left = sorted(set(self.rest) - set(self.ignored))
        if left:
            raise PackageError(f"{self.name}: the argument {left[0]!r} cannot be honoured")


def _load_image(known: Preprocessing, given: _Taken) -> Preprocessing:
    reader = given.take("reader")
    name = reader.rpartition(".")[2] if isinstance(reader, str) else reader
    if name not in READERS:
        raise PackageError(f"{given.name}: reader = {reader!r} cannot be honoured")
    given.take("image_only"), given.take("ensure_channel_first")
    return known


def _channel_first(known: Preprocessing, given: _Taken) -> Preprocessing:
    given.only("channel_dim", None, "no_channel")
    given.take("strict_check")
    return known


def _as_it_is(known: Preprocessing, given: _Taken) -> Preprocessing:
    given.only("data_type", "tensor")
    return known


def _resize(known: Preprocessing, given: _Taken) -> Preprocessing:
    size, mode = given.take("spatial_size"), given.only("size_mode", "all", "longest")
    for key in ("mode", "align_corners", "anti_aliasing", "anti_aliasing_sigma"):
        given.take(key)
    if mode == "longest":
        length = size[0] if isinstance(size, list) and len(size) == 1 else size
        return replace(known, size=(_length(given, length),) * 2)
    if not isinstance(size, list) or len(size) != 2:
        raise PackageError(f"{given.name}: spatial_size = {size!r} is not two lengths")
    known = known.noting(
        "The bundle squeezes every image to the input's shape; ReadFirst keeps its aspect and fills with black."
        " A square image looks the same to both."
    )
    if known.scaling != "none":
        known = known.noting("The bundle scales intensities before it resizes, ReadFirst after.")
    return replace(known, size=(_length(given, size[0]), _length(given, size[1])))


def _length(given: _Taken, value: Any) -> int:
    if not isinstance(value, int) or value < 64 or value % 32:
        raise PackageError(f"{given.name}: a length of {value!r} is not a multiple of 32 pixels, at least 64")
    return value


def _pad(known: Preprocessing, given: _Taken) -> Preprocessing:
    size = given.take("spatial_size")
    given.only("method", "symmetric")
    given.only("mode", "constant")
    given.only("value", 0)
    if known.size is None or [*known.size] != ([size] * 2 if isinstance(size, int) else size):
        raise PackageError(f"{given.name}: spatial_size = {size!r} is not that of a Resize before it")
    if known.scaling != "none" or known.offset:
        known = known.noting("The bundle fills with 0 after it scales, ReadFirst with black before.")
    return known


def _scale(known: Preprocessing, given: _Taken) -> Preprocessing:
    low, high = given.number("minv", 0.0), given.number("maxv", 1.0)
    given.only("factor", None)
    given.take("channel_wise")
    if low is None or high is None or high <= low:
        raise PackageError(f"{given.name}: minv = {low}, maxv = {high} cannot be honoured")
    return replace(known, scaling="range", gain=high - low, offset=low).noting(
        "The bundle scales each image by its smallest and largest value; ReadFirst does, too, the black at its sides"
        " included."
    )


def _scale_range(known: Preprocessing, given: _Taken) -> Preprocessing:
    low, high = given.number("a_min", None), given.number("a_max", None)
    to_low, to_high = given.number("b_min", None), given.number("b_max", None)
    clips = given.take("clip", False)
    if low is None or high is None or high <= low or (to_low is None) != (to_high is None):
        raise PackageError(f"{given.name}: a_min, a_max, b_min, b_max cannot be honoured")
    if known == replace(Preprocessing(), size=known.size, notes=known.notes) and (low, high) != (0.0, WHITE):
        raise PackageError(
            f"{given.name}: a_min = {low:g}, a_max = {high:g} are stored values; ReadFirst gives what is seen after the"
            " VOI LUT, 0 black to 255 white"
        )
    ends = (known.offset, known.offset + known.gain)
    if clips and (known.scaling == "standard" or min(ends) < low or max(ends) > high):
        raise PackageError(f"{given.name}: clip = true would cut values off, which cannot be honoured")
    scale = (1.0 if to_high is None or to_low is None else to_high - to_low) / (high - low)
    return known.affine(scale, (to_low or 0.0) - low * scale)


def _normalize(known: Preprocessing, given: _Taken) -> Preprocessing:
    subtrahend, divisor = given.number("subtrahend", None), given.number("divisor", None)
    given.only("nonzero", False)
    given.take("channel_wise")
    if subtrahend is None and divisor is None:
        return replace(known, scaling="standard", gain=1.0, offset=0.0).noting(
            "The bundle scales each image by its mean and deviation; ReadFirst does, too, the black at its sides"
            " included."
        )
    if subtrahend is None or not divisor:
        raise PackageError(f"{given.name}: subtrahend without divisor, or the other way, cannot be honoured")
    return known.affine(1 / divisor, -subtrahend / divisor)


def _repeat(known: Preprocessing, given: _Taken) -> Preprocessing:
    return replace(known, channels=given.only("repeats", 3))


def _transpose(known: Preprocessing, given: _Taken) -> Preprocessing:
    given.only("indices", [0, 2, 1])
    size = None if known.size is None else (known.size[1], known.size[0])
    return replace(known, x_first=not known.x_first, size=size)


BEFORE: Mapping[str, Callable[[Preprocessing, _Taken], Preprocessing]] = {
    "LoadImage": _load_image,
    "EnsureChannelFirst": _channel_first,
    "EnsureType": _as_it_is,
    "ToTensor": _as_it_is,
    "CastToType": _as_it_is,
    "Resize": _resize,
    "SpatialPad": _pad,
    "ResizeWithPadOrCrop": _pad,
    "ScaleIntensity": _scale,
    "ScaleIntensityRange": _scale_range,
    "NormalizeIntensity": _normalize,
    "RepeatChannel": _repeat,
    "Transpose": _transpose,
}
WRITERS = ("SaveClassificationResult", "SaveImage", "EnsureType", "ToTensor")  # change no number


def preprocessing(transforms: list[Arguments], faults: Faults) -> Preprocessing | None:
    """A bundle's preprocessing as one value; None where not all can be honoured, each reason in `faults`."""
    known, whole = Preprocessing(), True
    for one in transforms:
        after = faults.of(_before, known, one)
        known, whole = after or known, whole and after is not None
    return faults.of(_complete, known) if whole else None


def _before(known: Preprocessing, one: Arguments) -> Preprocessing:
    name, given = _named(one, "preprocessing")
    if name not in BEFORE:
        raise PackageError(f"{given.name} cannot be honoured, only {', '.join(BEFORE)}")
    known = BEFORE[name](known, given)
    given.done()
    return known


def _complete(known: Preprocessing) -> Preprocessing:
    if known.size is None:
        raise PackageError("preprocessing: no Resized says the size of the network's input")
    if known.gain <= 0:
        raise PackageError("preprocessing: it makes white darker than black")
    if known.scaling == "none":
        known = known.noting("The bundle's numbers are for files of 0 to 255, taken here for black to white as seen.")
    return known


def postprocessing(transforms: list[Arguments], faults: Faults) -> Postprocessing | None:
    """A bundle's postprocessing as one value; None where not all can be honoured, each reason in `faults`."""
    known, whole = Postprocessing(), True
    for one in transforms:
        after = faults.of(_after, known, one)
        known, whole = after or known, whole and after is not None
    if whole and not known.activation:
        faults.found.append("postprocessing: no Activationsd says what makes probabilities of the network's outputs")
    return known if whole and known.activation else None


def _after(known: Postprocessing, one: Arguments) -> Postprocessing:
    name, given = _named(one, "postprocessing")
    if name == "Activations":
        chosen = [key for key in ("sigmoid", "softmax") if given.take(key, False)]
        given.only("other", None)
        if len(chosen) != 1:
            raise PackageError(f"{given.name}: needs sigmoid = true or softmax = true")
        known = replace(known, activation="sigmoid" if chosen == ["sigmoid"] else "softmax")
    elif name == "AsDiscrete":
        given.take("argmax"), given.only("to_onehot", None), given.only("rounding", None)
        threshold = given.number("threshold", 0.5)
        if threshold is None or not 0 < threshold < 1:
            raise PackageError(f"{given.name}: threshold = {threshold:g} is not between 0 and 1")
        known = replace(known, threshold=threshold)
    elif name in WRITERS:
        return known
    else:
        raise PackageError(f"{given.name} cannot be honoured")
    given.done()
    return known


def _named(one: Arguments, stage: str) -> tuple[str, _Taken]:
    """The class without "monai.transforms." and the d of dictionary transforms; its arguments under its whole name."""
    target = one.get("_target_")
    if not isinstance(target, str):
        raise PackageError(f"{stage}: {one!r} is not a transform with a _target_")
    path, _, name = target.rpartition(".")
    given = _Taken(f"{stage}: {name}", {key: value for key, value in one.items() if key != "_target_"})
    if path and not path.startswith("monai.transforms"):
        raise PackageError(f"{stage}: {target} is not one of MONAI's transforms")
    known = {*BEFORE, *WRITERS, "Activations", "AsDiscrete"}
    plain = (name.removesuffix(ending) for ending in ("Dict", "D", "d"))
    return next((one for one in plain if one in known), name), given
