"""Which instances of a study a model may see. It may be none; every instance that is left out has its reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydicom.dataset import Dataset

from workers.dicom.attributes import number, text
from workers.inputs.eligibility import refusal
from workers.inputs.passes import Pass, passes
from workers.inputs.stack import Stack, VolumeError, stack
from workers.inputs.views import view_unknown

if TYPE_CHECKING:
    from models.card import Input

COVERAGE = 0.8  # of the longest stack: a series that covers less is a detail, however thin its slices are
Reasons = dict[str, str]  # SOP Instance UID to the reason why it was left out


@dataclass(frozen=True, slots=True)
class Target:
    """What a model analyses at once: one image, or the slices of one volume in the order of their positions."""

    kind: Literal["image", "volume"]
    sop_instance_uids: tuple[str, ...]
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The targets of one model in one study, and (SOP Instance UID, reason) of each instance that is in none."""

    targets: tuple[Target, ...]
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()  # what was decided that the reader of the results must know


def choose(headers: Sequence[Dataset], rules: Input) -> Choice:
    """The images, or the one best volume, that a model of these rules may see in a study."""
    reasons: Reasons = {}
    accepted = []
    for header in headers:
        reason = refusal(header, rules)
        if reason:
            reasons[_uid(header)] = reason
        else:
            accepted.append(header)
    notes: list[str] = []
    targets = _images(accepted, rules, reasons) if rules.kind == "image" else _volume(accepted, rules, reasons, notes)
    in_order = dict.fromkeys(_uid(header) for header in headers)
    return Choice(tuple(targets), tuple((uid, reasons[uid]) for uid in in_order if uid in reasons), tuple(notes))


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
    ranked = sorted(stacks, key=lambda found: _rank(found[0], longest))
    for other, name in ranked[1:]:
        why = _why_not(other, ranked[0][0], longest)
        if name and _series(other.headers[0]) == _series(ranked[0][0].headers[0]):
            why = why.replace("another series was chosen", f"another pass of the series was chosen, not {name}")
        reasons.update((_uid(header), why) for header in other.headers)
    if ranked and ranked[0][1]:
        notes.append(_which(ranked, reasons))
    return [Target("volume", tuple(map(_uid, best.headers)), _series(best.headers[0])) for best, _ in ranked[:1]]


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


def _rank(found: Stack, longest: float) -> tuple[bool, bool, float, int, float, str]:
    first = found.headers[0]
    short = _length(found) < COVERAGE * longest
    number_of_series = number(first, "SeriesNumber", float("inf"))
    return not _axial(found), short, round(found.spacing[0], 1), -len(found.headers), number_of_series, _series(first)


def _why_not(found: Stack, best: Stack, longest: float) -> str:
    if _axial(best) and not _axial(found):
        return "another series was chosen: it is axial"
    if _length(found) < COVERAGE * longest <= _length(best):
        return "another series was chosen: it covers more of the patient"
    if round(found.spacing[0], 1) > round(best.spacing[0], 1):
        return (
            f"another series was chosen: its slices are {best.spacing[0]:.2f} mm, not {found.spacing[0]:.2f} mm apart"
        )
    if len(found.headers) < len(best.headers):
        return "another series was chosen: it has more slices"
    return "another series was chosen: it is alike and is the first"


def _length(found: Stack) -> float:
    return found.spacing[0] * len(found.headers)


def _axial(found: Stack) -> bool:
    return abs(float(found.direction[0][2])) > 0.9


def _uid(header: Dataset) -> str:
    return str(header.get("SOPInstanceUID", ""))


def _series(header: Dataset) -> str:
    return text(header, "SeriesInstanceUID")
