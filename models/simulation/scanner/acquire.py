"""From tissue to a scan: blur of the kernel, slice thickness, noise, quantization.

What the scan does is the same for chests with and without lesions, so that no lesion is known by its border or noise.
Soft kernels blur more and have less noise, of lower frequency; sharp ones the reverse. A slice averages the tissue of
its thickness; noise falls with the root of it and is correlated from slice to slice after interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.simulation.fields import Spacing
from models.simulation.scanner.noise import kernel_noise

HIGHEST_HU = 1535
FLOORS_HU = (-1024, -1000)


@dataclass(frozen=True, slots=True)
class Scan:
    """One way to scan.

    Attributes
    ----------
    sigma
        Standard deviation of the noise that is added, HU.
    sharpness
        Of the kernel: where its noise spectrum rolls off, as a part of the Nyquist frequency of the plane.
    blur_mm, thickness_mm
        Gaussian in the plane; box between slices, 0 for none.
    floor_hu
        What the file cannot go below.
    """

    sigma: float
    sharpness: float
    blur_mm: float
    thickness_mm: float
    floor_hu: int


def drawn_scan(rng: np.random.Generator, *, real: bool) -> Scan:
    """A scan of a phantom, or what is added to a real scan: less, since it has its own blur and noise."""
    sharpness = float(rng.uniform(0.3, 0.95))
    sigma = float(np.exp(rng.normal(np.log(7.0 + 18.0 * sharpness), 0.35)))
    floor = int(rng.choice(FLOORS_HU, p=[0.65, 0.35]))
    if real:
        return Scan(0.4 * sigma, sharpness, float(rng.uniform(0.0, 0.5)), float(rng.choice([0.0, 2.5])), floor)
    return Scan(sigma, sharpness, float(0.95 - 0.6 * sharpness), float(rng.choice([1.0, 2.5, 3.0, 5.0])), floor)


def scanned(hu: NDArray[np.float32], spacing: Spacing, scan: Scan, rng: np.random.Generator) -> NDArray[np.int16]:
    """The voxels (d, h, w) as the scan stores them, int16 HU."""
    depth, rows, columns = hu.shape
    noise = kernel_noise(rng, (depth, rows, columns), spacing, scan.sigma, scan.sharpness)
    weights = box_weights(scan.thickness_mm / spacing[0])
    image = ndimage.convolve1d(hu, weights, axis=0, mode="nearest")
    noise = ndimage.convolve1d(noise, weights, axis=0, mode="wrap")
    image = ndimage.gaussian_filter(image, (0, scan.blur_mm / spacing[1], scan.blur_mm / spacing[2]), truncate=3.0)
    image += noise * np.float32(scan.sigma / max(float(noise.std()), 1e-6))
    stored: NDArray[np.int16] = np.clip(np.rint(image), scan.floor_hu, HIGHEST_HU).astype(np.int16)
    return stored


def box_weights(width: float) -> NDArray[np.float32]:
    """Weights of a box of `width` voxels around a voxel's middle; narrower than a voxel: the voxel alone."""
    half = max(width, 1.0) / 2.0
    reach = int(np.ceil(half - 0.5))
    edges = np.clip(np.abs(np.arange(-reach, reach + 1)) - 0.5, 0, None), np.abs(np.arange(-reach, reach + 1)) + 0.5
    weights = np.clip(np.minimum(edges[1], half) - np.minimum(edges[0], half), 0, None)
    weights[reach] = min(1.0, 2 * half)
    scaled: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
    return scaled
