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
PLAIN_MM = 5.0  # an edge is farther away than this where noise is measured


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
    """Noise of a scan from its plain soft tissue; sigma 0 where there is too little of it."""
    step = max(1, round(PLAIN_MM / 2 / spacing[1]))
    smooth = ndimage.uniform_filter(hu, (1, 2 * step + 1, 2 * step + 1))
    tissue = (hu > SOFT_TISSUE_HU[0] - 60) & (hu < SOFT_TISSUE_HU[1] + 60)
    plain = ndimage.minimum_filter(tissue.view(np.uint8), (1, 4 * step + 1, 4 * step + 1)) > 0
    plain &= (smooth > SOFT_TISSUE_HU[0]) & (smooth < SOFT_TISSUE_HU[1])
    if plain.sum() < 500:
        return Noise(0.0)
    rest = hu - smooth
    sigma = float(1.4826 * np.median(np.abs(rest[plain])))
    lengths = [_length(rest, plain, axis, spacing[axis]) for axis in range(3)]
    return Noise(sigma, (lengths[1] + lengths[2]) / 2, lengths[0])


def _length(rest: NDArray[np.float32], plain: NDArray[np.bool_], axis: int, step: float) -> float:
    """Sigma of the Gaussian in mm whose noise has the correlation of neighbours along an axis: exp(-(step/2s)^2)."""
    count = rest.shape[axis]
    first, second = (np.take(rest, range(start, start + count - 1), axis) for start in (0, 1))
    both = np.logical_and(*(np.take(plain, range(start, start + count - 1), axis) for start in (0, 1)))
    if both.sum() < 100:
        return 0.5 * step
    correlation = float(np.clip(np.corrcoef(first[both], second[both])[0, 1], 0.02, 0.95))
    return step / (2.0 * float(np.sqrt(-np.log(correlation))))


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
