"""The command `readfirst models label-reports`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from models.commands.arguments import AsJson
from models.commands.console import Advance, note, printed_errors, progress
from models.errors import DataError
from models.plurals import counted
from models.report_labels.labeler import Assertion, Labelers, Labels
from models.report_labels.labelfile import write_labels, write_locations, write_reasons
from models.report_labels.languages import NAMES
from models.report_labels.readers import RadiologyReport, bare_name, read_reports
from models.report_labels.rules import TABLES, Findings, read_rules

Source = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="A CSV with the columns image, patient, report (others are passed on), or a folder or tar archive of "
        ".txt and Open-I .xml reports.",
    ),
]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Write labels.csv, as `models train` reads it.")]
Explain = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write JSON Lines: the sentence and cue that decided each label. Holds report text."
    ),
]
Uncertain = Annotated[
    Literal["absent", "present"],
    typer.Option(help="What an uncertain finding (may represent, cannot exclude) counts as; absent agrees better."),
]
Measure = Annotated[
    Path | None, typer.Option(metavar="TRUTH.csv", help="Measure against 0 and 1 by report (first column: its name).")
]
Columns = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="How the truth's columns map to labels: openi, openi-ct, or a file."),
]
RulesFile = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE", help="Your own table of rules, in place of --findings and --language."),
]
Which = Annotated[
    Findings, typer.Option("--findings", help="The 14 of chest radiographs, or the 83 of chest CT (English alone).")
]
Spoken = Annotated[
    Literal["auto", "en", "zh"],
    typer.Option("--language", help="Of the reports; auto: each report's own. Others are refused."),
]
Locations = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write a CSV: a row a finding and place, with side and change since before."),
]
Validation = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, help="Fraction of patients in the split validation, where there is no such column."),
]
Suffix = Annotated[str, typer.Option(help="Ending of the image files that belong to report files.")]
Replace = Annotated[bool, typer.Option("--replace", help="Write over files that are there.")]


def label_reports(
    source: Source,
    out: Out = None,
    explain: Explain = None,
    uncertain: Uncertain = "absent",
    measure: Measure = None,
    columns: Columns = None,
    findings: Which = "chest-xray",
    language: Spoken = "auto",
    locations: Locations = None,
    rules: RulesFile = None,
    validation: Validation = 0.2,
    suffix: Suffix = ".png",
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Label free-text chest reports by rules, for `models train`: 14 findings of radiographs, or 83 of CT."""
    with printed_errors():
        _check_files((out, explain, locations), measure, replace)
        labelers = Labelers([read_rules(path) for path in _tables(findings, language, rules)])
        with progress() as advance:
            labeled = _labeled(labelers, read_reports(source, suffix), advance)
        readable = [(report, labels) for report, labels in labeled if labels.readable]
        _require_known_language(labeled)
        assertion = Assertion(uncertain)
        images = write_labels(out, readable, labelers.names, assertion, validation) if out else None
        if explain:
            write_reasons(explain, readable)
        if locations:
            write_locations(locations, readable, labelers.sides)
        if measure:
            _measure(measure, columns, labelers.names, labeled, assertion, as_json)
    if not measure:
        _summary(labelers.names, [labels for _, labels in readable], as_json)
    if images is not None:
        note(f"{out}: {counted(images, 'image')} of {counted(len(readable), 'report')} written.")
    refused = [(report.name, labels.refused) for report, labels in labeled if labels.refused]
    if refused:
        note(f"{counted(len(refused), 'report')} refused, the first is {refused[0][0]}: {refused[0][1]}")
    if silent := len(labeled) - len(readable) - len(refused):
        note(f"{counted(silent, 'report')} left out: no findings or impression to read.")


def _tables(findings: Findings, language: Literal["auto", "en", "zh"], own: Path | None) -> list[Path]:
    tables = TABLES[findings]
    if own:
        return [own]
    if language == "auto":
        return list(tables.values())
    if language not in tables:
        raise DataError(f"there are no rules of {findings} for {NAMES[language]}; give --rules with a table of yours.")
    return [tables[language]]


def _require_known_language(labeled: Sequence[tuple[RadiologyReport, Labels]]) -> None:
    if labeled and all(labels.refused for _, labels in labeled):
        raise DataError(f"no report was labelled: of {labeled[0][0].name} {labeled[0][1].refused}")


def _check_files(written: Sequence[Path | None], measure: Path | None, replace: bool) -> None:
    if not (any(written) or measure):
        raise DataError("nothing to do: give --out labels.csv, --explain FILE or --measure TRUTH.csv.")
    for path in written:
        if path and path.exists() and not replace:
            raise DataError(f"{path} is there already; choose another name or give --replace.")


def _labeled(
    labeler: Labelers, reports: Sequence[RadiologyReport], advance: Advance
) -> list[tuple[RadiologyReport, Labels]]:
    labeled = []
    for done, report in enumerate(reports, 1):
        labeled.append((report, labeler.label(report.text)))
        if done % 100 == 0 or done == len(reports):
            advance("reports", done, len(reports))
    return labeled


def _measure(
    path: Path,
    columns: str | None,
    names: Sequence[str],
    labeled: Sequence[tuple[RadiologyReport, Labels]],
    uncertain: Assertion,
    as_json: bool,
) -> None:
    from models.report_labels.measure import agreement  # noqa: PLC0415 (numpy)
    from models.report_labels.truth import read_columns, read_truth  # noqa: PLC0415

    truth = read_truth(path, names, read_columns(columns) if columns else None)
    measured = agreement({bare_name(report.name): labels for report, labels in labeled}, truth, uncertain)
    if as_json:
        typer.echo(json.dumps(measured.as_json(), indent=2))
        return
    table = Table("label", "positives", "precision", "recall", "F1", "95 % interval", box=None)
    for one in (*measured.scores, measured.micro, measured.macro, measured.micro_with_no_finding):
        interval = "-" if one.interval is None else f"{one.interval[0]:.3f} to {one.interval[1]:.3f}"
        table.add_row(one.label, f"{one.positives}", *map(_shown, (one.precision, one.recall, one.f1)), interval)
    Console().print(table)
    missing = f"; {measured.without_report} of the truth had no report" if measured.without_report else ""
    typer.echo(f"{counted(measured.reports, 'report')}, uncertain counts as {uncertain.value}{missing}")


def _summary(names: Sequence[str], labels: Sequence[Labels], as_json: bool) -> None:
    counts = {name: Counter(one.assertions[name].value for one in labels) for name in names}
    shown = [assertion.value for assertion in Assertion]
    if as_json:
        typer.echo(json.dumps({name: {key: counts[name][key] for key in shown} for name in names}, indent=2))
        return
    table = Table("label", *shown, box=None)
    for name in names:
        table.add_row(name, *(f"{counts[name][key]}" for key in shown))
    Console().print(table)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
