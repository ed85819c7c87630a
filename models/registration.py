"""A prior volume of the same patient matched to the current one: rigid, then affine (SimpleITK).

Both are resampled to cubes of `WORKING_SPACING` and cut to the HU of air and soft tissue. Rigid parameters are sought
coarsely from three starts, then one scale with the best of them, then all affine ones finely. With one thread and a
fixed seed the same volumes give the same transform.

The other direction is registered by itself, too: where the two disagree, neither can be trusted (inverse consistency,
Christensen and Johnson, IEEE TMI 2001). The metric is that of Mattes et al., IEEE TMI 2003.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.data.volumes.volume import Volume
from models.errors import InputError, RegistrationError

Points = NDArray[np.float64]
"""(n, 3): x, y, z LPS mm."""

WORKING_SPACING = 4.0  # mm
WINDOW = (-1000.0, 300.0)  # HU
BODY = -500.0  # HU; above it is body
BINS = 32  # of the joint histogram
SEED = 7
SAMPLES = 10_000  # voxels that a step sees, at most
SHRINK, SMOOTH = (3, 1), (6.0, 2.0)  # cubes a voxel, mm
RIGID_STEP, AFFINE_STEP = 4.0, 0.5  # mm, the first
LEAST_CORRELATION = 0.7
LEAST_OVERLAP = 0.4  # of the current body lies in the prior's field
MOST_WAY_BACK = 3.0  # mm
SCALES = (0.75, 1.33)  # of volume, by the affine part
SMALLEST = 16  # cubes a side


@dataclass(frozen=True, slots=True)
class Quality:
    """How well two volumes match."""

    correlation: float
    """Of HU in the overlap after registration, -1 to 1."""
    before: float
    """The same with the volumes as they lay."""
    overlap: float
    """Part of the current body that lies in the prior's field."""
    way_back_mm: float
    """Mean distance of points of the body from themselves, to the prior and back by the other registration."""
    scale: float
    """Of volume, from current to prior."""

    @property
    def objection(self) -> str:
        """Why the transform cannot be used, as a clause; "" where it can."""
        if self.overlap < LEAST_OVERLAP:
            return f"they share {100 * self.overlap:.0f} % of the body, less than {100 * LEAST_OVERLAP:.0f} %"
        if self.correlation < LEAST_CORRELATION:
            return f"their HU correlate by {self.correlation:.2f} at best, less than {LEAST_CORRELATION:g}"
        if self.way_back_mm > MOST_WAY_BACK:
            return f"there and back again ends {self.way_back_mm:.1f} mm off, more than {MOST_WAY_BACK:g} mm"
        if not SCALES[0] <= self.scale <= SCALES[1]:
            return f"the prior would have {self.scale:.2f} times the volume"
        return ""


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """Where points of the current volume lie in the prior, and the way back."""

    transform: sitk.AffineTransform
    """From the current volume's points to the prior's, LPS mm; as `sitk.Resample` takes it."""
    quality: Quality

    def to_prior(self, points: Points) -> Points:
        """(n, 3) LPS mm of the current volume, in the prior."""
        return _moved(self.transform, points)

    def to_current(self, points: Points) -> Points:
        """(n, 3) LPS mm of the prior, in the current volume."""
        return _moved(sitk.AffineTransform(self.transform.GetInverse()), points)

    def resampled(self, prior: Volume, current: Volume) -> Volume:
        """The prior on the current volume's grid; air where it has no voxels."""
        image = sitk.Resample(prior.image(), current.image(), self.transform, sitk.sitkLinear, WINDOW[0])
        return Volume.of_image(image)


def register(
    current: Volume,
    prior: Volume,
    current_mask: NDArray[np.bool_] | None = None,
    prior_mask: NDArray[np.bool_] | None = None,
) -> Registration:
    """Find the affine transform from the current volume to a prior one.

    Parameters
    ----------
    current_mask, prior_mask
        (d, h, w) where the match counts; the body by default. The table would hold the patient where it was.

    Raises
    ------
    InputError
        A volume is too small, or a mask has another shape.
    RegistrationError
        The volumes do not match well enough; the sentence has the figure.
    """
    one, other = _prepared(current, current_mask), _prepared(prior, prior_mask)
    forward, backward = _affine(one, other), _affine(other, one)
    quality = _quality(one, other, forward, backward)
    if quality.objection:
        raise RegistrationError(
            f"the prior volume cannot be brought to match the current one: {quality.objection}. Is it the same patient"
            " and the same part of the body?"
        )
    return Registration(forward, quality)


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A volume in cubes, HU cut to the window, and where it counts."""

    image: sitk.Image
    mask: sitk.Image
    given: bool
    """The mask is the caller's."""


