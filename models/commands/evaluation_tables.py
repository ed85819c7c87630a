"""What `readfirst models evaluate` prints: tables for a terminal, and the same in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from models.evaluation.grids import Grid
from models.evaluation.page import shown_figure, shown_value

if TYPE_CHECKING:
    from models.evaluation.figures import Compared, Evaluation, Located


def grids(evaluation: Evaluation) -> Iterator[Grid]:
    """All tables that have a row."""
    every = (measured(evaluation), calibration(evaluation), triage(evaluation), paired(evaluation), boxes(evaluation))
    yield from (grid for grid in (*every, compared(evaluation.compared)) if grid.rows)


def measured(evaluation: Evaluation) -> Grid:
    """Areas under the ROC curve."""
    rows = tuple(
        (
            _title(one.label), one.data, f"{one.positives} of {one.images}", f"{one.auc:.3f}",
            f"{one.interval[0]:.3f} to {one.interval[1]:.3f}", "–" if one.baseline is None else f"{one.baseline:.3f}",
        )
        for one in evaluation.measured
    )  # fmt: skip
    return Grid(("finding", "on", "positives", "AUC", "95 % interval", "metadata only"), rows)


def calibration(evaluation: Evaluation) -> Grid:
    """Calibration errors."""
    rows = ((_title(one.label), one.data, shown_figure(one.calibration_error, 3)) for one in evaluation.calls)
    return Grid(("finding", "on", "calibration error"), tuple(rows))


def triage(evaluation: Evaluation) -> Grid:
    """Operating points for triage, and the normal images that would be alerts."""
    rows = [
        (
            _title(label), one.data, f"{one.threshold:.4f}",
            shown_value(one.sensitivity, one.sensitivity_interval),
            shown_value(one.specificity, one.specificity_interval), shown_value(one.auc, one.auc_interval),
            "raises the priority" if one.raises_priority else "shown only",
        )
        for label, one in evaluation.triage.items()
    ]  # fmt: skip
    normal = evaluation.normal_alerts
    if normal is not None:
        which = ", ".join(map(_title, normal.labels)) or "no label"
        row = f"{normal.images} normal images", "–", "–", shown_figure(normal.high), "–", f"may raise: {which}"
        rows.append(("HIGH on", *row))
    return Grid(("finding", "on", "threshold", "sensitivity", "specificity", "AUC", "triage"), tuple(rows))


def paired(evaluation: Evaluation) -> Grid:
    """The package beside each baseline."""
    rows = (
        (one.figure, one.data, shown_figure(one.own), one.baseline, shown_figure(one.other),
         shown_figure(one.difference))
        for one in evaluation.paired
    )  # fmt: skip
    return Grid(("figure", "on", "package", "baseline", "its figure", "difference"), tuple(rows))


def boxes(evaluation: Evaluation) -> Grid:
    """The pointing game of each kind of box, in counts."""
    rows = (
        (one.boxes, _title(one.label), f"{one.images}", f"{one.hits}", f"{one.centre_hits}", f"{one.chance:.3f}")
        for one in evaluation.pointing
    )
    return Grid(("boxes", "map of", "images", "peak inside", "image centre inside", "chance"), tuple(rows))


def compared(lines: Sequence[Compared]) -> Grid:
    """Fixed rules and other contrast."""
    sources = [mean.data for mean in lines[0].means] if lines else []
    columns = ("method", *(f"mean AUC {name}" for name in sources), "boxes of", "peak inside", "IoU 0.1")
    rows = []
    for line in lines:
        means = [shown_figure(mean.auc) for mean in line.means] or ["–"] * len(sources)
        found: list[Located | None] = list(line.located) or [None]
        for one in found:
            where = ("–",) * 3 if one is None else (one.label, *map(shown_figure, (one.pointing, one.overlap_10)))
            rows.append((line.method, *means, *where))
    return Grid(columns, tuple(rows))


def _title(label: str) -> str:
    return label.replace("_", " ")
