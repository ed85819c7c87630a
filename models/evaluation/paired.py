"""The package beside each baseline, on the same images and in the same draws of patients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.datasets import Examples, read_examples, splits
from models.data.letterbox import Letterbox
from models.evaluation import discrimination
from models.evaluation.figures import FALSE_REGIONS, Paired
from models.evaluation.locating import LEAST_OVERLAP, Split, overlaps, rectangles
from models.evaluation.records import Location, MethodRecord
from models.metrics.boxes import hits, peak
from models.metrics.draws import Figure, figure
from models.metrics.froc import Marks, froc_sensitivity

METADATA, TEACHER = "metadata only", "teacher"
CENTRE_POINT, CENTRE_BOX, MEAN_MAP = "the image's centre", "a box in the centre", "the peak of the mean of all maps"
NOTHING = Figure(None)


def ranking(
    data: str, examples: Examples, scores: NDArray[np.float64], others: Mapping[str, NDArray[np.float64] | None]
) -> Iterator[Paired]:
    """Mean AUC within each source beside other scores (N, L); those that are None are left out."""
    for name, other in others.items():
        for one in discrimination.means(data, examples, scores, other) if other is not None else ():
            assert one.baseline and one.above_baseline
            where = f"{one.data}, {one.labels} labels"
            yield Paired("mean AUC", where, name, one.auc, one.baseline, one.above_baseline)


def teacher(folder: Path, split: str, examples: Examples, scores: NDArray[np.float64]) -> Iterator[Paired]:
    """The teacher of teacher.csv: beside the package on its images of the split, by itself where they are of `train`.

    The package was fitted on images of the split `train`; its own figures there would be none.
    """
    if (rows := _taught(examples)).size:
        yield from ranking(split, examples.rows(rows), scores[rows], {TEACHER: examples.teacher[rows]})
        return
    if not (folder / "teacher.csv").is_file() or "train" not in splits(folder):
        return
    train = read_examples(folder, "train", examples.labels)
    if (rows := _taught(train)).size:
        for one in discrimination.means("train", train.rows(rows), train.teacher[rows], None):
            yield Paired("mean AUC", f"{one.data}, {one.labels} labels", TEACHER, NOTHING, one.auc, NOTHING)


def _taught(examples: Examples) -> NDArray[np.int64]:
    return np.flatnonzero(~np.isnan(examples.teacher).any(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The package's locations of one label on the images of a split, and what others are compared with them."""

    label: str
    own: Sequence[Location]
    split: Split

    @property
    def boxed(self) -> list[Location]:
        """Those on images with a box."""
        return [location for location in self.own if location.boxes]

    def points(self, baseline: str, found: Mapping[int, float]) -> Paired:
        """The peak in a box, beside hits (0..1) by row, on the images that the baseline has."""
        some = [location for location in self.boxed if location.row in found]
        rows = [location.row for location in some]
        own = np.array([hits(location.peak, rectangles(location.boxes)) for location in some], np.float64)
        other = np.array([found[row] for row in rows])
        return self._paired(f"peak in a box of {self.label}", f"{len(rows)} images", baseline, own, other, rows)

    def regions(self, baseline: str, locations: Sequence[Location]) -> Iterator[Paired]:
        """IoU with boxes and FROC, beside another method's regions of the same images."""
        mine, theirs = (
            [(value, location.row) for location in some if location.boxes for value in overlaps(location)]
            for some in (self.own, locations)
        )
        rows = [row for _, row in mine]
        for least in (0.1, 0.5):
            own, other = (np.array([value >= least for value, _ in some], np.float64) for some in (mine, theirs))
            name = f"boxes of {self.label} at IoU {least:g}"
            yield self._paired(name, f"{len(rows)} boxes", baseline, own, other, rows)
        yield from self._froc(baseline, locations)

    def _froc(self, baseline: str, locations: Sequence[Location]) -> Iterator[Paired]:
        drawn = []
        for some in (self.own, locations):
            seen = [one for one in some if one.boxes or self.split.negative(one, self.label)]
            marks = Marks.of([(one.regions, rectangles(one.boxes)) for one in seen], LEAST_OVERLAP)
            weights = self.split.weights[:, [one.row for one in seen]]
            once = np.concatenate([np.ones((1, len(seen))), weights])
            drawn.append(froc_sensitivity(marks, FALSE_REGIONS, once))
        for at, rate in enumerate(FALSE_REGIONS):
            own, other = drawn[0][:, at], drawn[1][:, at]
            three = [figure(float(one[0]), one[1:]) for one in (own, other, own - other)]
            name = f"boxes of {self.label} found at {rate:g} false regions an image"
            yield Paired(name, f"{len(seen)} images", baseline, *three)

    def _paired(
        self, name: str, data: str, baseline: str, own: NDArray[np.float64], other: NDArray[np.float64], rows: list[int]
    ) -> Paired:
        mean = self.split.mean
        return Paired(name, data, baseline, mean(own, rows), mean(other, rows), mean(own - other, rows))


def localization(
    own: MethodRecord,
    others: Sequence[MethodRecord],
    centre: Mapping[str, Sequence[Location]],
    found: Mapping[str, Mapping[str, Mapping[int, float]]],
    labels: Sequence[str],
    size: tuple[int, int],
    split: Split,
) -> Iterator[Paired]:
    """All figures of where the package points, for labels with enough boxes.

    Parameters
    ----------
    others
        Other packages.
    centre
        Locations of the centre box by label.
    found
        Hits of blind points by label, baseline and row.
    size
        (rows, columns) of the package's input.
    """
    for label in labels:
        pairs = Pairs(label, own.locations[label], split)
        fixed = peak(own.sums[label], size)
        yield pairs.points(CENTRE_POINT, _peaks(centre[label]))
        yield pairs.points(MEAN_MAP, {one.row: _hit(_in_file(fixed, one, size), one) for one in pairs.boxed})
        for baseline, some in found.get(label, {}).items():
            yield pairs.points(baseline, some)
        for record in others:
            yield pairs.points(record.method.name, _peaks(record.locations[label]))
        yield from pairs.regions(CENTRE_BOX, centre[label])
        for record in others:
            yield from pairs.regions(record.method.name, record.locations[label])


def _peaks(locations: Sequence[Location]) -> dict[int, float]:
    return {one.row: _hit(one.peak, one) for one in locations if one.boxes}


def _hit(point: tuple[float, float], location: Location) -> float:
    return float(hits(point, rectangles(location.boxes)))


def _in_file(point: tuple[float, float], location: Location, size: tuple[int, int]) -> tuple[float, float]:
    return Letterbox.fit(location.size, size).in_file(point)
