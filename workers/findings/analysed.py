"""What one package found in one study, source by source: what all its results are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from workers.dicom.references import Predecessor
from workers.dicom.uids import Context
from workers.findings.findings import Finding, Region
from workers.findings.source import Source

LeftOut = tuple[tuple[str, str], ...]  # (SOP Instance UID, reason)
Write = Callable[["AnalysedStudy"], Iterable[Dataset]]


@dataclass(frozen=True, slots=True, eq=False)
class AnalysedSource:
    """One source with what was found in it.

    Attributes
    ----------
    findings
        In the order of the card's labels.
    context
        Dated with the last of the source's own instances.
    saliency
        A volume's raw maps in the order of the findings; empty where no result is made of them.
    remarks
        See `models.prediction.Prediction`.
    """

    source: Source
    findings: tuple[Finding, ...]
    context: Context
    saliency: Sequence[NDArray[np.float32]] = ()
    remarks: tuple[str, ...] = ()

    @property
    def regions(self) -> list[tuple[Finding, Region]]:
        """Every region with its finding."""
        return [(finding, region) for finding in self.findings for region in finding.regions]

    @property
    def boxes(self) -> bool:
        """Whether its regions are a detector's boxes."""
        return any(region.rectangle is not None for _, region in self.regions)

    @property
    def touched(self) -> list[int]:
        """Frames that a region touches, in their order."""
        masks = [region.boxed for _, region in self.regions]
        return sorted({frame for mask in masks for frame in mask.touched if mask.reaches(frame)})

    @property
    def shown(self) -> list[int]:
        """Frames where a region is largest, in the order of the regions; without regions the middle frame."""
        return list(dict.fromkeys(region.frame for _, region in self.regions)) or [len(self.source.headers) // 2]


@dataclass(frozen=True, eq=False)
class AnalysedStudy:
    """All sources that one package analysed in one study.

    Attributes
    ----------
    sources
        At least one.
    context
        Of all of them together.
    left_out
        Instances of the study that were not analysed.
    predecessors
        (package, kind, document) of older generations.
    """

    sources: tuple[AnalysedSource, ...]
    context: Context
    left_out: LeftOut = ()
    predecessors: tuple[tuple[str, str, Predecessor], ...] = ()
    _made: dict[Write, tuple[Dataset, ...]] = field(default_factory=dict, repr=False)

    @property
    def headers(self) -> list[Dataset]:
        """Of all instances that were analysed."""
        return [header for each in self.sources for header in each.source.headers]

    @property
    def sop_instance_uids(self) -> list[str]:
        """Of `headers`."""
        return [uid for each in self.sources for uid in each.source.sop_instance_uids]

    @property
    def unseen(self) -> LeftOut:
        """All that was not analysed: of the study, and the slices that are not part of a volume."""
        slices = dict(pair for each in self.sources for pair in each.source.left_out)
        return tuple((dict(self.left_out) | slices).items())

    @property
    def reported_uids(self) -> list[str]:
        """Analysed or not: with another instance left out, a report of it all is another document."""
        return [*self.sop_instance_uids, *(uid for uid, _ in self.unseen)]

    @cached_property
    def merged(self) -> list[tuple[Finding, list[tuple[Region, Source]]]]:
        """Each label's most probable finding with its regions in all sources; the present first, then by probability.

        Regions are those of every source in which the label is present. It is diffuse where it
        is in any of them.
        """
        merged = []
        for same_label in zip(*(each.findings for each in self.sources), strict=True):
            pairs = zip(same_label, self.sources, strict=True)
            regions = [(region, each.source) for finding, each in pairs for region in finding.regions]
            best = max(same_label, key=lambda finding: finding.probability)
            diffuse = next((one.diffuse for one in (best, *same_label) if one.diffuse), "")
            merged.append((replace(best, diffuse=diffuse), regions))
        return sorted(merged, key=lambda pair: (not pair[0].present, -pair[0].probability))

    def predecessors_of(self, kind: str) -> Sequence[Predecessor]:
        """Documents of this kind and package that a new one replaces."""
        wanted = (self.context.card.name, kind)
        return [document for package, what, document in self.predecessors if (package, what) == wanted]

    def once(self, write: Write) -> tuple[Dataset, ...]:
        """What `write` makes of this study, made the first time only: some results are made of others."""
        if write not in self._made:
            self._made[write] = tuple(write(self))
        return self._made[write]
