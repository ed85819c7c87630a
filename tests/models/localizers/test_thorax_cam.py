"""Class activation maps of the thorax, on real radiographs through the shipped package."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models import packages
from models.anatomy import ZONES, Lungs, evidence, territory
from models.anatomy.crop import Crop
from models.card import Card
from models.cardfile import card_text
from models.data.images import read_image
from models.errors import InputError, PackageError
from models.loaded import LoadedModel
from models.localizers.thorax_cam import MAP_CELLS, ThoraxLocalizer
from models.prediction import Prediction
from tests.models.shared_data import CHEST_XRAY, needs_chest_xray

SHIPPED = packages.ZOO / "chest-xray"
SAMPLES = sorted((Path(__file__).parents[3] / "deploy" / "samples").glob("chest-xray-*/*.dcm"))
NORMAL = ("00001489_000", "00001526_000", "00001526_002", "00001741_002", "00002058_014", "00003138_000")
SIDE = 512

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Package:
    """A loaded package, its localizer and its lungs."""

    model: LoadedModel
    localizer: ThoraxLocalizer

    @property
    def card(self) -> Card:
        return self.model.card

    def lungs(self, image: Floats) -> Lungs:
        assert self.localizer.segment is not None
        return self.localizer.segment(image)


@pytest.fixture(scope="module")
def shipped() -> Package:
    model = packages.load(SHIPPED, "cpu")
    assert isinstance(model.localizer, ThoraxLocalizer)
    return Package(model, model.localizer)


@pytest.fixture(scope="module")
def samples() -> list[Floats]:
    """A pneumothorax, an effusion and a normal chest."""
    return [read_image(path, (SIDE, SIDE)) for path in SAMPLES]


def on_cells(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells of the maps that a mask (rows, columns) of the input touches, and the cells around them."""
    part = len(mask) // MAP_CELLS
    touched = np.pad(mask.reshape(MAP_CELLS, part, MAP_CELLS, part).any((1, 3)), 2)
    shifts = [np.roll(touched, (down, across), (0, 1)) for down in range(-2, 3) for across in range(-2, 3)]
    found: NDArray[np.bool_] = np.any(shifts, axis=0)[2:-2, 2:-2]
    return found


def test_the_logits_are_the_mean_of_the_exact_map_of_the_crop(shipped: Package, samples: list[Floats]) -> None:
    assert shipped.card.anatomy is not None
    bias = shipped.localizer.network.bias.numpy(force=True)
    for image in samples:
        crop = Crop.of(shipped.lungs(image)).take(image, shipped.card.anatomy.crop)
        logits, maps, *_ = shipped.localizer.inner.localize(crop, None)
        np.testing.assert_allclose(maps.mean((1, 2)) + bias, logits, atol=1e-3)
        assert (maps.std((1, 2)) > 1e-3).all()
        np.testing.assert_allclose(shipped.model.predict(image).logits, logits, atol=1e-5)


def test_channels_last_changes_no_logit(shipped: Package, samples: list[Floats]) -> None:
    network, seen = shipped.localizer.network, list[bool]()
    hook = network.backbone.conv_stem.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    found = shipped.model.predict(samples[0])
    hook.remove()
    assert seen == [True]
    assert found.saliency.flags.c_contiguous
    assert shipped.card.anatomy is not None and shipped.card.network is not None
    crop = Crop.of(shipped.lungs(samples[0])).take(samples[0], shipped.card.anatomy.crop)
    x = (torch.from_numpy(crop) - shipped.card.network.mean) / shipped.card.network.std
    with torch.inference_mode():
        logits = network.classify(network.features(x.expand(1, 3, *crop.shape).contiguous()))
    np.testing.assert_allclose(found.logits, logits[0], atol=1e-3)


