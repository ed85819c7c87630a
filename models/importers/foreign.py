"""Packages of networks that others trained: which findings have codes, where a region begins, how one is written."""

from __future__ import annotations

import hashlib
import math
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from models import packages
from models.card import Card, Weights
from models.cardfile import card_text
from models.errors import PackageError
from models.networks.modules.densenet import DenseNet121, load_state
from models.networks.modules.storage import to_bytes

WEIGHTS = "weights.safetensors"
QUARTER_CELL = 0.25
NOT_A_DEVICE = (
    "Research software, not a medical device: no result may be used without a radiologist's reading of the image."
)
NOT_MEASURED = (
    "Not measured by us: no figure of this network on any image is known here. Measure it on your own images with"
    " `readfirst models evaluate` before you use it."
)
REGIONS_NOT_MEASURED = (
    "Regions were not measured. They show what raised a score and outline nothing; the card's training.method has the"
    " rule."
)
REGION_RULE = (
    "Saliency is the exact class activation map (global average pooling, then a linear layer: the mean of a map is its"
    " logit less the bias). A cell is in the region where its own value plus the bias reaches the logit of the"
    " threshold: an image all of whose cells were like this one would just reach it. The rule needs no image; a"
    " positive image always has such a cell, and one far above the threshold has large regions."
)


def known_findings() -> dict[str, dict[str, Any]]:
    """Name to code, site, urgency, ACR category and colour, as on a card's label."""
    card = packages.load_card(packages.ZOO / "chest-xray")
    keys = {"name", "code", "site", "urgency", "acr", "colour"}
    shipped = [label.model_dump(include=keys) for label in card.labels]
    more = tomllib.loads(Path(__file__).with_name("foreign.toml").read_text(encoding="utf-8"))["findings"]
    return {str(one["name"]): one for one in [*shipped, *more]}


def logit(p: float) -> float:
    """ln(p / (1 - p))."""
    return math.log(p / (1 - p))


def smallest_region(size: tuple[int, int], stride: int) -> float:
    """A quarter of a cell of the map as a fraction of the input's area: less is an edge of the interpolation."""
    return round(QUARTER_CELL * stride * stride / (size[0] * size[1]), 5)


def densenet_bytes(state: dict[str, Tensor], labels: int, channels: int) -> bytes:
    """A DenseNet-121 of weights by our names, as `write` takes it; PackageError where they do not fit."""
    network = DenseNet121(labels, channels)
    load_state(network, state)
    return to_bytes(network)


def write(folder: Path, table: dict[str, Any], data: bytes, source: str, source_sha256: str) -> Path:
    """Write a package.

    Parameters
    ----------
    folder
        Where its folder, which gets the card's name, is made.
    table
        The card less [weights].
    data
        The network's file.
    source, source_sha256
        Where the weights were published, and the SHA-256 of that file.

    Raises
    ------
    PackageError
        The table is no card.
    """
    weights = Weights(file=WEIGHTS, sha256=hashlib.sha256(data).hexdigest(), source=source, source_sha256=source_sha256)
    try:
        card = Card.model_validate(table | {"weights": weights.model_dump()})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise PackageError(f"{'.'.join(map(str, first['loc']))} is wrong: {first['msg']}") from error
    place = folder / card.name
    place.mkdir()
    (place / WEIGHTS).write_bytes(data)
    (place / packages.CARD).write_text(card_text(card), encoding="utf-8")
    return place
