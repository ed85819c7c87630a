"""A package of the lungs of chest CT volumes: fitted, and measured on anatomies that were left out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from models.anatomy.ct.grid import resampled, stretched
from models.anatomy.ct.lungs import NETWORK_MM, VolumeLungs, lungs_of_air
from models.card import Overlap
from models.ct_training.making import Made, Making, write_package, write_run
from models.errors import DataError, InputError
from models.fitting.ct.examples import LungExample, lung_examples
from models.fitting.ct.lungs import WorkingLungs, fit, working
from models.localizers.ct.lungs import VolumeLungLocalizer
from models.mask_training import interval
from models.metrics.masks import dice
from models.networks.modules.unet import UNet
from models.plurals import counted

FOLDS = 4
OUT_OF_FOLD = "training, out of fold"
METHOD = "AdamW, cross-entropy and soft Dice; fluid, free air and consolidation are drawn into the lungs at random."


def make(making: Making) -> Made:
    """Fit on the split "train", measure each anatomy by a network without it, and write the package.

    Raises
    ------
    DataError
        The folder has no volumes with lungs, or too few anatomies to leave some out.
    """
    started = time.monotonic()
    examples = list(lung_examples(making.data, "train"))
    on_grid = [working(one) for one in examples]
    found = [pair for fold in _folds(on_grid, making) for pair in _measured(*fold, examples, on_grid)]
    rows = dict(found)
    overlap = _overlap([rows[number][0] for number in range(len(examples))], examples)
    module = fit(on_grid, making.seed, making.advance)
    card = making.card(
        [one.patient for one in examples], METHOD, f"and {FOLDS} folds by anatomy were measured", simulated=True
    )
    training = card.training.model_copy(update={"overlaps": (overlap,)})
    folder = making.run / card.name
    write_package(folder, module, card.model_copy(update={"training": training}))
    each = {one.name: {"dice": rows[n][0], "air": rows[n][1]} for n, one in enumerate(examples)}
    write_run(making, {"seconds": round(time.monotonic() - started, 1), "volumes": each})
    air = float(np.mean([row[1] for row in rows.values()]))
    seen = counted(len(examples), "volume")
    line = f"Dice of both lungs, {OUT_OF_FOLD}, {seen}: {overlap.dice:.3f}; of the air alone {air:.3f}"
    return Made(folder, (line,))


def _folds(on_grid: Sequence[WorkingLungs], making: Making) -> Iterator[tuple[UNet, frozenset[str]]]:
    """Networks, each with the anatomies that it did not see."""
    patients = sorted({one.patient for one in on_grid})
    if len(patients) < FOLDS:
        raise DataError(f"{making.data} has lungs of {len(patients)} anatomies: at least {FOLDS} are needed.")
    for fold in range(FOLDS):
        held = frozenset(patients[fold::FOLDS])
        yield fit([one for one in on_grid if one.patient not in held], making.seed, making.advance), held


def _measured(
    module: UNet, held: frozenset[str], examples: Sequence[LungExample], on_grid: Sequence[WorkingLungs]
) -> Iterator[tuple[int, tuple[float, float]]]:
    """Row numbers of the anatomies that were held out, each with the Dice of the network and of the air alone."""
    localizer = VolumeLungLocalizer(module)
    for number, (example, one) in enumerate(zip(examples, on_grid, strict=True)):
        if one.patient in held:
            yield (
                number,
                (both_dice(lungs_by(localizer, example), example), both_dice(lungs_by(None, example), example)),
            )


def lungs_by(localizer: VolumeLungLocalizer | None, example: LungExample) -> VolumeLungs | None:
    """The lungs of a volume by a network, or as air; None where there are none."""
    volume = example.volume
    try:
        if localizer:
            return localizer.segment(volume.array, volume.spacing)
        return lungs_of_air(resampled(volume.array, volume.spacing, NETWORK_MM))
    except InputError:
        return None


def both_dice(found: VolumeLungs | None, example: LungExample) -> float:
    """Dice of both lungs together on the volume's own grid; 0 where none were found."""
    if found is None:
        return 0.0
    whole = stretched(found.both.astype(np.float32), example.right.shape) >= 0.5
    return round(dice(whole, example.right | example.left), 4)


def _overlap(each: Sequence[float], examples: Sequence[LungExample]) -> Overlap:
    patients = np.unique([one.patient for one in examples], return_inverse=True)[1].astype(np.int64)
    mean = round(float(np.mean(each)), 4)
    return Overlap(data=OUT_OF_FOLD, images=len(each), dice=mean, interval=interval(each, patients), lowest=min(each))
