"""A file of any kind as the source that a package sees, or the reason why the package does not see it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray
from pydicom import Dataset

from models.card import Input
from node.errors import AnalysisError
from node.predicting.answer import FileRead
from node.predicting.kinds import Kind
from workers.dicom.attributes import header, number
from workers.findings.loading import load_source
from workers.findings.source import ImageSource, Source, VolumeSource
from workers.inputs.choose import choose
from workers.inputs.colour import luminance
from workers.inputs.decoding.decoder import Decoder
from workers.inputs.pixels import SourceImage, image_grid
from workers.inputs.volume import AIR, DENSEST, SourceVolume

Floats = NDArray[np.float32]
Axes = NDArray[np.float64]
UNKNOWN_KIND = "A {kind} file names neither modality nor body part: whether a package is made for it, its sender knows."
GREY = "A package of grey images sees its colours weighed to grey."
LPS = np.array([-1.0, -1.0, 1.0])  # NIfTI's world axes run to the right, the front and the head
_SKEW = 1e-3  # cosine of two axes from which on they are not at right angles
_WAYS = (("R", "L"), ("H", "F"), ("F", "H"))  # against and along x, y, z of LPS; y as a picture that lies flat


class File(Protocol):
    """A file that was read; `remarks` are sentences on all of it."""

    read: FileRead
    remarks: tuple[str, ...]

    def source(self, rules: Input) -> Source:
        """What a package of these rules sees of it; AnalysisError has the reason where it sees nothing."""
        ...


def open_file(path: Path, kind: Kind, decoder: Decoder) -> File:
    """Read a file.

    Raises
    ------
    AnalysisError
        It is none of its kind, or cannot be decoded within the limits.
    """
    if kind == "DICOM":
        return DicomFile(path, decoder)
    if kind == "NIfTI":
        return _nifti(path, decoder)
    stored = decoder.decode_picture(path)
    values = stored.astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
    if values.ndim == 2:
        return ImageFile(kind, values, (), (UNKNOWN_KIND.format(kind=kind),))
    return ImageFile(kind, luminance(values), (), (UNKNOWN_KIND.format(kind=kind), GREY), colours=values)


class DicomFile:
    """One instance, read under the rules that hold for a study of the PACS."""

    def __init__(self, path: Path, decoder: Decoder) -> None:
        self._path, self._decoder = path, decoder
        self._header = header(path)
        frames = int(number(self._header, "NumberOfFrames", 1))
        rows, columns = (int(number(self._header, keyword, 0)) for keyword in ("Rows", "Columns"))
        self.read = FileRead(kind="DICOM", rows=rows, columns=columns, slices=frames if frames > 1 else None)
        self.remarks: tuple[str, ...] = ()

    def source(self, rules: Input) -> Source:
        choice = choose([self._header], rules)
        if not choice.targets:
            raise AnalysisError("; ".join(dict.fromkeys(reason for _, reason in choice.left_out)))
        paths = {str(self._header.SOPInstanceUID): self._path}
        return load_source(choice.targets[0], paths, [self._header], rules, self._decoder)


class ImageFile:
    """One plane without a DICOM header; `orientation` as Patient Orientation (0020,0020), empty where unknown."""

    def __init__(
        self,
        kind: Kind,
        intensity: Floats,
        orientation: tuple[str, ...],
        remarks: tuple[str, ...],
        voi: str = "",
        colours: Floats | None = None,
    ) -> None:
        rows, columns = intensity.shape
        self._intensity, self._orientation, self._voi = intensity, orientation, voi or "as stored"
        self._colours = colours
        self.read = FileRead(kind=kind, rows=rows, columns=columns, slices=None)
        self.remarks = remarks

    def source(self, rules: Input) -> Source:
        if rules.size is None:
            raise AnalysisError("it reads volumes, and the file is one image")
        _require_pixels(self._intensity.shape, rules)
        dataset = _header(1, self._intensity.shape, rules)
        if self._orientation:
            dataset.PatientOrientation = list(self._orientation)
        valid = np.ones(self._intensity.shape, np.bool_)
        if rules.windows:
            raise AnalysisError(f"it reads windows of {' or '.join(rules.modalities)} values, and the file has none")
        image = SourceImage(
            dataset, self._intensity, valid, None, self._voi, self._colours if rules.colour == "rgb" else None
        )
        return ImageSource(image, image_grid(dataset, rules.size, rules.crop), rules)


class VolumeFile:
    """A NIfTI volume, taken for HU; its slices, rows and columns are the file's third, second and first index."""

    def __init__(self, array: Floats, spacing: Axes, direction: Axes, origin: Axes) -> None:
        self._array, self._spacing, self._direction, self._origin = array, spacing, direction, origin
        slices, rows, columns = array.shape
        self.read = FileRead(kind="NIfTI", rows=rows, columns=columns, slices=slices)
        self.remarks: tuple[str, ...] = (
            UNKNOWN_KIND.format(kind="NIfTI"),
            "Its values were taken for Hounsfield units.",
        )

    def source(self, rules: Input) -> Source:
        if rules.kind != "volume":
            raise AnalysisError("it reads single images, and the file is a volume")
        _require_pixels(self._array.shape[1:], rules)
        if len(self._array) < rules.smallest_slices:
            raise AnalysisError(f"only {len(self._array)} slices, at least {rules.smallest_slices} are needed")
        low, high = rules.slice_thickness or (0.0, np.inf)
        if not low <= self._spacing[0] <= high:
            raise AnalysisError(f"its slices are {self._spacing[0]:g} mm apart, {low:g} to {high:g} mm are read")
        headers = tuple(_header(index + 1, self._array.shape[1:], rules) for index in range(len(self._array)))
        z, y, x = (float(one) for one in self._spacing)
        px, py, pz = (float(one) for one in self._origin)
        return VolumeSource(SourceVolume(headers, self._array, (z, y, x), self._direction, (px, py, pz)))


