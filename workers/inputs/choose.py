"""Which instances of a study a model may see. It may be none; every instance that is left out has its reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydicom.dataset import Dataset

from workers.dicom.attributes import number, text
from workers.inputs.eligibility import refusal
from workers.inputs.frames import frame_number, frames, instance_uid, is_enhanced
from workers.inputs.kernels import kernel_of, kernel_words
from workers.inputs.passes import Pass, passes
from workers.inputs.stack import Stack, VolumeError, stack
from workers.inputs.views import view_unknown

if TYPE_CHECKING:
    from models.card import Input

COVERAGE = 0.8  # of the longest stack: a series that covers less is a detail, however thin its slices are
Reasons = dict[str, str]  # SOP Instance UID, also of a frame, to the reason why it was left out


@dataclass(frozen=True, slots=True)
class Target:
    """What a model analyses at once: one image, or the slices of one volume in the order of their positions.

    `frames`, where it is not empty, has the frame of each slice, from 1: the slices of an enhanced CT share their SOP
    Instance UIDs.
    """

    kind: Literal["image", "volume"]
    sop_instance_uids: tuple[str, ...]
    series_instance_uid: str
    frames: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """The targets of one model in one study, and (SOP Instance UID, reason) of each instance that is in none."""

    targets: tuple[Target, ...]
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()  # what was decided that the reader of the results must know


def choose(headers: Sequence[Dataset], rules: Input) -> Choice:
    """The images, or the one best volume, that a model of these rules may see in a study."""
    reasons: Reasons = {}
    accepted: list[Dataset] = []
    for header in headers:
        reason = refusal(header, rules)
        if reason:
            reasons[_uid(header)] = reason
        else:
            slices = frames(header) if rules.kind == "volume" else (header,)
            accepted += slices
            if not slices:
                reasons[_uid(header)] = "enhanced CT without functional groups"
    notes: list[str] = []
    targets = _images(accepted, rules, reasons) if rules.kind == "image" else _volume(accepted, rules, reasons, notes)
    for header in filter(is_enhanced, headers) if rules.kind == "volume" else ():
        _of_frames(header, targets, reasons, notes)
    in_order = dict.fromkeys(_uid(header) for header in headers)
    return Choice(tuple(targets), tuple((uid, reasons[uid]) for uid in in_order if uid in reasons), tuple(notes))


def _of_frames(header: Dataset, targets: Sequence[Target], reasons: Reasons, notes: list[str]) -> None:
    """Why frames of an instance were left out, in place: its own reason where no frame is used, else a note."""
    counts = Counter(reasons[uid] for uid in map(_uid, frames(header)) if uid in reasons)
    if any(_uid(header) in target.sop_instance_uids for target in targets):
        notes.extend(f"{count} frames of the enhanced CT were not analysed: {why}" for why, count in counts.items())
    elif counts:
        reasons.setdefault(_uid(header), counts.most_common(1)[0][0])


def _images(headers: Sequence[Dataset], rules: Input, reasons: Reasons) -> list[Target]:
    """An image of unknown view is used only if the study has no other: two are probably PA and lateral."""
    targets = []
    for header in headers:
        if rules.views and view_unknown(header) and len(headers) > 1:
            reasons[_uid(header)] = "view unknown, and the study holds several images that could be meant"
        else:
            targets.append(Target("image", (_uid(header),), _series(header)))
    return targets


def _volume(headers: Sequence[Dataset], rules: Input, reasons: Reasons, notes: list[str]) -> list[Target]:
    stacks = [found for series in _by_series(headers) for found in _stacks(series, rules, reasons)]
    longest = max((_length(found) for found, _ in stacks), default=0.0)
    ranked = sorted(stacks, key=lambda found: _rank(found[0], longest, rules))
    for other, name in ranked[1:]:
        why = _why_not(other, ranked[0][0], longest, rules)
        if name and _series(other.headers[0]) == _series(ranked[0][0].headers[0]):
            why = why.replace("another series was chosen", f"another pass of the series was chosen, not {name}")
        reasons.update((_uid(header), why) for header in other.headers)
    if ranked and ranked[0][1]:
        notes.append(_which(ranked, reasons))
    elif len(ranked) > 1:
        notes.append(_why(ranked, reasons))
    notes += [note for best, _ in ranked[:1] for note in best.notes]
    return [_target(best) for best, _ in ranked[:1]]


def _target(best: Stack) -> Target:
    numbers = tuple(frame_number(header) or 0 for header in best.headers)
    uids = tuple(map(instance_uid, best.headers))
    return Target("volume", uids, _series(best.headers[0]), numbers if any(numbers) else ())


def _why(ranked: Sequence[tuple[Stack, str]], reasons: Reasons) -> str:
    """Which of several series was taken and why, in a sentence."""
    best, other = ranked[0][0], ranked[1][0]
    series = [f"series {number(one.headers[0], 'SeriesNumber', 0):.0f}" for one in (best, other)]
    about = f"{len(best.headers)} slices every {best.spacing[0]:.2f} mm, {kernel_words(best.headers[0])}"
    why = reasons[_uid(other.headers[0])].partition(": ")[2]
    return f"of {len(ranked)} volumes of the study {series[0]} was analysed ({about}), before {series[1]}: {why}"


def _stacks(series: Sequence[Dataset], rules: Input, reasons: Reasons) -> list[tuple[Stack, str]]:
    """The volumes in a series with the names of their passes.

    All slices together are taken where no pass is a regular volume, or where they are one that covers more.
    """
    parts = passes(series)
    found = _regular(parts, rules, reasons)
    if len(parts) == 1 or not parts[0].name:
        return found
    whole_reasons = dict(reasons)
    whole = _regular((Pass(tuple(series)),), rules, whole_reasons)
    longest = max((_length(one) for one, _ in found), default=0.0)
    if not found or (whole and longest < COVERAGE * _length(whole[0][0])):
        reasons.update(whole_reasons)
        for header in whole[0][0].headers if whole else ():
            reasons.pop(_uid(header), None)
        return whole
    return found


def _regular(parts: Sequence[Pass], rules: Input, reasons: Reasons) -> list[tuple[Stack, str]]:
    found = []
    for part in parts:
        try:
            one = stack(part.headers, rules)
        except VolumeError as error:
            reasons.update((_uid(header), str(error)) for header in part.headers)
        else:
            reasons.update(one.left_out)
            found.append((one, part.name))
    return found


def _which(ranked: Sequence[tuple[Stack, str]], reasons: Reasons) -> str:
    """Which pass was taken and why, in a sentence."""
    best, name = ranked[0]
    rejected = next((reasons[_uid(other.headers[0])] for other, _ in ranked[1:] if _series(other.headers[0])
                     == _series(best.headers[0])), "")  # fmt: skip
    why = rejected.partition(": ")[2] or "the others are no regular volume"
    return f"the series of the volume holds several passes; analysed was {name} ({len(best.headers)} slices): {why}"


def _by_series(headers: Sequence[Dataset]) -> Iterable[list[Dataset]]:
    series: dict[str, list[Dataset]] = defaultdict(list)
    for header in headers:
        series[_series(header)].append(header)
    return series.values()


def _rank(
    found: Stack, longest: float, rules: Input
) -> tuple[bool, bool, bool, float, bool, int, float, str]:  # fmt: skip
    """The smallest is analysed: axial, covering the patient, without a gap, thin, of the wanted kernel."""
    first = found.headers[0]
    short = _length(found) < COVERAGE * longest
    number_of_series = number(first, "SeriesNumber", float("inf"))
    thin, many = round(found.spacing[0], 1), -len(found.headers)
    quality = not _axial(found), short, _with_gap(found), thin, _other_kernel(found, rules), many
    return (*quality, number_of_series, _series(first))


def _why_not(found: Stack, best: Stack, longest: float, rules: Input) -> str:
    """What the best one has that this one has not, the first difference of `_rank`."""
    thin, thick = best.spacing[0], found.spacing[0]
    differences = (
        (_axial(best) and not _axial(found), "it is axial"),
        (_length(found) < COVERAGE * longest <= _length(best), "it covers more of the patient"),
        (_with_gap(found) and not _with_gap(best), "it has no gap"),
        (round(thick, 1) > round(thin, 1), f"its slices are {thin:.2f} mm, not {thick:.2f} mm apart"),
        (_other_kernel(found, rules) and not _other_kernel(best, rules), f"the model asks for a {rules.kernel} kernel"),
        (len(found.headers) < len(best.headers), "it has more slices"),
    )
    why = next((words for differs, words in differences if differs), "it is alike and is the first")
    return f"another series was chosen: {why}"


def _other_kernel(found: Stack, rules: Input) -> bool:
    return kernel_of(found.headers[0]) not in ("", rules.kernel)


def _length(found: Stack) -> float:
    return found.spacing[0] * len(found.headers)


def _with_gap(found: Stack) -> bool:
    return any("beyond a gap" in why for _, why in found.left_out)


def _axial(found: Stack) -> bool:
    """By the slices' own plane: a tilted gantry's are axial, too."""
    return abs(float(np.cross(found.direction[2], found.direction[1])[2])) > 0.8


def _uid(header: Dataset) -> str:
    return str(header.get("SOPInstanceUID", ""))


def _series(header: Dataset) -> str:
    return text(header, "SeriesInstanceUID")
