"""Noise of CT: its power spectrum by kernel, and that of a scan at hand.

Filtered back projection amplifies spatial frequency f in the plane by the ramp, then the kernel rolls it off: the
noise power spectrum is f * exp(-(f / f0)^2) with f0 of the kernel (Riederer et al., Phys Med Biol 1978, doi
10.1088/0031-9155/23/3/004; Boedeker et al., Phys Med Biol 2007, doi 10.1088/0031-9155/52/14/002). Between slices it is
correlated by the slice thickness and by interpolation. The noise of a real background is estimated where tissue is
plain, as its standard deviation and its correlation between neighbours, and drawn again as Gaussian noise with both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

SOFT_TISSUE_HU = (-20.0, 130.0)
FAR_MM = 8.0  # noise is not correlated over this distance


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviation in HU and correlation length in mm (Gaussian), in the plane and between slices."""

    sigma: float
    plane_mm: float = 1.0
    slice_mm: float = 1.0

    def drawn(
        self, rng: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, float, float]
    ) -> NDArray[np.float32]:
        """One draw (d, h, w) HU."""
        white = rng.standard_normal(shape, dtype=np.float32)
        if self.sigma <= 0:
            return np.zeros(shape, np.float32)
        lengths = (self.slice_mm / spacing[0], self.plane_mm / spacing[1], self.plane_mm / spacing[2])
        smooth: NDArray[np.float32] = ndimage.gaussian_filter(white, lengths, truncate=3.0, mode="wrap")
        return smooth * np.float32(self.sigma / max(float(smooth.std()), 1e-6))


def estimated(hu: NDArray[np.float32], spacing: tuple[float, float, float]) -> Noise:
    """Noise of a scan from plain soft tissue in its middle third; sigma 0 where there is too little of it.

    Half the variance of the difference of two voxels `lag` apart is sigma^2 (1 - correlation at the lag): far apart
    sigma^2 alone, for neighbours it gives their correlation. Medians, so that edges and vessels do not count.
    """
    slab = hu[hu.shape[0] // 3 : -(hu.shape[0] // 3) or None]
    tissue = (slab > SOFT_TISSUE_HU[0] - 70) & (slab < SOFT_TISSUE_HU[1] + 70)
    mean = ndimage.uniform_filter(slab, 5)
    plain = ndimage.uniform_filter(tissue.astype(np.float32), 5) > 0.999
    plain &= (mean > SOFT_TISSUE_HU[0]) & (mean < SOFT_TISSUE_HU[1])
    if plain.sum() < 500:
        return Noise(0.0)
    far = [_difference(slab, plain, axis, max(1, round(FAR_MM / spacing[axis]))) for axis in (1, 2)]
    sigma = sum(far) / 2.0
    near = [_difference(slab, plain, axis, 1) for axis in range(3)]
    lengths = [_length(1.0 - (one / max(sigma, 1e-3)) ** 2, step) for one, step in zip(near, spacing, strict=True)]
    return Noise(sigma, (lengths[1] + lengths[2]) / 2, lengths[0])


def _difference(hu: NDArray[np.float32], plain: NDArray[np.bool_], axis: int, lag: int) -> float:
    """Standard deviation of the difference of plain voxels `lag` apart over the root of 2."""
    count = hu.shape[axis] - lag
    first, second = (
        [slice(start, start + count) if one == axis else slice(None) for one in range(3)] for start in (0, lag)
    )
    both = plain[tuple(first)] & plain[tuple(second)]
    if not both.any():
        return 0.0
    difference = hu[tuple(first)][both] - hu[tuple(second)][both]
    return float(1.4826 * np.median(np.abs(difference)) / np.sqrt(2.0))


def _length(correlation: float, step: float) -> float:
    """Sigma of the Gaussian in mm whose noise has that correlation of neighbours: exp(-(step / 2 sigma)^2)."""
    return step / (2.0 * float(np.sqrt(-np.log(np.clip(correlation, 0.02, 0.95)))))


def kernel_noise(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    sigma: float,
    sharpness: float,
) -> NDArray[np.float32]:
    """Noise (d, h, w) with the spectrum of a kernel: f0 is `sharpness` of the plane's Nyquist frequency."""
    white = rng.standard_normal(shape, dtype=np.float32)
    rows, columns = fft.fftfreq(shape[1])[:, None], fft.rfftfreq(shape[2])[None, :]
    frequency = np.hypot(rows * spacing[2] / spacing[1], columns)
    amplitude = np.sqrt(frequency) * np.exp(-0.5 * (frequency / (0.5 * sharpness)) ** 2)
    spectrum = fft.rfft2(white, axes=(1, 2)) * amplitude.astype(np.float32)
    noise = fft.irfft2(spectrum, s=shape[1:], axes=(1, 2)).astype(np.float32)
    scale = sigma / max(float(noise.std()), 1e-6)
    scaled: NDArray[np.float32] = noise * np.float32(scale)
    return scaled
