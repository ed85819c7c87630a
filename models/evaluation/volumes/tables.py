"""What `readfirst models evaluate` prints of volumes."""

from __future__ import annotations

from collections.abc import Iterator

from models.evaluation.grids import Grid
from models.evaluation.page import shown_figure
from models.evaluation.volumes.figures import FALSE_MARKS, VolumeEvaluation

FRACTIONS = {1 / 8: "1/8", 1 / 4: "1/4", 1 / 2: "1/2"}


def grids(evaluation: VolumeEvaluation) -> Iterator[Grid]:
    """All tables that have a row."""
    every = (ranked(evaluation), located(evaluation), regions(evaluation), froc(evaluation), paired(evaluation))
    yield from (grid for grid in every if grid.rows)


def ranked(evaluation: VolumeEvaluation) -> Grid:
    """Areas under the ROC curve, and decisions."""
    rows = [
        (
            one.method, _title(one.label), f"{one.positives} of {one.volumes}", shown_figure(one.auc, 3),
            shown_figure(one.sensitivity), shown_figure(one.specificity),
        )
        for one in evaluation.ranked
    ]  # fmt: skip
    rows += [
        (one.method, f"mean of {one.labels}", f"{one.volumes}", shown_figure(one.auc, 3), "", "")
        for one in evaluation.means
    ]
    return Grid(("method", "finding", "positives", "AUC", "sensitivity", "specificity"), tuple(rows))


def located(evaluation: VolumeEvaluation) -> Grid:
    """Where methods and baselines point."""
    rows = []
    for label in dict.fromkeys(one.label for one in evaluation.located):
        for one in evaluation.located:
            if one.label == label:
                points = (*one.slices, one.pointing, one.near)
                rows.append((_title(label), one.method, f"{one.volumes}", *map(shown_figure, points)))
        for blind in evaluation.blind:
            if blind.label == label:
                first, *rest = map(shown_figure, (blind.slices, blind.pointing, blind.near))
                rows.append((_title(label), blind.baseline, f"{blind.volumes}", first, "", "", *rest))
    columns = ("finding", "method", "volumes", "slice of peak", "of 3", "of 5", "peak inside", "within 10 mm")
    return Grid(columns, tuple(rows))


def regions(evaluation: VolumeEvaluation) -> Grid:
    """Regions and Dice."""
    rows = [
        (
            _title(one.label), one.method, f"{one.lesions} in {one.volumes}",
            "–" if one.present is None else f"{one.present}",
            *map(shown_figure, (one.found, one.false_regions, one.dice, one.best_dice)),
        )
        for one in evaluation.located
    ]  # fmt: skip
    rows += [
        (_title(one.label), one.baseline, f"{one.volumes} volumes", "", "", "", shown_figure(one.dice), "")
        for one in evaluation.blind
        if one.dice.value is not None
    ]
    columns = ("finding", "method", "lesions", "present", "found", "false regions a scan", "Dice", "best Dice")
    return Grid(columns, tuple(rows))


def froc(evaluation: VolumeEvaluation) -> Grid:
    """Sensitivity at so many false marks a scan."""
    rates = tuple(FRACTIONS.get(rate, f"{rate:g}") for rate in FALSE_MARKS)
    rows = ((_title(one.label), one.method, f"{one.scans}", *map(shown_figure, one.froc)) for one in evaluation.located)
    return Grid(("found at false marks a scan", "method", "scans", *rates), tuple(rows))


def paired(evaluation: VolumeEvaluation) -> Grid:
    """The first method beside the others and the baselines."""
    rows = (
        (_title(one.figure), one.data, shown_figure(one.own), one.baseline, shown_figure(one.other),
         shown_figure(one.difference))
        for one in evaluation.paired
    )  # fmt: skip
    return Grid(("figure", "on", evaluation.methods[0], "beside", "its figure", "difference"), tuple(rows))


def lines(evaluation: VolumeEvaluation) -> Iterator[str]:
    """What was left out, and how the figures were made."""
    parts = (
        ("labels.csv has no column and no mask or box is of, and so not measured", evaluation.skipped),
        ("Too few positives or negatives for an AUC", evaluation.few),
        ("Masks or boxes of no label", evaluation.unused),
    )
    yield from (f"{what}: {', '.join(map(_title, names))}." for what, names in parts if names)
    yield from (f"{what}: {note}." for what, note in evaluation.notes.items())


def _title(label: str) -> str:
    return label.replace("_", " ")
