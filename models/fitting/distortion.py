"""Changes that a radiograph with a lung mask may undergo: framing of other hospitals, grey levels of other detectors.

Images are (N, 1, rows, columns) of 0..1. They may be mirrored: a mirrored chest has lungs just the same, and which is
the right one is decided later, by their place.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.fitting.draws import Draws


def reframed(images: Tensor, masks: Tensor, side: int, draws: Draws, mirrored: float = 0.25) -> tuple[Tensor, Tensor]:
    """Images and masks scaled, turned, sheared, moved, bent, this part mirrored, and resampled to `side` pixels."""
    size, angle = 1.1 * draws.factor(1.5), draws.between(-0.35, 0.35) * draws.some(0.7)
    aspect, shear = draws.factor(1.16), draws.between(-0.1, 0.1)
    mirror = torch.where(draws.some(mirrored), -1.0, 1.0)
    cosine, sine = size * torch.cos(angle), size * torch.sin(angle)
    down, across = size * draws.between(-0.2, 0.2), size * draws.between(-0.2, 0.2)
    first = torch.cat([aspect * cosine * mirror, -sine / aspect + shear, across], 3)
    second = torch.cat([aspect * sine * mirror, cosine / aspect, down], 3)
    grid = functional.affine_grid(
        torch.cat([first, second], 2)[:, 0], [len(images), 1, side, side], align_corners=False
    )
    bend = draws.normal(2, 6, 6) * draws.between(0.0, 0.05)
    grid = grid + _upsampled(bend, side).permute(0, 2, 3, 1)
    return tuple(functional.grid_sample(one, grid, align_corners=False) for one in (images, masks))  # type: ignore[return-value]


def exposed(images: Tensor, masks: Tensor, draws: Draws) -> Tensor:
    """Images with other opacities, contrast, sharpness and noise, some inverted, some collimated around the lungs."""
    x = _stretched(_clouded(images, draws)) ** draws.factor(2.0)
    x = _sharpened(x * draws.between(0.5, 1.1) + draws.between(-0.1, 0.3), draws)
    if draws.once(0.15):
        x = _equalized(x)
    x = x.clamp(0.0, 1.0 if draws.once(0.5) else 1.3)  # 1.3: what is overexposed in a radiograph is not so in all
    x = torch.where(draws.some(0.06), 1.0 - x, x)
    x = x + torch.randn(x.shape, generator=draws.generator) * draws.between(0.0, 0.06)
    return torch.where(draws.some(0.35), _collimated(x, masks, draws), x)


def _upsampled(coarse: Tensor, side: int) -> Tensor:
    return functional.interpolate(coarse, (side, side), mode="bicubic", align_corners=True)


def _clouded(x: Tensor, draws: Draws) -> Tensor:
    """Smooth bright clouds over lungs and all else, as opacities are, and a slope of brightness."""
    side = x.shape[-1]
    wide, narrow = _upsampled(draws.normal(1, 5, 5), side), _upsampled(draws.normal(1, 12, 12), side)
    x = x + draws.some(0.4) * draws.between(0.0, 0.35) * functional.relu(wide)
    x = x + draws.some(0.3) * draws.between(0.0, 0.3) * functional.relu(narrow - 0.5)
    return x + draws.some(0.5) * draws.between(0.0, 0.15) * wide.flip(3)


def _stretched(x: Tensor) -> Tensor:
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    return (x - low) / (high - low + 1e-3)


def _sharpened(x: Tensor, draws: Draws) -> Tensor:
    """A quarter of the batches are blurred, a fifth have their edges enhanced."""
    if draws.once(0.25):
        return blurred(x, 0.5 + 1.5 * float(torch.rand((), generator=draws.generator)))
    return 2.0 * x - blurred(x, 2.0) if draws.once(0.25) else x


def blurred(x: Tensor, sigma: float) -> Tensor:
    """The image under a Gaussian of `sigma` pixels; at the border its edge is continued."""
    radius = int(3 * sigma) + 1
    kernel = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    x = functional.pad(x, (radius,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(x, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def _equalized(x: Tensor) -> Tensor:
    """Deviations from the local mean over the local deviation, as adaptive equalization of a console does."""
    away = x - _local(x)
    return away / (_local(away * away).sqrt() + 0.05) * 0.2 + 0.5


def _local(x: Tensor) -> Tensor:
    """Means over about 40 pixels."""
    coarse = functional.avg_pool2d(functional.avg_pool2d(x, 8), 5, 1, 2, count_include_pad=False)
    return functional.interpolate(coarse, x.shape[-2:], mode="bilinear")


def _collimated(x: Tensor, masks: Tensor, draws: Draws) -> Tensor:
    """Black, seldom white, outside a turned rectangle that keeps the lungs."""
    line = torch.linspace(-1.0, 1.0, x.shape[-1])
    angle = draws.between(-0.25, 0.25)
    across = torch.cos(angle) * line[None, None, None, :] + torch.sin(angle) * line[None, None, :, None]
    down = torch.cos(angle) * line[None, None, :, None] - torch.sin(angle) * line[None, None, None, :]
    keep = torch.ones_like(x, dtype=torch.bool)
    for along in (across, down):
        low = torch.where(masks > 0.5, along, 2.0).amin((1, 2, 3), keepdim=True)
        high = torch.where(masks > 0.5, along, -2.0).amax((1, 2, 3), keepdim=True)
        keep &= (along > low - draws.between(-0.02, 0.33)) & (along < high + draws.between(-0.02, 0.33))
    shade = torch.where(draws.some(0.8), 0.0, 1.0)
    return torch.where(keep | ~(masks > 0.5).any(-1, keepdim=True).any(-2, keepdim=True), x, shade)
