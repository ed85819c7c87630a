"""Static quantization to 8 bits by ONNX Runtime: calibrated on labelled images, measured on others.

Jacob et al., CVPR 2018. Convolutions and what lies between them are quantized, weights by channel; the head stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from models.data.datasets import label_columns, read_examples, splits
from models.data.images import read_grey, read_image
from models.errors import DataError, InputError
from models.exporters.formats import Run
from models.exporters.parity import Floats
from models.exporters.traced import Exportee
from models.metrics.ranking import auc

OPERATORS = ("Conv", "ConvTranspose", "Add", "Clip", "Relu")
CALIBRATION_IMAGES = 64
LOWEST_CHANGE = -0.01  # of the mean AUC


@dataclass(frozen=True, slots=True)
class Change:
    """Areas under the ROC curve of the float and of the 8-bit file on the same images, a label each."""

    data: str
    images: int
    before: dict[str, float]
    after: dict[str, float]

    @property
    def mean(self) -> float:
        """Of the changes; 0 where no label can be measured."""
        away = [self.after[name] - value for name, value in self.before.items()]
        return float(np.mean(away)) if away else 0.0

    @property
    def holds(self) -> bool:
        """Whether the mean falls by no more than `LOWEST_CHANGE`."""
        return self.mean >= LOWEST_CHANGE

    def as_json(self) -> dict[str, Any]:
        """For the description beside the file."""
        return asdict(self) | {"mean_change": self.mean, "lowest_change": LOWEST_CHANGE, "holds": self.holds}


def calibration_inputs(given: Exportee, data: Path, validation: str) -> list[Floats]:
    """Inputs of images of the other splits, spread over their rows.

    Raises
    ------
    DataError
        The folder has no images of another split, or the package sees none.
    """
    card = given.model.card
    if card.input.kind == "volume" and card.slices is None:
        raise DataError(f"{card.name} sees volumes: 8-bit files are calibrated on folders of labelled images alone.")
    names = sorted(splits(data) - {validation})
    if not names:
        raise DataError(f'{data} has the split "{validation}" alone: calibration needs images of another.')
    files = [path for name in names for path in read_examples(data, name, ()).files]
    chosen = [files[index] for index in np.linspace(0, len(files) - 1, min(len(files), CALIBRATION_IMAGES)).astype(int)]
    found = [x for _, x in _inputs(given, chosen)]
    if not found:
        raise DataError(f"{card.name} takes none of {len(chosen)} images of {data} for one of its own.")
    return found


def quantized(source: Path, target: Path, given: Exportee, inputs: list[Floats]) -> None:
    """Write the 8-bit file of a float one."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # ONNX Runtime advises to preprocess, which the writer has done
    try:
        quantize_static(
            str(source), str(target), _Reader({given.input_name: x} for x in inputs), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS), per_channel=True, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, reduce_range=True,  # 7 bits of weights: 8 overflow on processors without VNNI
        )  # fmt: skip
    finally:
        logger.setLevel(level)


def change(given: Exportee, before: Run, after: Run, data: Path, split: str, step: Callable[[], None]) -> Change:
    """AUC of both files on one split; labels that labels.csv does not have, or all or none of whose rows are positive,
    are left out."""
    names = label_columns(data, [label.name for label in given.model.card.labels])
    examples = read_examples(data, split, names)
    rows, scores = [], []
    index = list(given.outputs).index("logits")
    columns = [[label.name for label in given.model.card.labels].index(name) for name in names]
    for row, x in _inputs(given, list(examples.files)):
        rows.append(row)
        scores.append([run(x)[index][0, columns] for run in (before, after)])
        step()
    both, truth = np.asarray(scores, np.float64), examples.truth[rows]
    measured = [column for column in range(len(names)) if truth[:, column].any() and not truth[:, column].all()]
    areas = [{names[one]: auc(both[:, file, one], truth[:, one]) for one in measured} for file in (0, 1)]
    return Change(split, len(rows), *areas)


def _inputs(given: Exportee, files: list[Path]) -> Iterator[tuple[int, Floats]]:
    """With the row of each; images that the package takes for none of its own are left out."""
    card = given.model.card
    for row, path in enumerate(files):
        image: NDArray[np.float32] = read_grey(path) if card.input.size is None else read_image(path, card.input.size)
        try:
            yield row, given.graph.inputs(image, None)
        except InputError:
            continue


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Iterator[dict[str, Floats]]) -> None:
        self._feeds = feeds

    def get_next(self) -> dict[str, Floats] | None:
        return next(self._feeds, None)
