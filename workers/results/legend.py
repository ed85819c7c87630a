"""The legend of a picture: a black strip that names maker, regions and the findings below their threshold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from workers.dicom.uids import Context
from workers.findings import wording
from workers.findings.findings import Finding
from workers.results.drawing import Colour, Picture
from workers.results.fonts import drawable_language, font_file

WHITE, GREY, AMBER = (240, 240, 240), (165, 165, 165), (255, 191, 0)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the legend; with a colour it begins with a square of it."""

    text: str
    ink: Colour = WHITE
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class Legend:
    """The legend, before it is laid out for a picture's width."""

    rows: tuple[Row, ...]
    font: str


def legend_of(findings: Sequence[Finding], context: Context) -> Legend:
    """Research use only, who made it, each region, and the findings below their threshold."""
    language = drawable_language(context.font, context.language)
    return Legend(tuple(_rows(findings, context, language)), str(font_file(context.font)))


def stacked(picture: Picture, below: Legend) -> Picture:
    """The picture with the legend in a black strip below it."""
    width = picture.shape[1]
    font = ImageFont.truetype(below.font, max(11, min(round(width / 46), 44)))
    margin, gap = round(font.size * 0.7), round(font.size * 1.35)
    lines = [line for row in below.rows for line in _wrapped(row, font, width - 2 * margin)]
    height = len(lines) * gap + 2 * margin
    height += (picture.shape[0] + height) % 2  # Pixel Data of an even length without padding
    strip = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(strip)
    for index, line in enumerate(lines):
        top, left = margin + index * gap, margin
        if line.colour:
            pen.rectangle((left, top + font.size * 0.2, left + font.size * 0.8, top + font.size), fill=line.colour)
        left += round(font.size * 1.2) if line.colour is not None else 0
        pen.text((left, top), line.text, fill=line.ink, font=font)
    return np.concatenate([picture, np.asarray(strip)])


def _rows(findings: Sequence[Finding], context: Context, language: str) -> Iterator[Row]:
    yield Row(wording.phrase("report", language) + ": " + wording.phrase("research use", language), AMBER)
    yield Row(wording.made_by(context, language), GREY)
    number = 0
    for finding in findings:
        if not finding.present:
            continue
        for region in finding.regions:
            number += 1
            words = wording.present_sentence(finding, [region], context, language)
            yield Row(f"{number}  {words}", colour=finding.label.colour)
        if not finding.regions:
            yield Row(wording.present_sentence(finding, [], context, language), colour=finding.label.colour)
    if number:
        regions = ((finding.label, region) for finding in findings for region in finding.regions)
        own = all(label.region != "smoothed" or region.rectangle for label, region in regions)
        yield Row(wording.phrase("own" if own else "raised", language), GREY)
    absent = [finding for finding in findings if not finding.present and finding.label.finding and not finding.grade]
    normal = wording.without_finding(findings, context.card.quantity, language)
    if normal or not any(finding.present for finding in findings):
        yield Row("".join(normal) or wording.phrase("nothing", language))
    if absent:
        values = (f"{wording.name(one.label, language)} {wording.value(one, context.card.quantity)}" for one in absent)
        yield Row(wording.phrase("below", language, names=wording.phrase("comma", language).join(values)), GREY)


def _wrapped(row: Row, font: ImageFont.FreeTypeFont, width: int) -> Iterator[Row]:
    """Lines no wider than `width`; Chinese may break anywhere, all else between words."""
    room = width - (round(font.size * 1.2) if row.colour is not None else 0)
    line = ""
    for piece in _pieces(row.text.replace(" %", "\N{NO-BREAK SPACE}%")):
        if line and font.getlength((line + piece).rstrip()) > room:
            yield Row(line.rstrip(), row.ink, row.colour)
            line, row = "", Row(row.text, row.ink, (0, 0, 0) if row.colour is not None else None)
        line += piece
    yield Row(line.rstrip(), row.ink, row.colour)


def _pieces(text: str) -> Iterator[str]:
    word = ""
    for letter in text:
        word += letter
        if letter == " " or ord(letter) >= 0x2E80:
            yield word
            word = ""
    if word:
        yield word
