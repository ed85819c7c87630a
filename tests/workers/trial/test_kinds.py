"""Images in colour and in windows through the whole way: what the network sees, and what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import readfirst
import torch
from pydicom import dcmread
from torch import nn

from models import packages
from models.data.planes import read_input
from workers.inputs.storage import image_classes
from workers.trial.specimen import write_specimen
from workers.trial.trying import try_package


class Greenness(nn.Module):
    """Two logits with exact maps: the mean of green, and that of red, times 20 minus 5."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 2, 1)
        self.last = nn.Linear(2, 2)
        with torch.no_grad():
            self.first.weight[:] = torch.tensor([[0.0, 1, 0], [1, 0, 0]])[..., None, None]
            self.first.bias[:] = 0
            self.last.weight[:], self.last.bias[:] = torch.eye(2) * 20, torch.tensor([-0.5, -1.0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(nn.functional.avg_pool2d(torch.relu(self.first(x)), 4).mean((2, 3)))
        return found


def package(modality: str = "XC", **more: object) -> readfirst.Package:
    made = readfirst.Package("lesion", Greenness(), licence="MIT", trained_on="nothing: it is calculated")
    made.input(modality=[modality], size=(64, 64), channels="rgb", **more)
    made.finding("Green", sct="64572001", site="39937001")
    made.finding("Red", sct="125605004", site="39937001")
    return made


def test_the_hue_decides_and_the_pictures_show_it(tmp_path: Path) -> None:
    made = package()
    (path,) = write_specimen(made.card().input, tmp_path)
    dataset = dcmread(path)
    pixels = dataset.pixel_array
    trial = made.test(path, out=tmp_path / "a" / "results")
    green, _red = trial.findings
    means = pixels.reshape(-1, 3).mean(0) / 255
    assert green.probability == pytest.approx(1 / (1 + np.exp(0.5 - 20 * means[1])), abs=0.02)
    (tmp_path / "swapped").mkdir()
    dataset.PixelData = np.ascontiguousarray(pixels[..., [1, 0, 2]]).tobytes()
    dataset.save_as(tmp_path / "swapped" / "x.dcm")
    other, _ = made.test(tmp_path / "swapped").findings
    assert other.probability == pytest.approx(1 / (1 + np.exp(0.5 - 20 * means[0])), abs=0.02)
    shown = dcmread(dict(trial.results)["capture"]).pixel_array[:64]
    assert np.ptp(shown, axis=-1).max() > 100
    assert b"colours as stored" in dict(trial.results)["statement"].read_bytes()


def test_both_readers_give_the_network_the_same_colours(tmp_path: Path) -> None:
    made = package(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), scaling="clahe")
    (path,) = write_specimen(made.card().input, tmp_path)
    seen, _ = read_input(path, made.card().input)
    expected = dcmread(path).pixel_array.transpose(2, 0, 1) / 255
    np.testing.assert_allclose(seen, expected, atol=1e-5)
    model = made.load()
    assert model.predict(seen).logits.shape == (2,)
    with pytest.raises(readfirst.InputError, match=r"\(3, 64, 64\) planes, rows and columns"):
        model.predict(seen[0])


@pytest.mark.parametrize(
    ("modality", "sop_class_uid"),
    [(one, uid) for one in ("XC", "US", "ES", "GM", "OP", "OT") for uid in image_classes(one) if uid[-3:] != "7.2"],
)
def test_every_class_with_colours_gets_a_segmentation(tmp_path: Path, modality: str, sop_class_uid: str) -> None:
    made = package(modality)
    folder = made.save(tmp_path / "lesion")
    (path,) = write_specimen(packages.load_card(folder).input, tmp_path)
    dataset = dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class_uid
    dataset.NumberOfFrames = 1
    dataset.save_as(path)
    trial = try_package(folder, [path], tmp_path / "study" / "results")
    assert not trial.faults
    assert "segmentation" in dict(trial.results)
    item = dcmread(dict(trial.results)["segmentation"]).ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    assert item.ReferencedSOPClassUID == sop_class_uid


@pytest.mark.parametrize("windows", [(-600, 1500), [(-600, 1500), (40, 400)], [(-600, 1500), (40, 400), (40, 80)]])
def test_windows_are_channels(windows: Sequence[tuple[float, float]]) -> None:
    count = 1 if isinstance(windows, tuple) else len(windows)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(count, 4, 3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    made = readfirst.Package("slice", net, licence="MIT", trained_on="nothing")
    made.input(modality=["CT"], size=(64, 64), window=windows, crop=0.9)
    made.finding("Lesion", sct="64572001", site="39937001")
    assert made.card().network.channels == count  # type: ignore[union-attr]
    assert not made.test().faults


def test_what_cannot_be_seen_together_is_said() -> None:
    made = package()
    made.input(modality=["CT"], size=(64, 64), channels="rgb", window=(-600, 1500))
    with pytest.raises(readfirst.PackageError, match='windows are of grey values: colour = "rgb" has none'):
        made.card()
    made.input(modality=["XC"], size=(64, 64), channels="rgb", mean=(0.5, 0.5), std=1.0)
    with pytest.raises(readfirst.PackageError, match="one number for each of network.channels"):
        made.card()


class Fundus(nn.Module):
    """Cumulative logits of three grades: how red the disc is, more than 0.2, and more than 0.6 on average."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 1, 1)
        self.last = nn.Linear(1, 2)
        with torch.no_grad():
            self.first.weight[:], self.first.bias[:] = torch.tensor([1.0, 0, -1])[None, :, None, None], 0.0
            self.last.weight[:], self.last.bias[:] = torch.full((2, 1), 40.0), torch.tensor([-4.0, -16.0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(nn.functional.avg_pool2d(torch.relu(self.first(x)), 4).mean((2, 3)))
        return found


def grades() -> readfirst.Package:
    made = readfirst.Package("fundus-grade", Fundus(), licence="MIT", trained_on="nothing: synthetic discs")
    made.input(modality=["OP"], size=(64, 64), channels="rgb")
    made.finding("None", sct="17621005", site="81745001", normal=True)
    made.finding("Mild", sct="312903003", meaning="Mild retinopathy", site="81745001")
    made.finding("Severe", sct="312905005", meaning="Severe retinopathy", site="81745001", urgency="MEDIUM")
    made.output("ordinal")
    return made


def fundus(folder: Path, red: float, blue: float) -> Path:
    """A synthetic disc of a fundus on black."""
    folder.mkdir()
    (path,) = write_specimen(grades().card().input, folder)
    dataset = dcmread(path)
    y, x = np.ogrid[:64, :64]
    disc = ((y - 31.5) ** 2 + (x - 31.5) ** 2 <= 30**2)[..., None]
    dataset.PixelData = (disc * np.array([red, 0.4, blue]) * 255).astype(np.uint8).tobytes()
    dataset.save_as(path)
    return path


def test_grades_of_a_fundus_follow_its_hue(tmp_path: Path) -> None:
    made = grades()
    found = {}
    for name, red, blue in (("none", 0.1, 0.1), ("mild", 0.5, 0.2), ("severe", 0.95, 0.1), ("swapped", 0.1, 0.95)):
        trial = made.test(fundus(tmp_path / name, red, blue), out=tmp_path / f"{name}-results" / "x")
        assert sum(one.probability for one in trial.findings) == pytest.approx(1.0, abs=1e-4)
        found[name] = [one.label for one in trial.findings if one.present]
    assert found == {"none": [], "mild": ["Mild"], "severe": ["Severe"], "swapped": []}
    statement = dict(trial.results)["statement"].read_bytes()
    assert b"No finding: None (grade 0 of 0 to 2), probability" in statement
    severe = next((tmp_path / "severe-results").rglob("*.dcm")).parent
    texts = b"".join(path.read_bytes() for path in severe.glob("*.dcm"))
    assert b"Severe (grade 2 of 0 to 2)" in texts
    assert b"is that of grade 2 of 0 to 2; of this grade or a higher one it is" in texts


def test_grades_are_one_more_than_the_outputs_and_none_raises_a_priority() -> None:
    made = grades()
    made.finding("Worse", sct="64572001", site="81745001")
    with pytest.raises(readfirst.PackageError, match="2 outputs, one for each grade but the first and 4 findings"):
        made.card()


def test_grades_of_shapes_make_every_result() -> None:
    assert {"segmentation", "regions"} <= dict(grades().test().results).keys()
