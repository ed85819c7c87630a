"""A picture file as packages of grey and of colour images see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.card import Input
from node.errors import AnalysisError
from workers.inputs.decoding.decoder import Decoder
from workers.predicting.files import open_file

RED = np.zeros((64, 64, 3), np.uint8)
RED[..., 0] = 255


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as running:
        yield running


@pytest.fixture
def red(tmp_path: Path) -> Path:
    Image.fromarray(RED).save(tmp_path / "red", format="PNG")
    return tmp_path / "red"


def rules(**more: object) -> Input:
    return Input.model_validate({"kind": "image", "modalities": ["XC"], "size": (32, 32), **more})


def test_colours_reach_a_package_of_colour_images(decoder: Decoder, red: Path) -> None:
    image, _ = open_file(red, "PNG", decoder).source(rules(colour="rgb")).to_model()
    assert image.shape == (3, 32, 32)
    assert image.mean((1, 2)).tolist() == [1.0, 0.0, 0.0]


def test_a_package_of_grey_images_sees_them_weighed(decoder: Decoder, red: Path) -> None:
    found = open_file(red, "PNG", decoder)
    image, _ = found.source(rules()).to_model()
    assert np.unique(image).tolist() == [pytest.approx(0.299)]  # ITU-R BT.601
    assert "A package of grey images sees its colours weighed to grey." in found.remarks


def test_windows_of_values_are_not_guessed(decoder: Decoder, red: Path) -> None:
    with pytest.raises(AnalysisError, match="it reads windows of CT values, and the file has none"):
        open_file(red, "PNG", decoder).source(rules(modalities=["CT"], windows=[(40, 400)]))
