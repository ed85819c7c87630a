"""Where findings can lie on a frontal chest radiograph: masks around the lungs, by morphology."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from scipy import ndimage

from models.anatomy.lungs import Lungs
from models.anatomy.zones import between
from models.regions import Mask, bounds

PLEURA = 0.035  # of the lungs' width: the margin around a lung that is pleura and the border of its mask
HILUM = 0.12  # of the lungs' width, to each side of the inner border of a lung
BELOW = 0.35  # of the lungs' height: what is looked at below the diaphragm
DOME = 0.12  # of the lungs' height: as far above the middle of the lungs' lower borders the diaphragm may reach
INNER_LEFT, INNER_RIGHT = 0.75, 0.35  # part of a lung's width, from its inner border, that the heart may cover


def territory(name: str, lungs: Lungs) -> Mask:
    """The mask (rows, columns) of a name of `TERRITORIES`; the whole map where no lung is seen."""
    if not (lungs.right.any() and lungs.left.any()):
        return np.ones_like(lungs.right)
    return TERRITORIES[name](lungs)


def _lungs(lungs: Lungs) -> Mask:
    """Lungs with the pleural margin."""
    return _dilated(lungs.both, PLEURA * _width(lungs))


def _pleura(lungs: Lungs) -> Mask:
    """The margin within and around each lung: air or fluid is seen on both sides of a mask's border."""
    margin = 3 * PLEURA * _width(lungs)
    inner = ndimage.distance_transform_edt(lungs.both) > margin
    found: Mask = _lungs(lungs) & ~inner
    return found


def _heart(lungs: Lungs) -> Mask:
    """Between the lungs and over their inner parts, from a third of their height down to below the diaphragm's dome."""
    rows, _ = bounds(lungs.both)
    height = rows.stop - rows.start
    right, left = _inner_part(lungs.right, INNER_RIGHT, towards_end=True), _inner_part(lungs.left, INNER_LEFT)
    whole = between(lungs.right, lungs.left) | right | left
    return whole & _rows(whole.shape, rows.start + height // 3, rows.stop + height // 12)


def _mediastinum(lungs: Lungs) -> Mask:
    """Between the lungs over their whole height, with a pleural margin."""
    return _dilated(between(lungs.right, lungs.left), PLEURA * _width(lungs))


def _hilum(lungs: Lungs) -> Mask:
    """Around the inner borders of the lungs, the middle half of their height."""
    rows, _ = bounds(lungs.both)
    height = rows.stop - rows.start
    middle = _rows(lungs.both.shape, rows.start + height // 4, rows.start + 3 * height // 4)
    near = ndimage.distance_transform_edt(~between(lungs.right, lungs.left)) < HILUM * _width(lungs)
    found: Mask = near & middle
    return found


def _below_diaphragm(lungs: Lungs) -> Mask:
    """Under each column's lowest lung pixel, with a margin above it: where free air lies."""
    rows, columns = bounds(lungs.both)
    height = rows.stop - rows.start
    lowest = np.where(lungs.both.any(axis=0), len(lungs.both) - np.argmax(lungs.both[::-1], axis=0), 0)
    lowest = np.maximum(lowest, np.median(lowest[lowest > 0]) - DOME * height)
    down = np.arange(len(lungs.both))[:, None]
    across = np.arange(lungs.both.shape[1])
    deep = (down >= lowest - PLEURA * height) & (down < rows.stop + BELOW * height)
    found: Mask = deep & ((across >= columns.start) & (across < columns.stop))
    return found


def _chest(lungs: Lungs) -> Mask:
    """The frame of the thorax."""
    found = np.zeros_like(lungs.right)
    found[lungs.frame.pixels((lungs.right.shape[0], lungs.right.shape[1]))] = True
    return found


TERRITORIES: Mapping[str, Callable[[Lungs], Mask]] = MappingProxyType(
    {
        "lungs": _lungs,
        "pleura": _pleura,
        "heart": _heart,
        "mediastinum": _mediastinum,
        "hilum": _hilum,
        "below diaphragm": _below_diaphragm,
        "chest": _chest,
    }
)


def _width(lungs: Lungs) -> int:
    columns = bounds(lungs.both)[1]
    return int(columns.stop - columns.start)


def _dilated(mask: Mask, margin: float) -> Mask:
    found: Mask = ndimage.distance_transform_edt(~mask) <= margin
    return found


def _rows(shape: tuple[int, ...], first: int, stop: int) -> Mask:
    mask = np.zeros(shape, np.bool_)
    mask[max(first, 0) : stop] = True
    return mask


def _inner_part(lung: Mask, part: float, *, towards_end: bool = False) -> Mask:
    """The columns of a lung that lie next to the other one."""
    columns = bounds(lung)[1]
    reach = round(part * (columns.stop - columns.start))
    kept = np.zeros_like(lung)
    chosen = slice(columns.stop - reach, columns.stop) if towards_end else slice(columns.start, columns.start + reach)
    kept[:, chosen] = lung[:, chosen]
    return kept