def test_maps_cover_the_input_and_are_0_outside_the_crop(shipped: Package, samples: list[Floats]) -> None:
    middles = (np.arange(MAP_CELLS) + 0.5) / MAP_CELLS
    for image in samples:
        found, crop = shipped.model.predict(image), Crop.of(shipped.lungs(image))
        assert found.saliency.shape == (len(shipped.card.labels), MAP_CELLS, MAP_CELLS)
        assert (found.saliency >= 0).all()
        inside = [np.abs(middles - centre) < crop.side / 2 for centre in (crop.y, crop.x)]
        outside = ~np.logical_and.outer(*inside)
        assert outside.any()
        assert (found.saliency[:, outside] == 0).all()


def test_without_smoothing_a_map_is_0_outside_its_territory_and_the_lungs(
    shipped: Package, samples: list[Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked to be brighter or darker than normal is seen within the lungs alone; cells are interpolated."""
    monkeypatch.setattr(evidence, "SMOOTHING", 0.0)
    for image in samples:
        found, lungs = shipped.model.predict(image).saliency, shipped.lungs(image)
        side = len(lungs.both)
        assert side % MAP_CELLS == 0
        for label, one in zip(shipped.card.labels, found, strict=True):
            allowed = territory(label.territory, lungs)
            allowed = allowed if label.differs == "either" else allowed & lungs.both
            assert (one[~on_cells(allowed)] == 0).all(), label.name
        assert (found.max((1, 2)) > 0).sum() > len(found) / 2
    assert {label.differs for label in shipped.card.labels} == {"brighter", "darker", "either"}


def test_maps_are_raw(shipped: Package, samples: list[Floats]) -> None:
    """Nothing is stretched per image: no map ends at 1, and no two images have the same peak."""
    peaks = np.stack([shipped.model.predict(image).saliency.max((1, 2)) for image in samples])
    for other in (1, 2):
        assert (peaks[0] != peaks[other]).any()
    assert not np.isclose(peaks, 1, atol=1e-5).any()


def assert_small_regions(card: Card, found: Prediction) -> None:
    for label, one in zip(card.labels, found.saliency, strict=True):
        assert (one >= label.region_threshold(float(one.max()))).mean() < 0.5, label.name


def test_the_samples_get_probabilities_and_small_regions(shipped: Package, samples: list[Floats]) -> None:
    for image in samples:
        found = shipped.model.predict(image)
        assert found.labels[0] == "Atelectasis"
        assert ((found.probabilities > 0) & (found.probabilities < 1)).all()
        assert_small_regions(shipped.card, found)


@needs_chest_xray
@pytest.mark.parametrize("name", ["00000129_000", "00001968_000", "00010834_000"])
def test_a_real_radiograph_gets_probabilities_and_small_regions(shipped: Package, name: str) -> None:
    found = shipped.model.predict(read_image(CHEST_XRAY / "samples_1024" / f"{name}.png", (SIDE, SIDE)))
    assert ((found.probabilities > 0.001) & (found.probabilities < 0.999)).all()
    assert_small_regions(shipped.card, found)
    small = read_image(CHEST_XRAY / "images" / f"{name}.jpg", (SIDE, SIDE))
    np.testing.assert_allclose(shipped.model.predict(small).logits, found.logits, atol=0.75)  # half the size, JPEG


def lower_left(lungs: Lungs) -> NDArray[np.bool_]:
    """The zone (SIDE, SIDE) of an image's input."""
    scale = SIDE // len(lungs.zones)
    zone: NDArray[np.bool_] = (lungs.zones == 1 + ZONES.index("left lower")).repeat(scale, 0).repeat(scale, 1)
    return zone


def painted(image: Floats, zone: NDArray[np.bool_], strength: float) -> Floats:
    """A soft patch around the middle of the zone, brighter by `strength`."""
    row, column = (float(one.mean()) for one in np.nonzero(zone))
    down, across = np.mgrid[: len(image), : len(image)]
    patch = np.exp(-((((down - row) / 40) ** 2 + ((across - column) / 40) ** 2) ** 2))
    return np.clip(image + strength * patch, 0, 1).astype(np.float32)


def changes(shipped: Package, name: str, strength: float) -> tuple[Floats, Floats, NDArray[np.bool_], Lungs]:
    """The map of Pneumonia before and after a patch on the lower left lung, that zone on the input, and the lungs."""
    index = [label.name for label in shipped.card.labels].index("Pneumonia")
    image = read_image(CHEST_XRAY / "images" / f"{name}.jpg", (SIDE, SIDE))
    lungs = shipped.lungs(image)
    zone = lower_left(lungs)
    before, after = (shipped.model.predict(one).saliency[index] for one in (image, painted(image, zone, strength)))
    return before, after, zone, lungs


def centres(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask (rows, columns) at the centres of the maps' cells."""
    part = len(mask) // MAP_CELLS
    return mask[part // 2 :: part, part // 2 :: part]


@needs_chest_xray
def test_a_bright_patch_on_the_lower_left_lung_is_seen_there(shipped: Package) -> None:
    moved = list[bool]()
    for name in NORMAL:
        before, after, zone, lungs = changes(shipped, name, 0.3)
        cells, change = centres(zone), after - before
        elsewhere = centres(lungs.both) & ~cells
        assert after[cells].mean() > 1.5 * before[cells].mean(), name
        assert change[cells].mean() > 4 * change[elsewhere].mean(), name
        assert on_cells(zone)[np.unravel_index(change.argmax(), change.shape)], name
        moved.append(bool(on_cells(zone)[np.unravel_index(after.argmax(), after.shape)]))
    assert sum(moved) >= len(NORMAL) - 1


@needs_chest_xray
def test_a_dark_patch_raises_no_map_of_what_is_brighter(shipped: Package) -> None:
    for name in NORMAL[:3]:
        means = list[float]()
        for strength in (0.3, -0.3):
            before, after, zone, _ = changes(shipped, name, strength)
            means.append(float((after - before)[centres(zone)].mean()))
        bright, dark = means
        assert dark < 0.1 * bright, name


def test_where_no_lungs_are_seen_nothing_is_predicted(shipped: Package) -> None:
    ramp = np.linspace(0, 1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    with pytest.raises(InputError, match="^no lungs seen: "):
        shipped.model.predict(ramp)
    packages.require_working(shipped.model)  # that is no failure of the package


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "models" / "chest-xray"))


def test_lungs_by_other_weights_than_those_that_were_measured_are_refused(copied: Path) -> None:
    card = packages.load_card(copied)
    assert card.anatomy is not None
    other = card.anatomy.model_copy(update={"sha256": "0" * 64})
    (copied / packages.CARD).write_text(card_text(card.model_copy(update={"anatomy": other})), encoding="utf-8")
    here = packages.load_card(packages.find("lungs")).weights
    assert here is not None
    with pytest.raises(PackageError) as caught:
        packages.load(copied, "cpu")
    assert str(caught.value) == (
        "chest-xray was measured with weights of lungs whose SHA-256 is 000000000000…;"
        f" here it is {here.sha256[:12]}…. Copy both packages again."
    )


def test_lungs_that_lie_beside_a_package_come_before_the_shipped_ones(copied: Path) -> None:
    beside = Path(shutil.copytree(packages.find("lungs"), copied.parent / "lungs"))
    packages.load(copied, "cpu")
    (beside / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(PackageError, match="the weights are not those that were measured"):
        packages.load(copied, "cpu")


def test_a_package_that_finds_no_lungs_is_refused(copied: Path) -> None:
    card = packages.load_card(copied)
    assert card.anatomy is not None
    other = card.anatomy.model_copy(update={"package": "chest-ct"})
    (copied / packages.CARD).write_text(card_text(card.model_copy(update={"anatomy": other})), encoding="utf-8")
    with pytest.raises(PackageError, match='chest-ct finds no lungs: its card\'s localizer must be "lungs"'):
        packages.load(copied, "cpu")
