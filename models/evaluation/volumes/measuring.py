"""The whole evaluation on volumes: each is read once, every method sees it, a few numbers of it are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.volumes.volume import Volume
from models.errors import DataError
from models.evaluation.figures import Paired
from models.evaluation.volumes import baselines, ranking, summary
from models.evaluation.volumes.baselines import Blind
from models.evaluation.volumes.cases import Cases
from models.evaluation.volumes.dice import DiceTable
from models.evaluation.volumes.figures import Located, Ranked, VolumeEvaluation
from models.evaluation.volumes.lesions import NEAR_MM, ON_MM, Lesions
from models.evaluation.volumes.lungs import LungMask
from models.evaluation.volumes.marks import APART_MM, MOST_MARKS
from models.evaluation.volumes.methods import VolumeMethod
from models.evaluation.volumes.paired import froc, points
from models.evaluation.volumes.records import LEAST_OVERLAP, MethodRecord
from models.evaluation.volumes.summary import Draws
from models.metrics.draws import DRAWS
from models.prediction import Model
from models.regions import MOST_REGIONS

Step = Callable[[], None]
ALL_LABELS = "all labels"


def evaluate_volumes(
    model: Model,
    folder: Path,
    split: str = "validation",
    *,
    others: Sequence[VolumeMethod] = (),
    lungs: LungMask | None = None,
    threshold_split: str = "",
    advance: Step = lambda: None,
) -> VolumeEvaluation:
    """Measure a package that sees volumes on one split of a folder; see `measure_methods`.

    Raises
    ------
    DataError
        The package sees images, or the folder is not what `models.data.volumes.folders` reads.
    """
    card = model.card
    if card.input.kind != "volume":
        raise DataError(f"{card.name} sees single images; {folder} holds volumes.")
    methods = [VolumeMethod.of(model), *others]
    found = measure_methods(methods, folder, split, lungs=lungs, threshold_split=threshold_split, advance=advance)
    return replace(found, package=card.name, version=card.version, digest=model.digest)


def measure_methods(
    methods: Sequence[VolumeMethod],
    folder: Path,
    split: str = "validation",
    *,
    lungs: LungMask | None = None,
    threshold_split: str = "",
    advance: Step = lambda: None,
) -> VolumeEvaluation:
    """Measure several ways to look at volumes on the same ones; the others are compared with the first.

    Parameters
    ----------
    methods
        At least one. What is measured are the labels of the first; another may have fewer, or others beside them.
    lungs
        Gives the lungs of a volume that has no mask NAME.lungs.nii.gz; None: baselines that need them are left out.
    threshold_split
        The split that the threshold of the best Dice is chosen on; "": each patient's on the others of the split.
    advance
        Called after each volume.

    Raises
    ------
    DataError
        The folder is not what `models.data.volumes.folders` reads, or nothing in it belongs to a label.
    """
    labels = methods[0].labels
    cases = _cases(folder, split, labels)
    tables = _tables(methods, folder, threshold_split, labels, advance) if threshold_split else {}
    records, blind = _records(methods, cases, lungs, advance)
    draws = Draws.of(cases.examples.patients)
    logits = [np.stack(record.logits) for record in records]
    ranked = [
        one for record, some in zip(records, logits, strict=True) for one in _ranked(record.method, some, cases, draws)
    ]
    means = [
        ranking.mean_auc(record.method, some, cases.examples, draws)
        for record, some in zip(records, logits, strict=True)
    ]
    measured = ranking.measured(cases.examples, labels)
    return VolumeEvaluation(
        methods=tuple(method.name for method in methods),
        split=split,
        data=folder.resolve().name,
        volumes=len(cases),
        patients=len(set(cases.examples.patients.tolist())),
        ranked=tuple(ranked),
        means=tuple(one for one in means if one),
        located=tuple(_located(records, logits, cases, tables, draws)),
        blind=tuple(one for label, spots in blind.spots.items() for one in summary.blind(label, spots, draws)),
        paired=tuple(_paired(records, logits, blind, cases, draws)),
        skipped=tuple(one for one in labels if one not in (*cases.examples.labels, *cases.located())),
        few=tuple(one for one in cases.examples.labels if one not in measured),
        unused=cases.foreign(),
        notes=_notes(records, threshold_split, cases),
    )


def volumes_of(folder: Path, split: str, threshold_split: str = "") -> int:
    """How often `advance` is called."""
    return sum(len(Cases.read(folder, one, ())) for one in (split, threshold_split) if one)


def _cases(folder: Path, split: str, labels: tuple[str, ...]) -> Cases:
    cases = Cases.read(folder, split, labels)
    if not cases.examples.labels and not cases.located():
        raise DataError(
            f'{folder}: the split "{split}" has no column, mask or box for any label of {", ".join(labels)}; masks are'
            " called SERIES.LABEL.nii.gz."
        )
    return cases


def _records(
    methods: Sequence[VolumeMethod], cases: Cases, lungs: LungMask | None, advance: Step
) -> tuple[list[MethodRecord], Blind]:
    records, blind, labels = [MethodRecord(method) for method in methods], Blind(), cases.located()
    for row in range(len(cases)):
        volume = cases.volume(row)
        lesions = _lesions(cases, row, labels, volume)
        for record in records:
            record.add(row, volume, lesions)
        if any(found is not None for found in lesions.values()):
            blind.add(row, volume, _lungs(cases, row, volume, lungs), lesions)
        advance()
    return records, blind


def _lesions(cases: Cases, row: int, labels: tuple[str, ...], volume: Volume) -> dict[str, Lesions | None]:
    """Of the labels with lesions on this volume, and None of those that are known to be absent."""
    found: dict[str, Lesions | None] = {}
    for label in labels:
        outlined = cases.outlined(row, label, volume)
        if outlined is not None:
            found[label] = Lesions.of(outlined, volume.spacing)
        elif cases.truth(row, label) is False:
            found[label] = None
    return found


def _lungs(cases: Cases, row: int, volume: Volume, lungs: LungMask | None) -> NDArray[np.bool_] | None:
    drawn = cases.lungs(row, volume)
    return drawn if drawn is not None or lungs is None else lungs(volume)


def _tables(
    methods: Sequence[VolumeMethod], folder: Path, split: str, labels: tuple[str, ...], advance: Step
) -> dict[tuple[str, str], list[DiceTable]]:
    """By method and label: Dice at many thresholds on another split."""
    records, _ = _records(methods, _cases(folder, split, labels), None, advance)
    return {
        (record.method.name, label): [spot.table for spot in spots if spot.table is not None]
        for record in records
        for label, spots in record.spots.items()
    }


def _ranked(method: VolumeMethod, logits: NDArray[np.float64], cases: Cases, draws: Draws) -> Iterator[Ranked]:
    shared = [label for label in cases.labels if label in method.labels]
    found = ranking.ranked(method, logits, cases.examples, draws)
    yield from (one for one in found if one.label in shared)


def _located(
    records: Sequence[MethodRecord],
    logits: Sequence[NDArray[np.float64]],
    cases: Cases,
    tables: dict[tuple[str, str], list[DiceTable]],
    draws: Draws,
) -> Iterator[Located]:
    for record, some in zip(records, logits, strict=True):
        every = record.method.present(some)
        parts = []
        for label in (one for one in cases.located() if record.spots.get(one)):
            spots, index = record.spots[label], record.method.labels.index(label)
            present = None if every is None else every[[spot.row for spot in spots], index]
            elsewhere = tables.get((record.method.name, label), [])
            parts.append((label, spots, present, summary.chosen_dice(spots, draws.patients, elsewhere)))
        pooled = [(ALL_LABELS, *summary.pooled([part[1:] for part in parts]))] if len(parts) > 1 else []
        for part in (*parts, *pooled):
            found = summary.located(record.method.name, *part, draws)
            if found is not None:
                yield found


def _paired(
    records: Sequence[MethodRecord],
    logits: Sequence[NDArray[np.float64]],
    blind: Blind,
    cases: Cases,
    draws: Draws,
) -> Iterator[Paired]:
    own, mine = records[0], logits[0]
    for record, theirs in zip(records[1:], logits[1:], strict=True):
        ranks = ranking.compared((own.method, mine), (record.method, theirs), cases.examples, draws)
        yield from (ranks,) if ranks else ()
    for label in cases.located():
        for name, spots in blind.spots[label].items():
            yield from points(label, own.spots[label], name, spots, draws)
        for record in records[1:]:
            if record.spots.get(label):
                yield from points(label, own.spots[label], record.method.name, record.spots[label], draws)
                yield from froc(label, own.spots[label], record.method.name, record.spots[label], draws)


def _notes(records: Sequence[MethodRecord], threshold_split: str, cases: Cases) -> dict[str, str]:
    where = f'the split "{threshold_split}"' if threshold_split else "the other patients of this split, one by one"
    known = bool(cases.examples.labels)
    notes = {
        "ranking": f"AUC over the volumes, of labels with {ranking.FEWEST} positives and negatives or more"
        if known
        else "none: labels.csv has no column of 0 and 1 for a label, so no volume is known to be without a finding",
        "slices": "whether a lesion's mask meets the slice of the map's peak, or of one of its 3 or 5 best maxima",
        "pointing": f"whether the peak lies in the mask; near: within {NEAR_MM:g} mm of it. A map that is flat points"
        " nowhere, and misses; of a plateau the voxel nearest to its middle counts",
        "lesions": f"parts of a mask, or boxes where there is no mask, more than {2 * ON_MM:g} mm apart",
        "regions": "of the map interpolated at the volume's voxels at the card's threshold, as the node makes them, the"
        f" best {MOST_REGIONS} of a volume; one is on a lesion where its peak lies within {ON_MM:g} mm or the IoU is"
        f" {LEAST_OVERLAP:g} or more. Lesions found and false regions count where the label is present, Dice"
        " everywhere",
        "best Dice": f"of the map at the threshold with the largest mean Dice on {where}",
        "froc": f"marks are the {MOST_MARKS} best maxima of the map, {APART_MM:g} mm apart; one within {ON_MM:g} mm of"
        " a lesion is on it; over volumes with lesions and those known to be without; linear between thresholds, flat"
        " past the loosest"
        + ("" if known else ". No volume is known to be without lesions, and others than the outlined one may be real"),
        ALL_LABELS: "the volumes of every label together, so that one with two findings counts twice",
        "intervals": f"95 %, percentile bootstrap of {DRAWS:,} draws of whole patients; where all hit or none does,"
        " Wilson's over the patients",
        "paired": "differences are of the same volumes and the same draws of patients",
    } | {name: baselines.NOTES[name] for name in baselines.NOTES}
    notes |= {
        f"not analysed by {record.method.name}": f"{record.left_out} of {len(cases)} volumes; they count as absent"
        for record in records
        if record.left_out
    } | {f"{record.method.name}": record.method.note for record in records if record.method.note}
    return notes
