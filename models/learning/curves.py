"""Curves of a run as PNG: loss and score over epochs, and ROC of the best epoch on the held-out fold."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.fitting.heads import Flags, Floats
from models.learning.checkpoints import Epoch, best

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#767676"  # Okabe and Ito, 2008
COLUMNS = 4


def loss_curve(history: Sequence[Epoch]) -> bytes:
    """Loss of the steps and of the held-out images after each epoch."""
    figure, (axes,) = _panels(1)
    numbers = [one.number for one in history]
    axes.plot(numbers, [one.loss for one in history], "o-", color=BLUE, markersize=3, label="training")
    held_out = [one.held_out_loss for one in history]
    axes.plot(numbers, held_out, "o-", color=ORANGE, markersize=3, label="held out")
    _over_epochs(axes, history, "loss")
    return _png(figure)


def auc_curve(history: Sequence[Epoch]) -> bytes:
    """Mean AUC of the held-out fold after each epoch, and that of each label in grey."""
    figure, (axes,) = _panels(1)
    numbers = [one.number for one in history]
    for name in history[0].figures:
        axes.plot(numbers, [one.figures[name] for one in history], color=GREY, linewidth=0.5)
    axes.plot(numbers, [one.score for one in history], "o-", color=BLUE, markersize=3, label="mean, held out")
    _over_epochs(axes, history, "AUC within source")
    return _png(figure)


def roc_curves(labels: Sequence[str], logits: Floats, truth: Flags) -> bytes:
    """One panel for each label that the held-out fold has images with and without."""
    from sklearn.metrics import roc_curve  # noqa: PLC0415 (a second to import)

    shown = [index for index in range(len(labels)) if 0 < truth[:, index].sum() < len(truth)]
    figure, panels = _panels(len(shown))
    for axes, index in zip(panels, shown, strict=False):
        false, true, _ = roc_curve(truth[:, index], logits[:, index])
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        axes.step(false, true, where="post", color=BLUE)
        count = f"{truth[:, index].sum()} of {len(truth)}"
        axes.set_title(f"{labels[index].replace('_', ' ')}\n{count} held out", fontsize=8)
        axes.set_xlabel("false positive rate", fontsize=8)
        axes.set_ylabel("sensitivity", fontsize=8)
        axes.set_aspect("equal")
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    return _png(figure)


def _over_epochs(axes: Axes, history: Sequence[Epoch], what: str) -> None:
    axes.axvline(best(tuple(history)).number, color=GREY, linewidth=0.8, linestyle=":", label="best epoch")
    axes.set_xlabel("epoch", fontsize=8)
    axes.set_ylabel(what, fontsize=8)
    axes.set_xticks(sorted({1, best(tuple(history)).number, len(history)}))
    axes.legend(fontsize=7, frameon=False)


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (a second to import)
    from matplotlib.figure import Figure  # noqa: PLC0415

    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    wide, high = (5.0, 3.4) if count == 1 else (2.6, 2.9)
    figure = Figure(figsize=(wide * columns, high * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.tick_params(labelsize=7)
        axes.grid(color="#dddddd", linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
