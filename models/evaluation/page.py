"""The report of an evaluation: one HTML file with its pictures inside, the curves as PNG, and the figures as JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from models.card import LEAST_AUC, LEAST_SPECIFICITY
from models.data.datasets import read_boxes
from models.errors import DataError
from models.evaluation.annotations import Annotations
from models.evaluation.curves import curves
from models.evaluation.figures import FALSE_REGIONS, Evaluation, Ranked
from models.evaluation.overlays import overlay
from models.metrics.draws import Figure
from models.prediction import Model

PAGE, FIGURES = "report.html", "evaluation.json"
NAMES = (PAGE, FIGURES, "roc.png", "reliability.png", "froc.png")


def check_room(out: Path, replace: bool) -> None:
    """DataError where `out` already holds a report and may not be replaced."""
    there = [name for name in NAMES if (out / name).exists()]
    if there and not replace:
        raise DataError(f"{out} already holds {', '.join(there)}; choose another folder or give --replace.")


def write_report(
    model: Model, evaluation: Evaluation, data: Path, out: Path, advance: Callable[[], None] = lambda: None
) -> Path:
    """Write report.html, evaluation.json and the curves into the folder `out`; `advance` after each overlay.

    Returns
    -------
    The path of report.html.
    """
    drawn = curves(evaluation)
    annotations = Annotations(
        data, read_boxes(data), model.card, [one.image for one in evaluation.best + evaluation.worst]
    )

    def shown(some: Sequence[Ranked]) -> list[tuple[Ranked, str]]:
        pictures = []
        for one in some:
            pictures.append(
                (one, _embedded(overlay(model, data / "images" / one.image, one.label, annotations), "jpeg"))
            )
            advance()
        return pictures

    text = _page(evaluation, drawn, shown(evaluation.best), shown(evaluation.worst))
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            (out / name).unlink(missing_ok=True)
        for name, png in drawn.items():
            (out / name).write_bytes(png)
        (out / FIGURES).write_text(json.dumps(evaluation.as_json(), indent=2) + "\n", encoding="utf-8")
        (out / PAGE).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}.") from error
    return out / PAGE


def _page(
    evaluation: Evaluation,
    drawn: dict[str, bytes],
    best: Sequence[tuple[Ranked, str]],
    worst: Sequence[tuple[Ranked, str]],
) -> str:
    import jinja2  # noqa: PLC0415 (only a report needs it)

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "figure": shown_figure,
        "valued": shown_value,
        "title": lambda name: name.replace("_", " "),
    }
    return environment.get_template("page.html").render(
        e=evaluation,
        curves={name.removesuffix(".png"): _embedded(png, "png") for name, png in drawn.items()},
        rates=FALSE_REGIONS,
        least_auc=LEAST_AUC,
        least_specificity=LEAST_SPECIFICITY,
        readfirst=_version(),
        best=best,
        worst=worst,
    )


def shown_figure(figure: Figure | None, digits: int = 2) -> str:
    """A figure with its interval for people; a dash where there is none."""
    if figure is None or figure.value is None:
        return "–"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.{digits}f}"
    return f"{figure.value:.{digits}f} ({figure.low:.{digits}f} to {figure.high:.{digits}f})"


def shown_value(value: float, interval: tuple[float, float] | None) -> str:
    """A value of a card with its interval, where it has one."""
    return shown_figure(Figure(value, *(interval or (None, None))))


def _embedded(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _version() -> str:
    try:
        return version("readfirst")
    except PackageNotFoundError:
        return "of a source tree"
