"""The statement's sentences. Viewers print values without their concepts' names, so each one must read alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydicom import Dataset

from models.card import Card
from workers.dicom.attributes import series_and_image
from workers.dicom.evidence import pixel_spacing
from workers.dicom.uids import Context
from workers.findings import wording
from workers.findings.analysed import AnalysedSource, AnalysedStudy
from workers.findings.equipment import RESEARCH
from workers.findings.findings import Finding, Region
from workers.findings.source import Source

_SUMMARY = (("PRESENT", True), ("Not present", False))
_IN_TIME = {1: "minutes", 2: "hours", 3: "days"}  # CID 7035: when the finding should have been communicated


def finding_sentences(
    finding: Finding, regions: Sequence[tuple[Region, Source]], card: Card, several: bool = False
) -> str:
    """One finding: present or not, its number and its threshold, then where it is.

    `several`: more than one image was analysed, so that regions name theirs.
    """
    quantity = card.quantity
    name, (value, threshold) = finding.label.title, wording.compared(finding, quantity)
    simulated = [wording.phrase("simulated", "en")] if card.training.simulated else []
    below, reached = f"is below the threshold of {threshold}", f"reaches the threshold of {threshold}"
    if finding.classes:
        reached = f"is the highest of {finding.classes} exclusive classes; the next has {threshold}"
        below = below if finding.decided else f"is below that of another of {finding.classes} exclusive classes"
    if finding.grade:
        more = wording.amount(finding.grade.at_least, quantity)
        of_grade = f"is that of grade {finding.grade.number} of 0 to {finding.grade.highest}"
        reached = f"{of_grade}; of this grade or a higher one it is {more}"
        below = f"{of_grade}, and another one is the median"
        below = f"{of_grade}, the median" if finding.decided else below
    if not finding.present:
        return " ".join([f"{name}: not present. The {quantity} of {value} {below}.", *simulated])
    sentences = [f"{name}: PRESENT. The {quantity} of {value} {reached}."]
    sentences += [_region_sentence(region, source, several) for region, source in regions]
    if finding.diffuse:
        sentences.append(f"No region is drawn of what is {wording.finding_location(finding, ())}.")
    elif not regions:
        sentences.append("No region is drawn: the saliency map does not reach its threshold.")
    sentences += simulated
    if finding.keeps_the_order:
        sentences.append(wording.phrase("keeps the order", "en"))
    if finding.label.acr:
        sentences.append(f"ACR category {finding.label.acr}, actionable within {_IN_TIME[finding.label.acr]}.")
    return " ".join(sentences)


def opening(context: Context) -> tuple[str, ...]:
    """What everyone must have read before the findings."""
    card = context.card
    made_by = f"{card.title}: {card.name} {card.version} ({card.algorithm}), ReadFirst {context.version}."
    return RESEARCH, f"Made by {made_by}"


def summary(findings: Sequence[Finding], quantity: str) -> tuple[str, ...]:
    """The whole result in two lines, for who reads no further; a third where the class is no finding."""
    real = [one for one in findings if one.label.finding]
    groups = [(words, [one for one in real if one.present == present]) for words, present in _SUMMARY]
    lines = tuple(
        f"{words}: {', '.join(f'{one.label.title} {wording.value(one, quantity)}' for one in group) or 'none'}."
        for words, group in groups
    )
    return lines + wording.without_finding(findings, quantity, "en")


def closing(study: AnalysedStudy) -> tuple[str, ...]:
    """Limits of the model, then what it analysed and what not."""
    analysed = tuple(sentence for each in study.sources for sentence in _analysed_sentences(each))
    card = study.context.card
    simulated = ("Limit: the model was trained on simulated lesions.",) if card.training.simulated else ()
    limits = simulated + tuple(f"Limit: {limit}" for limit in card.limits)
    return limits + analysed + _left_out_sentences(study.unseen, study.context.headers)


def unlike(remarks: Sequence[str]) -> str:
    """What makes an image unlike the images that the model was trained on, as a clause."""
    return f"unlike the images that the model was trained on: {', '.join(remarks)}"


def _analysed_sentences(analysed: AnalysedSource) -> Iterator[str]:
    yield f"Analysed: {analysed.source.description}."
    if analysed.remarks:
        yield f"{series_and_image(analysed.source.headers[0])} is {unlike(analysed.remarks)}.".capitalize()


def _region_sentence(region: Region, source: Source, several: bool) -> str:
    size = ""
    where = f" ({series_and_image(source.headers[0])})" if several else ""
    if region.volume_mm3 is not None:
        size = f", volume {region.volume_mm3 / 1000:.2f} ml{_measures(region)}"
    elif region.area_mm2 is not None:
        _, at_detector = pixel_spacing(source.headers[0])
        size = f", area {region.area_mm2 / 100:.1f} cm2" + (" at the detector" if at_detector else "")
    return f"Region {region.tracking_id}{where}: {wording.place(region.location)}{size}."


def _measures(region: Region) -> str:
    """Axes, density, and the images that a volume's region reaches."""
    found, images = region.measures, region.location.images
    axes = f", long axis {found.long_axis_mm:.1f} mm, short axis {found.short_axis_mm:.1f} mm" if found else ""
    density = f", mean {found.mean_hu:.0f} HU" if found and found.mean_hu is not None else ""
    return axes + density + (f", images {images[0]:.0f} to {images[1]:.0f}" if images else "")


def _left_out_sentences(left_out: Iterable[tuple[str, str]], headers: Sequence[Dataset]) -> tuple[str, ...]:
    """Grouped by their reason, in the order of its first instance."""
    names = {str(header.SOPInstanceUID): series_and_image(header) for header in headers}
    groups: dict[str, list[str]] = {}
    for sop_instance_uid, reason in left_out:
        groups.setdefault(reason, []).append(names.get(sop_instance_uid, sop_instance_uid))
    return tuple(f"Not analysed, because {reason}: {_enumerated(found)}." for reason, found in groups.items())


def _enumerated(names: Sequence[str], most: int = 5) -> str:
    shown = "; ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
