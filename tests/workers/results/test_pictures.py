from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from node.entities import Picture
from tests.workers.results_phantoms import (
    analysed,
    ct_source,
    image_source,
    largest_slice,
    no_findings,
    radiograph,
    two_findings,
)
from workers.findings import wording
from workers.findings.findings import Finding
from workers.findings.source import Source
from workers.results import pictures


def pixels(picture: Picture) -> NDArray[np.uint8]:
    with Image.open(picture.path) as image:
        return np.asarray(image)


def drawn(source: Source, folder: Path, found: Callable[[Source], tuple[Finding, ...]] = two_findings) -> list[Picture]:
    return list(pictures.draw(analysed(source, found(source)), folder / "study"))


def test_a_layer_is_the_regions_of_its_finding_in_its_colour(tmp_path: Path) -> None:
    source = image_source(radiograph())
    base, *layers = drawn(source, tmp_path)
    assert (base.label, base.sop_instance_uid, pixels(base).shape) == ("", str(radiograph().SOPInstanceUID), (256, 200))
    present = [finding for finding in two_findings(source) if finding.regions]
    assert [layer.label for layer in layers] == [finding.label.title for finding in present] != []
    for layer, finding in zip(layers, present, strict=True):
        inside = np.any([region.mask for region in finding.regions], axis=0)
        shown = pixels(layer)
        assert np.array_equal(shown[..., 3] > 0, inside)
        assert {tuple(one) for one in shown[inside][:, :3]} == {finding.label.colour}
        assert layer.colour == "#{:02x}{:02x}{:02x}".format(*finding.label.colour)
        assert layer.caption == wording.place(finding.regions[0].location)


def test_a_large_image_is_made_smaller_and_says_so(tmp_path: Path) -> None:
    base, *layers = drawn(image_source(radiograph(2048, 1000)), tmp_path)
    assert pixels(base).shape == (1024, 500)
    assert all(pixels(layer).shape == (1024, 500, 4) for layer in layers)
    assert base.caption.endswith("1000 x 2048 pixels, shown as 500 x 1024")


def test_of_a_volume_the_slices_are_shown_where_regions_are_largest(tmp_path: Path) -> None:
    source = ct_source()
    made = drawn(source, tmp_path)
    wanted = {largest_slice(region.mask) for finding in two_findings(source) for region in finding.regions}
    bases = [picture for picture in made if not picture.label]
    assert {picture.sop_instance_uid for picture in bases} == {str(source.headers[i].SOPInstanceUID) for i in wanted}
    shown = pixels(bases[0])
    assert (shown[0, 0], shown[32, 40]) == (round(255 * 350 / 1500 - 0.5), round(255 * 1350 / 1500 - 0.5))  # air, water


@pytest.mark.parametrize("source", [image_source(radiograph()), ct_source()], ids=["image", "volume"])
def test_without_findings_the_image_alone_is_shown(tmp_path: Path, source: Source) -> None:
    (base,) = drawn(source, tmp_path, no_findings)
    assert base.label == ""
    assert [path.name for path in (tmp_path / "study").iterdir()] == [Path(base.path).name]


def test_the_same_input_gives_the_same_files(tmp_path: Path) -> None:
    first = {picture.path: Path(picture.path).read_bytes() for picture in drawn(image_source(radiograph()), tmp_path)}
    again = {picture.path: Path(picture.path).read_bytes() for picture in drawn(image_source(radiograph()), tmp_path)}
    assert first == again
