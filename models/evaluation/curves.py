"""Curves as PNG: ROC, reliability, FROC."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from models.card import Dot, Label
from models.evaluation.figures import FALSE_REGIONS, Calls, Evaluation, Located

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4
# Okabe and Ito, 2008: distinct for colour-blind readers, too.
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#767676"
RELIABILITY = "mean probability", "part that is positive"
Item = TypeVar("Item")
Diagram = tuple[str, Sequence[Dot]]
"""Title and dots."""


def curves(evaluation: Evaluation) -> dict[str, bytes]:
    """PNG files by name; those that there is something to draw for."""
    drawn = {}
    if evaluation.calls:
        drawn["roc.png"] = _grid(evaluation.calls, _roc, "false positive rate", "sensitivity")
        diagrams = [_diagram(calls) for calls in evaluation.calls]
        drawn["reliability.png"] = _grid(diagrams, _reliability, *RELIABILITY)
    labels = list(dict.fromkeys(one.label for one in evaluation.located))
    pairs = [[one for one in evaluation.located if one.label == label] for label in labels]
    if pairs:
        drawn["froc.png"] = _grid(pairs, _froc, "false regions an image", "sensitivity over boxes")
    return drawn


def reliability_diagram(labels: Sequence[Label]) -> bytes:
    """PNG of the reliability that a card's labels hold."""
    counts = (sum(dot.images for dot in label.reliability) for label in labels)
    diagrams = [(f"{label.title}\n{n} images", label.reliability) for label, n in zip(labels, counts, strict=True)]
    return _grid(diagrams, _reliability, *RELIABILITY)


def _diagram(calls: Calls) -> Diagram:
    title = f"{calls.label.replace('_', ' ')}, {calls.data}\ncalibration error {calls.calibration_error.value:.3f}"
    return title, tuple(Dot(one.probability, one.frequency, one.images) for one in calls.reliability)


def _grid(items: Sequence[Item], draw: Callable[[Axes, Item], None], across: str, up: str) -> bytes:
    """One square panel an item, side by side in rows of four."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (a second to import)
    from matplotlib.figure import Figure  # noqa: PLC0415

    columns = min(COLUMNS, len(items))
    rows = math.ceil(len(items) / columns)
    figure = Figure(figsize=(2.9 * columns, 3.0 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(panels.flat):
        if number >= len(items):
            axes.set_axis_off()
            continue
        draw(axes, items[number])
        axes.set_xlabel(across, fontsize=8)
        axes.set_ylabel(up, fontsize=8)
        axes.set_ylim(-0.02, 1.02)
        axes.tick_params(labelsize=7)
        axes.grid(color="#dddddd", linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _roc(axes: Axes, calls: Calls) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    axes.step(*zip(*calls.roc, strict=True), where="post", color=BLUE, linewidth=1.5)
    at = calls.decisions
    if at.sensitivity.value is not None and at.specificity.value is not None:
        axes.plot(1 - at.specificity.value, at.sensitivity.value, "o", color=ORANGE, label="operating point")
    axes.legend(fontsize=7, loc="lower right", frameon=False)
    axes.set_title(f"{calls.label.replace('_', ' ')}, {calls.data}\n{calls.positives} of {calls.images}", fontsize=8)
    axes.set_aspect("equal")
    axes.set_xlim(-0.02, 1.02)


def _reliability(axes: Axes, diagram: Diagram) -> None:
    title, dots = diagram
    predicted, true, images = zip(*dots, strict=True)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    axes.plot(predicted, true, color=BLUE, linewidth=1.0)
    axes.scatter(predicted, true, s=[6 + 120 * one / sum(images) for one in images], color=BLUE, alpha=0.7)
    axes.set_title(title, fontsize=8)
    axes.set_aspect("equal")
    axes.set_xlim(-0.02, 1.02)


def _froc(axes: Axes, pair: Sequence[Located]) -> None:
    for one, colour in zip(pair, (BLUE, ORANGE), strict=False):
        false, found = zip(*one.curve, strict=True)
        axes.plot(false, found, color=colour, linewidth=1.5, label=one.method)
    axes.set_xticks(FALSE_REGIONS)
    axes.set_xlim(0, max(FALSE_REGIONS))
    axes.legend(fontsize=7, loc="upper left", frameon=False)
    first = pair[0]
    title = f"{first.label.replace('_', ' ')}\n{first.box_count} boxes, {first.froc_images} images"
    axes.set_title(title, fontsize=8)
