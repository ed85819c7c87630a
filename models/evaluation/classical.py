"""What people ask for beside a network: fixed rules, and contrast changed before the network. Nothing is tuned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.letterbox import Letterbox
from models.evaluation.methods import Method, MethodOutput, NetworkMethod
from models.prediction import Model

Grey = NDArray[np.float32]
BLUR = 1 / 64  # of the shorter side: standard deviation of the Gaussian before the threshold
WINDOW = 1 / 16  # of the shorter side: over which edges are counted
CANNY_SIGMA = 2.0  # pixels
BRIGHTEST = 0.90  # regions are the tenth of the field (or image) above this quantile
FRAME = 1 / 8  # of the image at each side, where shoulders and air join the lungs
DARK_BODY = 0.05  # darker is outside the body, or collimated
CLIP_LIMIT = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class RuleMethod:
    """One map for all labels, made by a rule; it knows no finding and gives no probability."""

    rule: Callable[[Grey], tuple[Grey, float]]
    labels: int
    name: str
    note: str

    def predict(self, image: Grey, letterbox: Letterbox) -> MethodOutput:
        """The rule's map of the file's part of the input."""
        content, threshold = self.rule(image[letterbox.content])
        whole = np.full(image.shape, content.min(), np.float32)
        whole[letterbox.content] = content
        every = np.broadcast_to(whole, (self.labels, *whole.shape))
        return MethodOutput(None, every, np.full(self.labels, threshold), np.zeros(self.labels))


@dataclass(frozen=True, slots=True, eq=False)
class ContrastMethod:
    """The package on an image whose contrast was changed."""

    network: NetworkMethod
    contrast: Callable[[Grey], Grey]
    name: str
    note: str

    def predict(self, image: Grey, letterbox: Letterbox) -> MethodOutput:
        """Change the file's part of the input, the black around it not, and predict."""
        changed = np.zeros_like(image)
        changed[letterbox.content] = np.clip(self.contrast(image[letterbox.content]), 0, 1)
        return self.network.predict(changed, letterbox)


def methods(model: Model) -> tuple[Method, ...]:
    """All that a package is measured beside."""
    count, network = len(model.card.labels), NetworkMethod(model)
    return (
        ContrastMethod(network, equalized, "package, equalized", "histogram equalization before it, not retrained"),
        ContrastMethod(network, clahe, "package, CLAHE", f"CLAHE (clip limit {CLIP_LIMIT}) before it, not retrained"),
        RuleMethod(
            bright_in_lungs,
            count,
            "threshold, morphology",
            "brightest tenth of the hull of the dark parts (lungs) of the body, by Otsu's threshold",
        ),
        RuleMethod(edge_density, count, "Canny edges", "tenth of the image with the most Canny edges (sigma 2) around"),
    )


def equalized(image: Grey) -> Grey:
    """Histogram equalization, 0..1."""
    from skimage.exposure import equalize_hist  # noqa: PLC0415 (only comparisons need scikit-image)

    return np.asarray(equalize_hist(image), np.float32)


def clahe(image: Grey) -> Grey:
    """Contrast-limited adaptive histogram equalization with windows of an eighth of the image. Zuiderveld, 1994."""
    from skimage.exposure import equalize_adapthist  # noqa: PLC0415

    return np.asarray(equalize_adapthist(image, clip_limit=CLIP_LIMIT), np.float32)


def bright_in_lungs(image: Grey) -> tuple[Grey, float]:
    """Blurred brightness inside the lung field, 0 outside, and the threshold of its brightest tenth.

    The field: in the middle three quarters of the image, the two largest dark parts (Otsu's threshold over the body
    there), opened, each in its convex hull. An image without such parts has no field: the body itself is taken.
    """
    from skimage.filters import gaussian  # noqa: PLC0415

    blurred = np.asarray(gaussian(image, BLUR * min(image.shape)), np.float32)
    body = blurred > DARK_BODY
    field = lung_field(blurred, body)
    field = field if field.any() else body
    if not field.any():
        return np.zeros_like(blurred), np.inf
    return np.where(field, blurred, 0).astype(np.float32), float(np.quantile(blurred[field], BRIGHTEST))


def lung_field(blurred: Grey, body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The convex hulls of the two largest dark parts of the body in the middle of the image."""
    from skimage.filters import threshold_otsu  # noqa: PLC0415
    from skimage.measure import label, regionprops  # noqa: PLC0415
    from skimage.morphology import convex_hull_image, disk, opening  # noqa: PLC0415

    rows, columns = (round(FRAME * length) for length in blurred.shape)
    middle, field = np.zeros(blurred.shape, np.bool_), np.zeros(blurred.shape, np.bool_)
    middle[rows:-rows, columns:-columns] = body[rows:-rows, columns:-columns]
    if not middle.any() or float(np.ptp(blurred[middle])) == 0:
        return field
    dark = middle & (blurred < threshold_otsu(blurred[middle]))
    parts = label(opening(dark.astype(np.uint8), disk(max(1, round(BLUR * min(blurred.shape))))))
    for part in sorted(regionprops(parts), key=lambda one: -one.area)[:2]:
        field |= convex_hull_image(parts == part.label)
    return field


def edge_density(image: Grey) -> tuple[Grey, float]:
    """Canny edges (1986) counted under a Gaussian window, and the threshold of the densest tenth of the image."""
    from skimage.feature import canny  # noqa: PLC0415
    from skimage.filters import gaussian  # noqa: PLC0415

    edges = canny(image, sigma=CANNY_SIGMA).astype(np.float32)
    density = np.asarray(gaussian(edges, WINDOW * min(image.shape)), np.float32)
    return density, max(float(np.quantile(density, BRIGHTEST)), 1e-6)