class _Axes(NamedTuple):
    """LPS; a row an array axis (k, j, i) of unit length, its mm a step, and the first voxel's centre."""

    direction: Axes
    spacing: Axes
    origin: Axes
    known: bool


def _nifti(path: Path, decoder: Decoder) -> File:
    stored, head = decoder.decode_nifti(path)
    slope, intercept, axes = _parsed(head)
    values = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    if not np.isfinite(values).all():
        raise AnalysisError("the file's scaling gives values that are no numbers")
    if len(values) > 1:
        if (np.abs(axes.direction @ axes.direction.T - np.eye(3)) > _SKEW).any():
            raise AnalysisError("the file's axes are not at right angles")
        return VolumeFile(np.clip(values, AIR, DENSEST), axes.spacing, axes.direction, axes.origin)
    plane = values[0]
    low, reach = float(plane.min()), max(float(np.ptp(plane)), 1e-6)
    orientation = (_way(axes.direction[2]), _way(axes.direction[1])) if axes.known else ()
    remarks = (UNKNOWN_KIND.format(kind="NIfTI"),)
    return ImageFile("NIfTI", (plane - np.float32(low)) / np.float32(reach), orientation, remarks, "its whole range")


def _parsed(head: bytes) -> tuple[float, float, _Axes]:
    """Slope, intercept and axes of a NIfTI-1 header; nothing else of it is read."""
    try:
        parsed = Nifti1Header(head, check=False)
        slope, intercept = parsed.get_slope_inter()
        affine = np.asarray(parsed.get_best_affine(), np.float64)
    except Exception as error:  # nibabel raises what its parsers do
        raise AnalysisError("the file's header is no NIfTI-1 header") from error
    steps = (affine[:3, :3].T * LPS)[::-1]
    lengths = np.linalg.norm(steps, axis=1)
    if not np.isfinite(affine).all() or lengths.min() < 1e-3 or lengths.max() > 1e3:
        raise AnalysisError("the file's header gives no voxel size")
    known = bool(int(parsed["qform_code"]) or int(parsed["sform_code"]))
    axes = _Axes(steps / lengths[:, None], lengths, affine[:3, 3] * LPS, known)
    return 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept), axes


def _way(direction: Axes) -> str:
    axis = int(np.abs(direction).argmax())
    return _WAYS[axis][int(direction[axis] > 0)]


def _require_pixels(shape: tuple[int, ...], rules: Input) -> None:
    rows, columns = shape
    low = rules.smallest_rows_columns
    if rows < low[0] or columns < low[1]:
        raise AnalysisError(f"only {rows} x {columns} pixels, at least {low[0]} x {low[1]} are needed")


def _header(instance: int, shape: tuple[int, ...], rules: Input) -> Dataset:
    """What findings read of a header, of a file that has none."""
    dataset = Dataset()
    dataset.SOPInstanceUID, dataset.InstanceNumber = f"2.25.{instance}", instance
    dataset.Modality, (dataset.Rows, dataset.Columns) = rules.modalities[0], shape
    if rules.body_parts:
        dataset.BodyPartExamined = rules.body_parts[0]
    return dataset
