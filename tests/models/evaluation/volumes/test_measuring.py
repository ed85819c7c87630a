from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.volumes.volume import Volume
from models.errors import DataError, InputError
from models.evaluation.volumes.baselines import CENTRE, IN_BODY, IN_LUNGS, LUNG_MEAN, body
from models.evaluation.volumes.cases import Cases, Outlined, labels_of
from models.evaluation.volumes.dice import DiceTable, best_threshold
from models.evaluation.volumes.figures import FALSE_MARKS, VolumeEvaluation
from models.evaluation.volumes.lesions import Lesions
from models.evaluation.volumes.lungs import classical_lungs
from models.evaluation.volumes.marks import marks_of
from models.evaluation.volumes.measuring import evaluate_volumes, measure_methods, volumes_of
from models.evaluation.volumes.methods import VolumeMethod, in_air
from models.localizers.registry import Localized
from models.metrics.masks import dice
from tests.models import bright, volume_phantoms
from tests.models.volume_phantoms import SHAPE, SPACING, ball, chest, lungs


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return volume_phantoms.write_labelled(tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def evaluation(labelled: Path) -> VolumeEvaluation:
    return evaluate_volumes(volume_phantoms.model(), labelled, lungs=lambda volume: lungs())


def test_a_map_on_the_lesions_has_the_best_figures(evaluation: VolumeEvaluation) -> None:
    (ranked,) = evaluation.ranked
    assert (ranked.label, ranked.positives, ranked.volumes, ranked.auc.value) == ("Nodule", 6, 12, 1.0)
    assert ranked.sensitivity is not None and ranked.sensitivity.value == 1.0
    (one,) = evaluation.located
    assert (one.label, one.volumes, one.lesions, one.present, one.scans) == ("Nodule", 6, 6, 6, 12)
    assert [figure.value for figure in (*one.slices, one.pointing, one.near, one.found)] == [1.0] * 6
    assert one.false_regions.value == 0.0
    assert [figure.value for figure in one.froc] == [1.0] * len(FALSE_MARKS)
    assert one.dice.value is not None and one.dice.value > 0.7
    assert one.best_dice.value is not None and one.best_dice.value >= one.dice.value - 0.05
    assert one.pointing.low is not None and 0.5 < one.pointing.low < 1.0  # Wilson of 6 of 6
    assert evaluation.skipped == ("Mass",)


def test_baselines_are_what_chance_gives(evaluation: VolumeEvaluation) -> None:
    blind = {one.baseline: one for one in evaluation.blind}
    assert set(blind) == {IN_BODY, IN_LUNGS, CENTRE, LUNG_MEAN}
    size = ball((10, 15, 12)).sum()
    assert blind[IN_LUNGS].pointing.value == pytest.approx(size / lungs().sum(), abs=1e-4)
    assert blind[IN_BODY].pointing.value == pytest.approx(size / (SHAPE[0] * 30 * 40), abs=1e-4)
    assert blind[CENTRE].pointing.value == blind[LUNG_MEAN].pointing.value == 0.0
    assert blind[LUNG_MEAN].dice.value == pytest.approx(dice(lungs(), ball((10, 15, 12))), abs=1e-4)
    gain = next(one for one in evaluation.paired if one.figure == "peak in a lesion, Nodule" and one.baseline == CENTRE)
    assert (gain.own.value, gain.other.value, gain.difference.value) == (1.0, 0.0, 1.0)


def test_folders_without_labels_are_measured_by_masks_and_boxes(tmp_path: Path) -> None:
    folder = volume_phantoms.write_unlabelled(tmp_path)
    found = evaluate_volumes(volume_phantoms.model(), folder)
    assert (found.ranked, found.means, found.skipped) == ((), (), ())
    nodule, mass, both = found.located
    assert (both.label, both.volumes, both.lesions, both.pointing.value) == ("all labels", 6, 6, 0.5)
    assert (nodule.label, nodule.volumes, nodule.scans, nodule.pointing.value) == ("Nodule", 3, 3, 1.0)
    assert nodule.dice.value is not None and nodule.dice.value > 0.7  # of two: a box is no mask
    assert (mass.label, mass.pointing.value, mass.dice.value) == ("Mass", 0.0, 0.0)  # its map is upside down
    assert mass.froc[0].value == 0.0
    assert "no volume is known to be without" in found.notes["ranking"]
    assert IN_LUNGS not in {one.baseline for one in found.blind}  # nobody outlined them, and no function was given


def test_any_function_of_a_volume_is_compared_with_the_first(labelled: Path) -> None:
    def flat(volume: Volume) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.zeros(1, np.float32), np.zeros((1, 4, 4, 4), np.float32)

    own, other = VolumeMethod.of(volume_phantoms.model(), "dense"), VolumeMethod("flat", ("Nodule",), flat)
    steps = list[int]()
    found = measure_methods(
        [own, other],
        labelled,
        threshold_split="validation",
        advance=lambda: steps.append(1),
    )
    assert len(steps) == volumes_of(labelled, "validation", "validation") == 24
    (area,) = (one for one in found.paired if one.figure == "mean AUC")
    assert (area.own.value, area.other.value, area.difference.value) == (1.0, 0.5, 0.5)
    dense, flat_one = found.located
    assert (flat_one.pointing.value, flat_one.present, flat_one.dice.value) == (0.0, None, None)
    assert dense.best_threshold is not None and 0 < dense.best_threshold < 890
    pairs = {one.figure for one in found.paired if one.baseline == "flat"}
    assert {"peak in a lesion, Nodule", "lesions at 0.125 false marks, Nodule"} <= pairs


def test_what_a_package_does_not_analyse_counts_as_absent(labelled: Path) -> None:
    model = volume_phantoms.model()
    large = model.card.input.model_copy(update={"smallest_slices": 64})
    padded = VolumeMethod.of(type(model)(model.card.model_copy(update={"input": large}), "1" * 64, _Refuses()))
    found = measure_methods([padded], labelled)
    assert found.notes["not analysed by package"] == "12 of 12 volumes; they count as absent"
    assert (found.located[0].present, found.located[0].pointing.value) == (0, 0.0)


class _Refuses:
    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        assert image.shape[0] == 64  # in air
        raise InputError("no lungs")


def test_a_package_of_images_and_a_folder_of_nothing_are_refused(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sees single images"):
        evaluate_volumes(bright.model(), labelled)
    method = VolumeMethod("other", ("Goitre",), lambda volume: (np.zeros(1, np.float32), np.zeros((1, 1, 1, 1), "f4")))
    with pytest.raises(DataError, match="no column, mask or box for any label of Goitre"):
        measure_methods([method], labelled)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nodule", ("Nodule", "Mass", "Solid_nodule")),
        ("tumour (GTV contour)", ("Nodule", "Mass", "Solid_nodule")),
        ("Nodule", ("Nodule",)),
        ("pleural effusion", ("Pleural_effusion",)),
        ("heart", ()),
    ],
)
def test_masks_belong_to_labels_by_their_names(name: str, expected: tuple[str, ...]) -> None:
    assert labels_of(name, ("Nodule", "Mass", "Solid_nodule", "Pleural_effusion")) == expected


