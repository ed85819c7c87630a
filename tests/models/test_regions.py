from __future__ import annotations

import numpy as np
import pytest

from models.letterbox import Letterbox
from models.regions import components, label_regions, map_regions
from tests.models import phantoms


def test_regions_are_those_that_the_node_makes() -> None:
    from workers import regions
    from workers.grid import Grid

    rng = np.random.default_rng(0)
    for file in ((200, 300), (256, 256)):
        saliency = rng.normal(size=(16, 16)).astype(np.float32)
        grid, letterbox = Grid.fit(*file, (256, 256)), Letterbox.fit(file, (256, 256))
        theirs, ours = grid.to_source(saliency), letterbox.to_file(saliency)
        if file == (256, 256):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
        else:  # the letterbox of files is in whole pixels
            assert np.abs(ours - theirs).mean() < 0.05
        both = (made(theirs > 0.8, None, theirs, 20.0, 3) for made in (components, regions.components))
        for one, other in zip(*both, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_best_come_first_and_the_smallest_are_left_out() -> None:
    saliency = np.zeros((64, 64), np.float32)
    saliency[5:15, 5:25], saliency[40:50, 40:60], saliency[30:33, 5:8] = 1.0, 2.0, 3.0
    first, second = map_regions(saliency, 0.5, smallest_fraction=100 / 64**2)
    assert (first.rectangle, first.score) == ((40.0, 40.0, 20.0, 10.0), 2.0)
    assert (second.rectangle, second.score) == ((5.0, 5.0, 20.0, 10.0), 1.0)
    assert len(map_regions(saliency, 0.5)) == 3
    assert len(map_regions(saliency, 0.5, most=1)) == 1
    assert map_regions(saliency, 4.0) == ()


def test_a_labels_region_lies_in_pixels_of_the_file_at_the_cards_threshold() -> None:
    label = phantoms.card().labels[0].model_copy(update={"saliency_threshold": 0.5, "smallest_region_fraction": 0.0})
    saliency = np.zeros((16, 16), np.float32)
    saliency[8:12, 4:8] = 1.0
    (region,) = label_regions(saliency, Letterbox.fit((512, 512), (128, 128)), label)
    assert region.rectangle == pytest.approx((128, 256, 128, 128), abs=2)
