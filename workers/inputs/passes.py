"""The passes of one CT series: acquisitions, phases or reconstructions that devices file as if they were one volume.

Slices of two passes lie at the same places, a little beside each other, or half way between, where together they would
look like a volume of thinner slices. A series is split only where the slices that an attribute tells apart cover the
same part of the patient: numbers that change from rotation to rotation, or from chest to abdomen, split nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset

from workers.dicom.attributes import number, text
from workers.inputs.stack import SAME_PLACE, Slice, placed

SHARED = 0.5  # of the shorter one's extent: what two passes have in common; parts of one overlap less
MOST_RUNS = 16  # of Instance Numbers; more are no order that a device counts in
# What tells passes apart, as sure as it is: what was reconstructed, when in the cycle, which exposure, at what time.
ATTRIBUTES = (
    "ImageType", "ConvolutionKernel", "EchoNumbers", "TemporalPositionIdentifier", "TemporalPositionIndex",
    "NominalPercentageOfCardiacPhase", "AcquisitionNumber", "AcquisitionDateTime", "AcquisitionTime", "ContentTime",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pass:
    """Slices that may be one volume, and what they have in common, in words; empty where nothing was split."""

    headers: tuple[Dataset, ...]
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Slices with their places in mm along the normal, and where they begin and end."""

    slices: tuple[tuple[Dataset, float], ...]

    @property
    def begin(self) -> float:
        return min(place for _, place in self.slices)

    @property
    def end(self) -> float:
        return max(place for _, place in self.slices)

    def overlaps(self, other: _Part) -> bool:
        common = min(self.end, other.end) - max(self.begin, other.begin)
        shorter = min(self.end - self.begin, other.end - other.begin)
        return common > -SAME_PLACE and common >= SHARED * shorter


def passes(headers: Sequence[Dataset]) -> tuple[Pass, ...]:
    """The series' passes, the first by the attribute's value first; the whole series where there is but one.

    What has no place takes part in none, and is named by the first.
    """
    lying = {id(header): found for header in headers if (found := placed(header)) is not None}
    if not lying:
        return (Pass(tuple(headers)),)
    normal = _usual_normal(list(lying.values()))
    parts = [("", _Part(tuple((one.header, float(one.position @ normal)) for one in lying.values())))]
    for keyword in ATTRIBUTES:
        parts = [each for name, part in parts for each in _split(name, part, keyword)]
    parts = [each for name, part in parts for each in _split_by_runs(name, part)]
    first, *others = (Pass(tuple(header for header, _ in part.slices), name) for name, part in parts)
    rest = tuple(header for header in headers if id(header) not in lying)
    return (Pass(first.headers + rest, first.name), *others)


def _usual_normal(slices: Sequence[Slice]) -> np.ndarray:
    normals = [one.normal for one in slices]
    rounded = [tuple(np.round(normal, 2)) for normal in normals]
    return normals[rounded.index(max(set(rounded), key=rounded.count))]


def _split(name: str, part: _Part, keyword: str) -> Iterator[tuple[str, _Part]]:
    groups = defaultdict(list)
    for header, place in part.slices:
        groups[text(header, keyword)].append((header, place))
    order = sorted(groups, key=lambda value: (number(groups[value][0][0], keyword, np.inf), value))
    called = [(value, _Part(tuple(groups[value]))) for value in order]
    yield from _apart(name, part, called, lambda values: f"{dictionary_description(keyword)} {_listed(values)}")


def _split_by_runs(name: str, part: _Part) -> Iterator[tuple[str, _Part]]:
    """By Instance Number, where no other attribute differs: each pass is counted anew, or on from the one before."""
    numbers = [number(header, "InstanceNumber", np.inf) for header, _ in part.slices]
    groups = _runs(part) if len(set(numbers)) == len(numbers) else _ranks(part)
    if len(groups) > MOST_RUNS:
        yield name, part
        return
    called = [(f"{number(group[0][0], 'InstanceNumber', 0):.0f} at {group[0][1]:.1f} mm", group) for group in groups]
    parts = [(value, _Part(tuple(group))) for value, group in called]
    yield from _apart(name, part, parts, lambda values: f"Instance Number from {values[0]} on")


def _runs(part: _Part) -> list[list[tuple[Dataset, float]]]:
    """Slices in the order of their numbers, a new list where that turns back."""
    counted = sorted(part.slices, key=lambda one: number(one[0], "InstanceNumber", np.inf))
    runs = [[counted[0]]]
    for before, one in pairwise(counted):
        backwards = len(runs[-1]) > 1 and (one[1] - before[1]) * (runs[-1][1][1] - runs[-1][0][1]) < 0
        if backwards or abs(one[1] - before[1]) < SAME_PLACE:
            runs.append([one])
        else:
            runs[-1].append(one)
    return runs


def _ranks(part: _Part) -> list[list[tuple[Dataset, float]]]:
    """The lowest slice of each number, the second lowest, and so on; those at one place stay together."""
    ranks: list[list[tuple[Dataset, float]]] = []
    positions: dict[float, list[float]] = defaultdict(list)
    for header, place in sorted(part.slices, key=lambda one: one[1]):
        known = positions[number(header, "InstanceNumber", np.inf)]
        if not known or place - known[-1] >= SAME_PLACE:
            known.append(place)
        if len(known) > len(ranks):
            ranks.append([])
        ranks[len(known) - 1].append((header, place))
    return ranks


def _apart(
    name: str, part: _Part, groups: Sequence[tuple[str, _Part]], called: Callable[[list[str]], str]
) -> Iterator[tuple[str, _Part]]:
    """The groups put together as far as they do not overlap; the part as it is where none does."""
    if not _any_overlap([group for _, group in groups]):
        yield name, part
        return
    found: list[list[tuple[str, _Part]]] = []
    for value, group in groups:
        home = next((one for one in found if not any(group.overlaps(other) for _, other in one)), None)
        if home is None:
            found.append([(value, group)])
        else:
            home.append((value, group))
    for one in found:
        words = called([value for value, _ in one])
        slices = tuple(each for _, group in one for each in group.slices)
        yield f"{name}, {words}" if name else words, _Part(slices)


def _any_overlap(groups: Sequence[_Part]) -> bool:
    """Whether any two do: the next of those sorted by their beginning is enough for single slices."""
    if len(groups) < 2:
        return False
    in_order = sorted(groups, key=lambda one: (one.begin, one.end))
    if len(groups) > MOST_RUNS:
        return any(one.overlaps(other) for one, other in pairwise(in_order))
    return any(one.overlaps(other) for index, one in enumerate(in_order) for other in in_order[index + 1 :])


def _listed(values: list[str]) -> str:
    """A few of the values, which are code strings and numbers and name no patient."""
    shown = [value or "(none)" for value in values[:3]]
    return ", ".join(shown) + (f" and {len(values) - 3} more" if len(values) > 3 else "")
