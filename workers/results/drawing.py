"""Pictures for people: grey image, coloured outlines with numbers, and the legend that says what they are.

Text is drawn by Pillow in the font of `workers.results.fonts`; everything is laid out in pixels of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.regions import Mask
from workers.dicom.uids import Context
from workers.findings import wording
from workers.findings.findings import Finding
from workers.findings.location import outline
from workers.results.fonts import drawable_language, font_file

Picture = NDArray[np.uint8]  # (rows, columns, 3), RGB
Colour = tuple[int, int, int]

WHITE, GREY, AMBER = (240, 240, 240), (165, 165, 165), (255, 191, 0)
FILL = 0.16  # opacity within an outline
FINE = 1200  # pictures smaller than this are drawn at twice their size, so that lines are smooth


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One region on one picture: its number in the legend, its colour, and its pixels."""

    number: int
    colour: Colour
    mask: Mask


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the legend; with a colour it begins with a square of it."""

    text: str
    ink: Colour = WHITE
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """The legend, before it is laid out for a picture's width."""

    rows: tuple[Row, ...]
    font: str


def panel(findings: Sequence[Finding], context: Context) -> Panel:
    """What the picture says in words: what it is not for, who made it, each region, and what was not called."""
    language = drawable_language(context.font, context.language)
    return Panel(tuple(_rows(findings, context, language)), str(font_file(context.font)))


def drawn(grey: NDArray[np.float32], marks: Sequence[Mark], aspect: float) -> Picture:
    """The image with square pixels and the outlines on it.

    Parameters
    ----------
    grey
        (rows, columns), 0 black .. 1 white.
    aspect
        Height of a pixel by its width. The longer side of a pixel is divided, so that nothing is lost.
    """
    rows, columns = grey.shape
    size = (columns, round(rows * aspect)) if aspect >= 1 else (round(columns / aspect), rows)
    base = Image.fromarray((np.clip(grey, 0, 1) * 255 + 0.5).astype(np.uint8), "L").convert("RGB")
    base = base if size == base.size else base.resize(size, Image.Resampling.BICUBIC)
    if not marks:
        return np.asarray(base)
    fine = 2 if max(size) < FINE else 1
    scale = (fine * size[0] / columns, fine * size[1] / rows)
    layer = Image.new("RGBA", (fine * size[0], fine * size[1]), (0, 0, 0, 0))
    for mark in marks:
        _outline(layer, mark, scale)
    _numbered(layer, marks, scale, max(13 * fine, round(max(layer.size) / 36)))
    layer = layer if fine == 1 else layer.resize(size, Image.Resampling.BOX)
    return np.asarray(Image.alpha_composite(base.convert("RGBA"), layer).convert("RGB"))


def stacked(picture: Picture, legend: Panel) -> Picture:
    """The picture with the legend in a black strip below it."""
    width = picture.shape[1]
    font = _font(legend.font, max(11, min(round(width / 46), 44)))
    margin, gap = round(font.size * 0.7), round(font.size * 1.35)
    lines = [line for row in legend.rows for line in _wrapped(row, font, width - 2 * margin)]
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
    yield Row(wording.say("report", language) + ": " + wording.say("research use", language), AMBER)
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
    absent = [finding for finding in findings if not finding.present]
    if len(absent) == len(findings):
        yield Row(wording.say("nothing", language))
    if absent:
        numbers = (f"{wording.name(one.label, language)} {wording.value(one, context.card.quantity)}" for one in absent)
        yield Row(wording.say("not called", language, names=wording.say("comma", language).join(numbers)), GREY)


def _outline(layer: Image.Image, mark: Mark, scale: tuple[float, float]) -> None:
    points = [(float(x) * scale[0], float(y) * scale[1]) for x, y in outline(mark.mask)]
    width = max(2, round(max(layer.size) / 400))
    filled = Image.new("RGBA", layer.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(filled)
    pen.polygon(points, fill=(*mark.colour, round(255 * FILL)))
    pen.line(points, fill=(*mark.colour, 255), width=width, joint="curve")
    layer.alpha_composite(filled)


def _numbered(layer: Image.Image, marks: Sequence[Mark], scale: tuple[float, float], height: int) -> None:
    """Each region's number above its highest point, within the picture, with a dark rim, beside those there before."""
    font = _font(str(font_file(None)), height)
    rim, high = max(1, round(font.size / 10)), font.size * 1.25
    pen, taken = ImageDraw.Draw(layer), list[tuple[float, float, float]]()
    for mark in marks:
        rows, columns = np.nonzero(mark.mask)
        width = font.getlength(str(mark.number))
        x = (columns[rows == rows.min()].mean() + 0.5) * scale[0] - width / 2
        y = max(rows.min() * scale[1] - high, 2.0)
        x = min(max(x, 2.0), layer.size[0] - width - 2)
        while any(abs(y - top) < high and left - width < x < right for left, right, top in taken):
            x += width
        taken.append((x - rim, x + width + rim, y))
        ink, dark = (*mark.colour, 255), (0, 0, 0, 255)
        pen.text((x, y), str(mark.number), font=font, fill=ink, stroke_width=rim, stroke_fill=dark)


def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


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
