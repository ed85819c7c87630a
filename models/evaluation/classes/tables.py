"""Tables of the figures of exclusive classes: (columns, rows) of text."""

from __future__ import annotations

from collections.abc import Iterator

from models.evaluation.classes.figures import ClassEvaluation
from models.evaluation.classes.levels import Level
from models.evaluation.page import shown_figure

Cells = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]


def tables(evaluation: ClassEvaluation) -> Iterator[Cells]:
    """All tables: figures of each level, confusion matrices, and what shortcuts reach."""
    classes = tuple(name.replace("_", " ") for name in evaluation.classes)
    yield figures(evaluation, classes)
    for one in evaluation.levels:
        yield confusion(one, classes)
    if evaluation.shortcuts:
        yield shortcuts(evaluation)


def figures(evaluation: ClassEvaluation, classes: tuple[str, ...]) -> Cells:
    """Balanced accuracy, recall and one-vs-rest area of each class."""
    rows: list[tuple[str, ...]] = []
    for one in evaluation.levels:
        on = f"{evaluation.split}, {sum(one.counts)} {one.unit}"
        rows.append((on, "balanced accuracy", shown_figure(one.balanced_accuracy), f"{1 / len(classes):.2f}"))
        if one.kappa:
            rows.append((on, "quadratic weighted kappa", shown_figure(one.kappa), "0.00"))
        rows.append((on, "accuracy", shown_figure(one.accuracy), shown_figure(one.majority)))
        rows.append((on, "macro one-vs-rest AUC", shown_figure(one.macro), "0.50"))
        for name, area, recall, count in zip(classes, one.one_vs_rest, one.recalls, one.counts, strict=True):
            rows.append((on, f"AUC of {name} ({count})", shown_figure(area), "0.50"))
            rows.append((on, f"recall of {name} ({count})", shown_figure(recall), "–"))
    return ("on", "figure", "package (95 % interval, by group)", "most frequent class"), tuple(rows)


def confusion(found: Level, classes: tuple[str, ...]) -> Cells:
    """Rows are what is true, columns what was predicted."""
    rows = tuple((name, *map(str, row)) for name, row in zip(classes, found.confusion, strict=True))
    return (f"{found.unit}: true \\ predicted", *classes), rows


def shortcuts(evaluation: ClassEvaluation) -> Cells:
    """What classifiers reach that see something else, beside the package."""
    lines = [("the package", evaluation.levels), *((one.name, one.levels) for one in evaluation.shortcuts)]
    units = [one.unit for one in evaluation.levels]
    columns = [column for unit in units for column in (f"balanced accuracy, {unit}", f"macro AUC, {unit}")]
    rows = []
    for name, levels in lines:
        cells = [shown_figure(cell) for one in levels for cell in (one.balanced_accuracy, one.macro)]
        rows.append((name, *cells))
    return ("sees", *columns), tuple(rows)
