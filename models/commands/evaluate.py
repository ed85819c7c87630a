"""The command `readfirst models evaluate`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from models import packages
from models.cardfile import card_text
from models.commands.arguments import AsJson, Device, Folders, Package
from models.commands.console import Advance, printed_errors, progress
from models.commands.folders import package_folder
from models.data.files import write_whole
from models.errors import DataError

if TYPE_CHECKING:
    from models.evaluation.blind_points import LungMasks, Mask
    from models.evaluation.classes.figures import ClassEvaluation, Shortcut
    from models.evaluation.figures import Evaluation
    from models.evaluation.grids import Grid
    from models.evaluation.methods import Method
    from models.evaluation.volumes.figures import VolumeEvaluation
    from models.loaded import LoadedModel

Data = Annotated[
    Path,
    typer.Option(metavar="DIR", help="Folder with labels.csv and images/, or with SPLIT/SERIES.nii.gz."),
]
Split = Annotated[str, typer.Option(help="Which rows of labels.csv.")]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write report.html, evaluation.json and curves; a name in .json: the JSON alone."),
]
Baselines = Annotated[
    bool, typer.Option("--baselines", help="Also measure fixed rules and other contrast on the same images.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Write over a report that is there.")]


Against = Annotated[str, typer.Option(metavar="PACKAGE", help="Another package to compare with, image by image.")]
Lungs = Annotated[
    str, typer.Option(metavar="PACKAGE", help="Segments the lungs for the baselines of anatomy; an empty one: none.")
]
UpdateCard = Annotated[
    bool, typer.Option("--update-card", help="Choose the operating points for triage anew, and write them on the card.")
]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")]


ThresholdSplit = Annotated[
    str,
    typer.Option(metavar="SPLIT", help="Volumes: choose the threshold of the best Dice there; default: on the others."),
]

PIPED_WIDTH = 200  # columns of a table that no terminal limits
HALF = 0.5  # of a pixel lies within a mask that was interpolated


@dataclass(frozen=True, slots=True)
class _How:
    """Options: `against` is a package's folder; with `update` the card's operating points for triage are forgotten."""

    device: str
    baselines: bool
    against: Path | None
    lungs: Path | None
    update: bool


def evaluate(
    package: Package,
    data: Data,
    split: Split = "validation",
    out: Out = None,
    baselines: Baselines = False,
    against: Against = "",
    lungs: Lungs = "lungs",
    update_card: UpdateCard = False,
    markdown: Markdown = False,
    threshold_split: ThresholdSplit = "",
    replace: Replace = False,
    device: Device = "auto",
    folders: Folders = None,
    as_json: AsJson = False,
) -> None:
    """Measure a package on labelled images or volumes, each figure beside a baseline that sees none."""
    path = _folder(package, folders)
    with printed_errors():
        card = packages.load_card(path)
        if card.exclusive and (against or update_card):
            raise DataError(f"{card.name} has exclusive classes: --against and --update-card are for single findings.")
    if card.exclusive:
        _evaluate_classes(path, data, split, out, baselines, device, as_json, markdown)
        return
    if _sees_volumes(path):
        how_volumes = _VolumesHow(device, baselines, against, update_card, threshold_split)
        _evaluate_volumes(path, data, split, out, replace, how_volumes, folders, as_json=as_json, markdown=markdown)
        return
    with printed_errors(), progress() as advance:
        other = package_folder(against, folders) if against else None
        how = _How(device, baselines, other, package_folder(lungs, folders) if lungs else None, update_card)
        written, evaluation = _run(path, data, split, out, replace, how, advance)
        if update_card:
            _update_card(path, evaluation)
    if as_json:
        typer.echo(json.dumps(evaluation.as_json(), indent=2))
        return
    from models.commands.evaluation_tables import grids  # noqa: PLC0415 (scikit-learn)

    _print(grids(evaluation), _lines(evaluation, written), markdown=markdown)


def _print(grids: Iterable[Grid], lines: Iterable[str], *, markdown: bool) -> None:
    wide = Console(width=None if Console().is_terminal else PIPED_WIDTH)
    for grid in grids:
        if markdown:
            typer.echo(grid.markdown() + "\n")
        else:
            wide.print(grid.rich())
    for line in lines:
        typer.echo(line)


def _evaluate_classes(
    path: Path, data: Path, split: str, out: Path | None, baselines: bool, device: str, as_json: bool, markdown: bool
) -> None:
    """The same for a package of exclusive classes, whose report is its JSON."""
    with printed_errors(), progress() as advance:
        from models.data.datasets import read_examples  # noqa: PLC0415
        from models.evaluation.classes.measuring import evaluate as measure  # noqa: PLC0415
        from models.evaluation.classes.tables import tables  # noqa: PLC0415
        from models.evaluation.grids import Grid  # noqa: PLC0415 (scikit-learn)

        if out is not None and out.suffix.lower() != ".json":
            raise DataError(f"{out}: of exclusive classes the JSON alone is written: give --out NAME.json.")
        model = packages.load(path, device)
        count = len(read_examples(data, split, [label.name for label in model.card.labels]))
        evaluation = measure(model, model.localizer, data, split, _steps("images", count, advance))
        if baselines:
            evaluation = dataclasses.replace(evaluation, shortcuts=_shortcuts(model, data, split, advance))
        if out is not None:
            _written(out, evaluation)
    if as_json:
        typer.echo(json.dumps(evaluation.as_json(), indent=2))
        return
    for cells in tables(evaluation):
        grid = Grid(*cells)
        if markdown:
            typer.echo(grid.markdown() + "\n")
        else:
            Console().print(grid.rich())
    for line in (*(f"Not seen: {one}." for one in evaluation.skipped), *([f"{out}: written."] if out else [])):
        typer.echo(line)


def _shortcuts(model: LoadedModel, data: Path, split: str, advance: Advance) -> tuple[Shortcut, ...]:
    from models.fitting.classes.shortcuts import shortcuts  # noqa: PLC0415 (scikit-learn)
    from models.localizers.slice_mil import SliceMilLocalizer  # noqa: PLC0415

    if not isinstance(model.localizer, SliceMilLocalizer):
        raise DataError(f"{model.card.name} sees no slices: its --baselines are for packages with [slices].")
    return shortcuts(model.localizer.network, model.card, data, split, advance)


def _run(
    path: Path,
    data: Path,
    split: str,
    out: Path | None,
    replace: bool,
    how: _How,
    advance: Advance,
) -> tuple[Path | None, Evaluation]:
    from models.evaluation.measuring import evaluate as measure  # noqa: PLC0415 (scikit-learn)
    from models.evaluation.measuring import evaluated  # noqa: PLC0415
    from models.evaluation.page import check_room, write_report  # noqa: PLC0415
    from models.evaluation.triage import without_triage  # noqa: PLC0415

    alone = out is not None and out.suffix.lower() == ".json"
    if out is not None and not alone:
        check_room(out, replace)
    model = packages.load(path, how.device)
    model = dataclasses.replace(model, card=without_triage(model.card)) if how.update else model
    against = packages.load(how.against, how.device) if how.against else None
    masks = None if how.lungs is None else _lung_masks(how.lungs, how.device)
    others: tuple[Method, ...] = ()
    if how.baselines:
        from models.evaluation.classical import methods  # noqa: PLC0415

        others = methods(model)
    count = len(evaluated(data, split, model.card))
    evaluation = measure(model, data, split, _steps("images", count, advance), others, against, masks)
    if out is None:
        return None, evaluation
    if alone:
        return _written(out, evaluation), evaluation
    shown = len(evaluation.best + evaluation.worst)
    return write_report(model, evaluation, data, out, _steps("overlays", shown, advance)), evaluation


def _lung_masks(folder: Path, device: str) -> LungMasks:
    """The lungs that a package of lungs sees; none where it takes the image for no frontal chest radiograph."""
    from models.data.images import read_grey  # noqa: PLC0415 (numpy)
    from models.packages import load_segmenter  # noqa: PLC0415

    segmenter = load_segmenter(folder, device=device)

    def masks(path: Path) -> tuple[Mask, Mask] | None:
        found = segmenter(read_grey(path))
        if not found.lungs.plausible:
            return None
        parts = (found.lungs.right, found.lungs.left)
        right, left = (found.letterbox.to_file(mask.astype("float32")) >= HALF for mask in parts)
        return right, left

    return masks


def _steps(stage: str, count: int, advance: Advance) -> Callable[[], None]:
    done: Iterator[int] = iter(range(1, count + 1))
    return lambda: advance(stage, next(done), count)


def _written(out: Path, evaluation: Evaluation | VolumeEvaluation | ClassEvaluation) -> Path:
    try:
        out.write_text(json.dumps(evaluation.as_json(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}.") from error
    return out


def _update_card(folder: Path, evaluation: Evaluation) -> None:
    """Write the operating points for triage on the card of the package."""
    from models.evaluation.triage import with_triage  # noqa: PLC0415

    text = card_text(with_triage(packages.load_card(folder), evaluation.triage))
    try:
        write_whole(folder / packages.CARD, text.encode("utf-8"))
    except OSError as error:
        raise DataError(f"{folder / packages.CARD} cannot be written: {error.strerror}.") from error


def _lines(evaluation: Evaluation, written: Path | None) -> Iterator[str]:
    if evaluation.skipped:
        yield f"labels.csv has no column for, and so not measured: {', '.join(evaluation.skipped)}."
    if evaluation.few:
        yield f"Too few positives in each source to be measured: {', '.join(evaluation.few)}."
    if written is not None:
        yield f"{written}: written."


@dataclass(frozen=True, slots=True)
class _VolumesHow:
    device: str
    baselines: bool
    against: str
    update: bool
    threshold_split: str


def _folder(package: str, folders: list[Path] | None) -> Path:
    with printed_errors():
        return package_folder(package, folders)


def _sees_volumes(path: Path) -> bool:
    with printed_errors():
        return packages.load_card(path).input.kind == "volume"


def _evaluate_volumes(
    path: Path,
    data: Path,
    split: str,
    out: Path | None,
    replace: bool,
    how: _VolumesHow,
    folders: list[Path] | None,
    *,
    as_json: bool,
    markdown: bool,
) -> None:
    with printed_errors(), progress() as advance:
        from models.evaluation.volumes.report import room, write  # noqa: PLC0415 (scipy)

        _refuse_image_options(how)
        file = None if out is None else room(out, replace)
        evaluation = _measure_volumes(path, data, split, how, folders, advance)
        if file is not None:
            write(file, evaluation)
    if as_json:
        typer.echo(json.dumps(evaluation.as_json(), indent=2))
        return
    from models.evaluation.volumes.tables import grids, lines  # noqa: PLC0415

    written = () if file is None else (f"{file}: written.",)
    _print(grids(evaluation), (*lines(evaluation), *written), markdown=markdown)


def _measure_volumes(
    path: Path, data: Path, split: str, how: _VolumesHow, folders: list[Path] | None, advance: Advance
) -> VolumeEvaluation:
    from models.evaluation.volumes.lungs import classical_lungs  # noqa: PLC0415 (scipy)
    from models.evaluation.volumes.measuring import evaluate_volumes, volumes_of  # noqa: PLC0415
    from models.evaluation.volumes.methods import VolumeMethod  # noqa: PLC0415

    model = packages.load(path, how.device)
    others = []
    if how.against:
        other = packages.load(package_folder(how.against, folders), how.device)
        others.append(VolumeMethod.of(other, f"{other.card.name} {other.card.version}"))
    step = _steps("volumes", volumes_of(data, split, how.threshold_split), advance)
    return evaluate_volumes(
        model,
        data,
        split,
        others=others,
        lungs=classical_lungs,
        threshold_split=how.threshold_split,
        advance=step,
    )


def _refuse_image_options(how: _VolumesHow) -> None:
    given = [name for name, there in (("--baselines", how.baselines), ("--update-card", how.update)) if there]
    if given:
        raise DataError(f"{' and '.join(given)} is for packages of images; volumes have their baselines always.")
