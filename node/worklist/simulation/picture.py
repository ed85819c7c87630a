"""The picture of `readfirst worklist simulate`: how long critical and routine studies wait. Imports matplotlib."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from node.worklist.simulation.waiting_time import KINDS, Line, WaitingTimes

_COLOURS = {False: "#8a8a8a", True: "#0b6fb8"}
_NAMES = {False: "without the node", True: "with the node"}
_SHOWN = 99.0  # percentile at which the axis ends


def draw(times: WaitingTimes, title: str, path: Path) -> None:
    """Write the picture: for each kind of study the part that is not yet being read after so many minutes."""
    with mpl.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(10, 4.4), layout="constrained", dpi=150)
        for axes, kind in zip(figure.subplots(1, 2, sharey=True), KINDS, strict=True):
            lines = [line for line in times.lines if line.kind == kind and len(line.waited)]
            for line in lines:
                _curve(axes, line)
            axes.set_title(f"{kind} studies")
            axes.set_xlabel("minutes from arrival")
            axes.set_xlim(0, max((60 * np.percentile(line.waited, _SHOWN) for line in lines), default=1) or 1)
            axes.set_ylim(0, 1)
            axes.grid(alpha=0.25)
            axes.legend(frameon=False, loc="upper right")
            if kind == KINDS[0]:
                axes.set_ylabel("part that is not yet being read")
        figure.suptitle(title, fontsize=11)
        figure.savefig(path, format="png")


def _curve(axes: object, line: Line) -> None:
    minutes = 60 * np.sort(line.waited)
    left = 1 - np.arange(1, len(minutes) + 1) / len(minutes)
    colour, summary = _COLOURS[line.with_node], line.summary
    label = f"{_NAMES[line.with_node]}: mean {60 * summary.mean:.1f}, 90 % within {60 * summary.ninetieth:.1f} min"
    axes.step(minutes, left, where="post", color=colour, label=label)  # type: ignore[attr-defined]
    axes.axvline(60 * summary.mean, color=colour, linestyle=":", linewidth=1)  # type: ignore[attr-defined]
