"""What `/predict` answers, as JSON: numbers, codes and words of ours, and no attribute of a patient."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from node.predicting.kinds import Kind

RESEARCH_USE: Final = "Research software, not a medical device; not for diagnosis."


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Code(_Part):
    """A code of a coding scheme."""

    value: str
    scheme: str
    meaning: str


class Region(_Part):
    """A connected part of the file's pixels; the top left corner of its top left pixel is (0, 0)."""

    box: tuple[float, float, float, float] = Field(description="x, y, width, height in pixels of the file")
    polygon: tuple[tuple[float, float], ...] = Field(description="outline in pixels of the file, (x, y) each, closed")
    slice: int | None = Field(
        description="of a volume the slice of box and polygon, from 0, where the region is largest; null of an image"
    )
    slices: tuple[int, int] | None = Field(description="of a volume the first and the last slice that it reaches")
    location: str = Field(description="where it lies, in words")
    laterality: Literal["left", "right"] | None = Field(description="the patient's side, where it is known")
    area_mm2: float | None = Field(description="of an image, where its pixel spacing is known")
    volume_mm3: float | None = Field(description="of a volume")
    saliency: float = Field(description="largest raw value of the saliency map inside")


class SaliencyMap(_Part):
    """The raw saliency map in colours of a scale that is the same for every file; values outside are cut."""

    png: str = Field(description="base64 of a PNG; it covers the whole image, or the slice", examples=["iVBORw0KGgo="])
    slice: int | None = Field(description="of a volume the slice with the largest value, from 0; null of an image")
    colours: Literal["viridis"] = "viridis"
    low: float = Field(description="raw value of the darkest colour")
    threshold: float = Field(description="raw value of the middle colour, from which on the map may have regions")
    high: float = Field(description="raw value of the brightest colour")


class Finding(_Part):
    """One label of the package's card."""

    label: str
    code: Code
    probability: float = Field(ge=0, le=1, description="calibrated; see `quantity`")
    threshold: float = Field(ge=0, le=1, description="present where the probability reaches it")
    present: bool
    place: str = Field(description="where it is, in words; empty where it is absent")
    colour: str = Field(pattern="^#[0-9a-f]{6}$")
    regions: tuple[Region, ...]
    map: SaliencyMap | None = Field(description="with `maps=png`")


class Picture(_Part):
    """What the network's input was made of, 8 bit, at most 1024 pixels a side: no diagnostic image."""

    png: str = Field(description="base64 of a PNG")
    slice: int | None = Field(description="of a volume, from 0; null of an image")
    rows: int = Field(description="of the file; the picture may have fewer")
    columns: int
    shown: str = Field(description="what made the contrast, in words")


class PackageAnswer(_Part):
    """What one model package found."""

    package: str
    version: str
    sha256: str = Field(description="of card and weights")
    quantity: Literal["probability", "score"] = Field(description="what `probability` is")
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...] = Field(description="what makes the file unlike the images that it was trained on")
    pictures: tuple[Picture, ...] = Field(description="with `pictures=png`")


class NotAnalysed(_Part):
    """A model package that did not analyse the file, and why."""

    package: str
    reason: str


class FileRead(_Part):
    """What was read."""

    kind: Kind
    rows: int
    columns: int
    slices: int | None = Field(description="of a volume; null of an image")


class PredictedFile(_Part):
    """The answer to a file."""

    research_use: Literal["Research software, not a medical device; not for diagnosis."] = RESEARCH_USE
    readfirst: str = Field(description="version of ReadFirst")
    time: str = Field(description="when it was answered, ISO 8601, UTC")
    seconds: float = Field(ge=0, description="that reading and predicting took")
    file: FileRead
    packages: tuple[PackageAnswer, ...]
    not_analysed: tuple[NotAnalysed, ...]


class Problem(_Part):
    """Why there is no answer."""

    error: str = Field(description="a sentence for people")