def _prepared(volume: Volume, mask: NDArray[np.bool_] | None) -> _Prepared:
    if mask is not None and mask.shape != volume.array.shape:
        raise InputError(f"the mask has the shape {mask.shape}, its volume {volume.array.shape}.")
    image = sitk.Clamp(volume.image(), sitk.sitkFloat32, *WINDOW)
    size = [
        round(count * step / WORKING_SPACING) for count, step in zip(image.GetSize(), image.GetSpacing(), strict=True)
    ]
    if min(size) < SMALLEST:
        raise InputError(f"a volume of {size} cubes of {WORKING_SPACING:g} mm (x, y, z) is too small to be registered.")
    if min(image.GetSpacing()) < WORKING_SPACING / 1.5:
        image = sitk.SmoothingRecursiveGaussian(image, WORKING_SPACING / 2)
    grid = sitk.Image(size, sitk.sitkFloat32)
    grid.SetSpacing([WORKING_SPACING] * 3)
    grid.SetOrigin(image.GetOrigin())
    grid.SetDirection(image.GetDirection())
    cubes = sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, WINDOW[0])
    body = _body(cubes)
    counts = body if mask is None else _on(grid, volume.image(mask.astype(np.uint8)))
    if not sitk.GetArrayViewFromImage(counts).any():
        raise InputError("nothing in the volume is body, or its mask is empty: there is nothing to register.")
    return _Prepared(sitk.Mask(cubes, body, WINDOW[0]), counts, given=mask is not None)


def _on(grid: sitk.Image, mask: sitk.Image) -> sitk.Image:
    return sitk.Resample(mask, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0)


def _body(image: sitk.Image) -> sitk.Image:
    """The largest connected part above `BODY`, its holes (lungs) filled slice by slice, 9 mm of air around it."""
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(sitk.BinaryMorphologicalOpening(image > BODY, [1, 1, 1])))
    filled = [sitk.BinaryFillhole(parts[:, :, z] == 1) for z in range(parts.GetSize()[2])]
    body = sitk.JoinSeries(filled)
    body.CopyInformation(image)
    return sitk.BinaryDilate(body, [3, 3, 0])


def _affine(fixed: _Prepared, moving: _Prepared) -> sitk.AffineTransform:
    """From the fixed volume's points to the moving one's."""
    coarse, fine = SHRINK[:1], SHRINK[1:]
    tried = [_optimized(fixed, moving, start, coarse, RIGID_STEP) for start in _starts(fixed, moving)]
    rigid = min(tried, key=lambda one: one[1])[0]
    similar = _optimized(fixed, moving, _as(sitk.Similarity3DTransform(), rigid), coarse, AFFINE_STEP)[0]
    return _optimized(fixed, moving, _as(sitk.AffineTransform(3), similar), fine, AFFINE_STEP)[0]


def _as(wider: sitk.Transform, found: sitk.Transform) -> sitk.Transform:
    """The same transform with more parameters to be sought."""
    wider.SetCenter(found.GetCenter())
    wider.SetMatrix(found.GetMatrix())
    wider.SetTranslation(found.GetTranslation())
    return wider


def _starts(fixed: _Prepared, moving: _Prepared) -> Sequence[sitk.Euler3DTransform]:
    """Fields centred on each other, bodies centred on each other, and as they lie in the scanner."""
    rules = sitk.CenteredTransformInitializerFilter
    fields = sitk.CenteredTransformInitializer(fixed.image, moving.image, sitk.Euler3DTransform(), rules.GEOMETRY)
    bodies = sitk.CenteredTransformInitializer(
        sitk.Cast(fixed.mask, sitk.sitkFloat32), sitk.Cast(moving.mask, sitk.sitkFloat32),
        sitk.Euler3DTransform(), rules.MOMENTS,
    )  # fmt: skip
    centred = sitk.Euler3DTransform(bodies)
    lying = sitk.Euler3DTransform()
    lying.SetCenter(centred.GetCenter())
    return sitk.Euler3DTransform(fields), centred, lying