def test_lesions_that_lie_apart_are_counted_and_marks_find_them() -> None:
    mask = ball((8, 15, 12)) | ball((20, 20, 33))
    found = Lesions.of(Outlined(mask, is_box=False), SPACING)
    assert found.count == 2
    assert {found.number((8, 15, 12)), found.number((20, 20, 33))} == {1, 2}
    assert (found.number((14, 24, 15)), found.away((8, 15, 17))) == (0, 10.0)
    assert found.overlapped(ball((8, 15, 12)), 0.5) == {found.number((8, 15, 12))}
    assert found.overlapped(lungs(), 0.1) == set()


def test_marks_are_the_middle_of_plateaus_and_a_flat_map_has_none() -> None:
    saliency = np.zeros(SHAPE, np.float32)
    saliency[ball((8, 15, 12))] = 1.0
    saliency[ball((20, 20, 33))] = 0.5
    assert [(mark.at, mark.score) for mark in marks_of(saliency, SHAPE, SPACING)] == [
        ((8, 15, 12), 1.0),
        ((20, 20, 33), 0.5),
    ]
    assert marks_of(np.full(SHAPE, 3.0, np.float32), SHAPE, SPACING) == ()
    coarse = saliency.reshape(16, 2, 20, 2, 24, 2).max((1, 3, 5))
    (first, _) = marks_of(coarse, SHAPE, SPACING)
    assert np.abs(np.subtract(first.at, (8, 15, 12))).max() <= 1


def test_the_table_of_dice_is_dice() -> None:
    rng = np.random.default_rng(0)
    mask = ball((8, 15, 12))
    saliency = (mask * 2 + rng.normal(0, 1, SHAPE)).astype(np.float32)
    table = DiceTable.of(saliency, mask)
    for threshold in table.thresholds[::16]:
        assert table.at(np.array([threshold]))[0] == pytest.approx(dice(saliency >= np.float32(threshold), mask))
    best = best_threshold([table])
    assert dice(saliency >= best, mask) == pytest.approx(table.dice.max())
    assert table.at(np.array([1e9]))[0] == 0.0


def test_body_and_lungs_of_a_phantom_are_found() -> None:
    volume = chest((8, 15, 12))
    inside = body(volume)
    assert dice(inside, volume.array > -950) > 0.98
    found = classical_lungs(volume)
    assert found is not None and dice(found, lungs()) > 0.85
    assert found[ball((8, 15, 12))].mean() > 0.9
    assert classical_lungs(Volume(np.zeros(SHAPE, np.float32), SPACING)) is None


def test_small_volumes_lie_in_air() -> None:
    array = chest().array
    padded, inner = in_air(array, (20, 64, 48))
    assert padded.shape == (32, 64, 48)
    assert (padded[inner] == array).all() and padded[0, 0, 0] == -1024
    assert in_air(array, (1, 1, 1))[0] is array


def test_truth_is_known_by_columns_alone(tmp_path: Path) -> None:
    cases = Cases.read(volume_phantoms.write_unlabelled(tmp_path), "validation", ("Nodule",))
    assert [cases.truth(row, "Nodule") for row in range(3)] == [None] * 3
    assert cases.located() == ("Nodule",)
    box = cases.outlined(2, "Nodule", cases.volume(2))
    assert box is not None and box.is_box and box.mask.sum() == 125
