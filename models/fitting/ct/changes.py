"""Changes that a chest CT with masks of the lungs may undergo: framing, disease that fills a lung, noise.

Volumes are (1, 1, d, h, w) in HU, masks (1, 2, d, h, w) of the right and the left lung. Fluid lies at the back, free
air at the front, as in a patient on the back; consolidation lies anywhere. What fills a lung stays part of it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.fitting.draws import Draws

AIR = -1024.0
SLOPE = 0.35  # of a level of fluid, in heights of the volume


def reframed(hu: Tensor, masks: Tensor, shape: tuple[int, int, int], draws: Draws) -> tuple[Tensor, Tensor]:
    """Scaled, turned, moved, mirrored with the sides exchanged, and cut to `shape`; beyond it air or the border."""
    theta = _affine(hu.shape[2:], shape, draws)
    grid = functional.affine_grid(theta[None], [1, 1, *shape], align_corners=False)
    padding = "border" if draws.once(0.6) else "zeros"
    cut = functional.grid_sample(hu - AIR, grid, padding_mode=padding, align_corners=False) + AIR
    inside = functional.grid_sample(masks, grid, align_corners=False)
    if draws.once(0.5):
        return cut.flip(4), inside.flip(4).flip(1)
    return cut, inside


def diseased(hu: Tensor, masks: Tensor, draws: Draws) -> Tensor:
    """Some lungs filled in part: fluid, free air over a collapsed rest, consolidation, all of it."""
    for side in (0, 1):
        if draws.once(0.45):
            hu = _filled(hu, masks[:, side : side + 1], draws)
    return hu


def scanned(hu: Tensor, draws: Draws) -> Tensor:
    """Noise, blur, other HU."""
    noise = draws.normal(*hu.shape[1:]) * 60.0 * _one(draws) ** 2
    if draws.once(0.5):
        noise = _smooth(noise, 3) * 2.0
    hu = hu * (1.0 + 0.06 * (2.0 * _one(draws) - 1.0)) + 50.0 * (2.0 * _one(draws) - 1.0) + noise
    return _smooth(hu, 3) if draws.once(0.2) else hu


def _affine(size: torch.Size, shape: tuple[int, int, int], draws: Draws) -> Tensor:
    """(3, 4) of x, y, z in halves of the volume's sides."""
    angles = [0.25 * (2 * _one(draws) - 1), 0.12 * (2 * _one(draws) - 1), 0.12 * (2 * _one(draws) - 1)]
    turn = _turn(0, 1, angles[0]) @ _turn(0, 2, angles[1]) @ _turn(1, 2, angles[2])
    whole = 1.25 ** (2.0 * _one(draws) - 1.0)
    scale = torch.tensor([whole * 1.1 ** (2.0 * _one(draws) - 1.0) for _ in range(3)])
    out, into = torch.tensor(shape[::-1]) / 2.0, torch.tensor(list(size)[::-1]) / 2.0
    shift = torch.tensor([0.15, 0.15, 0.3]) * (2.0 * torch.rand(3, generator=draws.generator) - 1.0)
    return torch.cat([turn * scale * out / into[:, None], shift[:, None]], 1)


def _turn(first: int, second: int, angle: float) -> Tensor:
    turn, value = torch.eye(3), torch.tensor(angle)
    turn[first, first] = turn[second, second] = torch.cos(value)
    turn[first, second], turn[second, first] = -torch.sin(value), torch.sin(value)
    return turn


def _filled(hu: Tensor, lung: Tensor, draws: Draws) -> Tensor:
    kind = int(torch.randint(4, (), generator=draws.generator))
    soft = -10.0 + 60.0 * _one(draws) + 15.0 * draws.normal(*hu.shape[1:])
    if kind == 0:
        return torch.where(_below(lung, draws), _mix(hu, soft, lung), hu)
    if kind == 1:
        collapsed = torch.clamp(hu + 600.0 * _one(draws), max=60.0)
        return _mix(hu, torch.where(_below(lung, draws), collapsed, -1000.0), lung)
    if kind == 2:
        cloudy = torch.where(_cloud(hu, draws), hu + (soft - hu) * (0.3 + 0.7 * _one(draws)), hu)
        return _mix(hu, cloudy, lung)
    return _mix(hu, soft, lung) if draws.once(0.4) else hu


def _mix(hu: Tensor, other: Tensor, lung: Tensor) -> Tensor:
    return hu + (other - hu) * lung


def _below(lung: Tensor, draws: Draws) -> Tensor:
    """The part of the volume behind a sloping level through the lung."""
    z, y = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in lung.shape[2:4]), indexing="ij")
    height = (y + SLOPE * (2.0 * _one(draws) - 1.0) * 2.0 * z)[None, None, :, :, None].expand_as(lung)
    inside = height[lung > 0.5]
    if not len(inside):
        return torch.zeros_like(lung, dtype=torch.bool)
    return height > torch.quantile(inside[:: max(1, len(inside) // 4096)], _one(draws))


def _cloud(hu: Tensor, draws: Draws) -> Tensor:
    cells = 3 + int(torch.randint(6, (), generator=draws.generator))
    coarse = draws.normal(1, cells, cells, cells)
    return functional.interpolate(coarse, hu.shape[2:], mode="trilinear", align_corners=True) > 1.5 * _one(draws) - 0.5


def _smooth(x: Tensor, width: int) -> Tensor:
    return functional.avg_pool3d(x, width, 1, width // 2, count_include_pad=False)


def _one(draws: Draws) -> float:
    return float(torch.rand((), generator=draws.generator))
