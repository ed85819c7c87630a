from __future__ import annotations

import numpy as np
import pytest

from models.data.letterbox import Letterbox
from models.regions import MOST_REGIONS, Mask, components, label_regions, map_regions
from tests.models import phantoms


def _rectangle(shape: tuple[int, int], rows: slice, columns: slice) -> Mask:
    mask = np.zeros(shape, dtype=np.bool_)
    mask[rows, columns] = True
    return mask


def test_maps_lie_in_the_file_where_the_node_lays_them() -> None:
    from workers.inputs.grid import Grid

    rng = np.random.default_rng(0)
    for file in ((200, 300), (256, 256)):
        saliency = rng.normal(size=(16, 16)).astype(np.float32)
        grid, letterbox = Grid.fit(*file, (256, 256)), Letterbox.fit(file, (256, 256))
        theirs, ours = grid.to_source(saliency), letterbox.to_file(saliency)
        if file == (256, 256):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
        else:  # the letterbox of files is in whole pixels
            assert np.abs(ours - theirs).mean() < 0.05


def test_the_best_come_first_and_the_smallest_are_left_out() -> None:
    saliency = np.zeros((64, 64), np.float32)
    saliency[5:15, 5:25], saliency[40:50, 40:60], saliency[30:33, 5:8] = 1.0, 2.0, 3.0
    first, second = map_regions(saliency, 0.5, smallest_fraction=100 / 64**2)
    assert (first.rectangle, first.score) == ((40.0, 40.0, 20.0, 10.0), 2.0)
    assert (second.rectangle, second.score) == ((5.0, 5.0, 20.0, 10.0), 1.0)
    assert len(map_regions(saliency, 0.5)) == MOST_REGIONS == 2
    assert len(map_regions(saliency, 0.5, most=3)) == 3
    assert len(map_regions(saliency, 0.5, most=1)) == 1
    assert map_regions(saliency, 4.0) == ()


def test_a_labels_region_lies_in_pixels_of_the_file_at_the_cards_threshold() -> None:
    label = phantoms.card().labels[0].model_copy(update={"saliency_threshold": 0.5, "smallest_region_fraction": 0.0})
    saliency = np.zeros((16, 16), np.float32)
    saliency[8:12, 4:8] = 1.0
    (region,) = label_regions(saliency, Letterbox.fit((512, 512), (128, 128)), label)
    assert region.rectangle == pytest.approx((128, 256, 128, 128), abs=2)


def test_the_part_with_the_largest_saliency_comes_first_and_only_so_many() -> None:
    inside = np.zeros((100, 100), dtype=np.bool_)
    saliency = np.zeros((100, 100), dtype=np.float32)
    for row, peak in ((10, 1.0), (30, 3.0), (50, 2.0), (70, 4.0)):
        inside[row : row + 8, 20:30] = True
        saliency[row, 20] = peak
    inside[90:92, 90:92] = True  # too small
    found = components(inside, None, saliency, smallest=20, most=3)
    assert [int(np.argwhere(part)[:, 0].min()) for part in found] == [70, 30, 50]
    assert all(part.shape == (100, 100) for part in found)
    assert len(components(inside, None, saliency, smallest=20, most=9)) == 4


def test_holes_are_filled_and_spurs_cut() -> None:
    inside = _rectangle((60, 60), slice(20, 40), slice(20, 40))
    inside[28:31, 28:31] = False
    inside[30, 40:58] = True
    (part,) = components(inside, None, inside.astype(np.float32), 1, 3)
    assert part[29, 29]
    assert not part[30, 45:].any()
    assert part.sum() == pytest.approx(400, abs=8)


def test_padding_never_belongs_to_a_region() -> None:
    inside = _rectangle((60, 60), slice(20, 40), slice(20, 40))
    allowed = np.ones_like(inside)
    allowed[30, 30] = False  # would be filled as a hole
    (part,) = components(inside & allowed, allowed, inside.astype(np.float32), 1, 3)
    assert not part[30, 30]


def test_a_volume_keeps_what_is_one_slice_thin() -> None:
    inside = np.zeros((5, 40, 40), dtype=np.bool_)
    inside[2, 10:20, 10:20] = True
    (part,) = components(inside, None, inside.astype(np.float32), 1, 3)
    assert part[2].sum() == pytest.approx(100, abs=4)
    assert part.sum() == part[2].sum()


def test_nothing_inside_gives_no_region() -> None:
    nothing = np.zeros((5, 5), dtype=np.bool_)
    assert components(nothing, None, nothing.astype(np.float32), 0, 3) == ()