def _optimized(
    fixed: _Prepared, moving: _Prepared, start: sitk.Transform, shrink: Sequence[int], step: float
) -> tuple[sitk.Transform, float]:
    """The transform of the start's kind with the best metric at the last of these resolutions, and that metric."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(fixed.mask)
    if moving.given:
        method.SetMetricMovingMask(moving.mask)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel([_sampled(fixed.image, factor) for factor in shrink], SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step, minStep=0.02, numberOfIterations=60, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(list(shrink))
    method.SetSmoothingSigmasPerLevel([SMOOTH[SHRINK.index(factor)] for factor in shrink])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    transform = type(start)(start)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed.image, moving.image)
    except RuntimeError as error:
        raise RegistrationError(
            "the prior volume cannot be brought to match the current one: too little of one lies in the other. Is it"
            " the same patient and the same part of the body?"
        ) from error
    return transform, float(method.GetMetricValue())


def _sampled(image: sitk.Image, shrink: int) -> float:
    """The part of the voxels, shrunk by this, that a step sees."""
    part: float = SAMPLES * shrink**3 / image.GetNumberOfPixels()
    return min(1.0, part)


def _quality(
    fixed: _Prepared, moving: _Prepared, forward: sitk.AffineTransform, backward: sitk.AffineTransform
) -> Quality:
    points = _points(fixed.mask)
    there = _moved(forward, points)
    inside = _inside(moving.image, there)
    back = _moved(backward, there[inside]) if inside.any() else there[inside]
    off = np.linalg.norm(back - points[inside], axis=1)
    return Quality(
        correlation=_correlation(fixed, moving, forward),
        before=_correlation(fixed, moving, sitk.Transform(3, sitk.sitkIdentity)),
        overlap=float(inside.mean()),
        way_back_mm=float(off.mean()) if off.size else float("inf"),
        scale=float(np.linalg.det(np.reshape(forward.GetMatrix(), (3, 3)))),
    )


def _points(mask: sitk.Image) -> Points:
    """Every seventh voxel of a mask, LPS mm."""
    z, y, x = np.nonzero(sitk.GetArrayViewFromImage(mask))
    index = np.stack([x, y, z], axis=1)[::7] * np.array(mask.GetSpacing())
    points: Points = index @ np.reshape(mask.GetDirection(), (3, 3)).T + np.array(mask.GetOrigin())
    return points


def _inside(image: sitk.Image, points: Points) -> NDArray[np.bool_]:
    index = (points - np.array(image.GetOrigin())) @ np.reshape(image.GetDirection(), (3, 3)) / image.GetSpacing()
    found: NDArray[np.bool_] = ((index >= 0) & (index <= np.array(image.GetSize()) - 1)).all(axis=1)
    return found


def _correlation(fixed: _Prepared, moving: _Prepared, transform: sitk.Transform) -> float:
    """Pearson's r of HU where the fixed mask and the moving field overlap; 0 where nothing does."""
    there = sitk.GetArrayFromImage(sitk.Resample(moving.image, fixed.image, transform, sitk.sitkLinear, np.nan))
    counts = (sitk.GetArrayViewFromImage(fixed.mask) > 0) & ~np.isnan(there)
    one, other = sitk.GetArrayViewFromImage(fixed.image)[counts], there[counts]
    if one.size < 2 or not one.std() * other.std():
        return 0.0
    correlation: float = np.corrcoef(one, other)[0, 1]
    return float(correlation)


def _moved(transform: sitk.AffineTransform, points: Points) -> Points:
    centre = np.array(transform.GetCenter())
    matrix = np.reshape(transform.GetMatrix(), (3, 3))
    moved: Points = (np.asarray(points, float) - centre) @ matrix.T + centre + transform.GetTranslation()
    return moved
