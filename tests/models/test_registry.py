"""A new localizer or network is one file: it registers itself, and nothing else in the house knows its name."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.sr.codedict import codes as standard

from models import packages
from models.card import Network, Weights
from models.cardfile import card_text
from models.errors import CardError, PackageError
from models.localizers.registry import LOCALIZERS, register, trainable
from models.networks.modules.storage import to_bytes
from models.networks.registry import NETWORKS
from models.provenance import UNNAMED, Facts, own
from tests.models import phantoms

README = Path(packages.__file__).with_name("README.md").read_text(encoding="utf-8")

LOCALIZER = """
import numpy as np

from models.localizers.registry import Localized, register


class Brightness:
    def __init__(self, labels):
        self.labels = labels

    def localize(self, image, spacing):
        maps = np.repeat(image.reshape(8, 16, 8, 16).mean((1, 3))[None], self.labels, 0).astype(np.float32)
        return Localized(maps.mean((1, 2)), maps)


@register("brightness", maps="brightness", citation="none", tables=())
def load(card, data, device, threads):
    return Brightness(len(card.labels))
"""
NETWORK = """
from torch import nn
from torch.nn import functional

from models.networks.registry import register


class Tiny(nn.Module):
    def __init__(self, labels):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=8, padding=1)
        self.head = nn.Linear(4, labels)

    def features(self, x):
        return (functional.relu(self.conv(x[:, :1])),)

    def classify(self, features):
        return self.head(features[0].mean((2, 3)))

    def tap_weights(self):
        return (self.head.weight,)

    def maps(self, features):
        return functional.conv2d(features[0], self.head.weight[:, :, None, None])


@register("tiny", citation="none", channels=(1,))
def build(table, labels):
    return Tiny(labels)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's distribution: one file a plug-in, found by entry points; what it registers is forgotten afterwards."""
    site = tmp_path / "site"
    info = site / "toys-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "toy_localizer.py").write_text(LOCALIZER)
    (site / "toy_network.py").write_text(NETWORK)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[readfirst.localizers]\nbrightness = toy_localizer\nbroken = toy_that_is_not_there\n"
        "[readfirst.networks]\ntiny = toy_network:build\n"
    )
    monkeypatch.syspath_prepend(str(site))
    for registry in (LOCALIZERS, NETWORKS):
        registry.names()  # what is ours is registered once a process
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    yield site
    for module in ("toy_localizer", "toy_network"):
        sys.modules.pop(module, None)


def test_an_installed_distribution_is_found_by_the_command(tmp_path: Path) -> None:
    """A wheel put into a folder of its own by pip, as into a virtual environment; a process that sees it, by name."""
    wheel = tmp_path / "toys-1.0-py3-none-any.whl"
    about = {
        "METADATA": "Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": "[readfirst.localizers]\nbrightness = toy_localizer\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toy_localizer.py", LOCALIZER)
        for name, text in about.items():
            archive.writestr(f"toys-1.0.dist-info/{name}", text)
    site, folder = tmp_path / "site", tmp_path / "phantom"
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet", "--target", str(site)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    folder.mkdir()
    facts = Facts("images", (60, 30), (0, 0), "validation", "ab" * 32, "and all chosen on it", "None.", "2026-11-30")
    mine = own(phantoms.card(), UNNAMED, facts, "brightness")
    update = {"localizer": "brightness", "network": None, "weights": None}
    (folder / packages.CARD).write_text(card_text(mine.model_copy(update=update)), encoding="utf-8")
    code = "from models.commands.cli import app; app()"
    for path, status, words in ((str(site), 0, "phantom: ok"), ("", 1, "no localizer named 'brightness'")):
        done = subprocess.run(
            [sys.executable, "-c", code, "verify", str(folder)],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, words in done.stdout) == (status, True), done.stdout + done.stderr


def image() -> np.ndarray:
    return np.random.default_rng(0).random((phantoms.SIZE, phantoms.SIZE)).astype(np.float32)


def test_a_localizer_of_ones_own_is_loaded_and_predicts(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "phantom"
    folder.mkdir()
    update = {"localizer": "brightness", "network": None, "weights": None}
    (folder / packages.CARD).write_text(card_text(phantoms.card().model_copy(update=update)), encoding="utf-8")
    packages.verify(folder)
    found = packages.load(folder, "cpu").predict(image())
    np.testing.assert_allclose(found.logits, image().mean(), rtol=1e-5)
    assert found.saliency.shape == (2, 8, 8)
    assert "brightness" in LOCALIZERS.names()
    assert LOCALIZERS.get("brightness").maps == "brightness"


@pytest.mark.parametrize("localizer", ["cam", "grad-cam++", "hirescam"])
def test_a_network_of_ones_own_is_loaded_and_predicts(installed: Path, tmp_path: Path, localizer: str) -> None:
    table = Network(backbone="tiny", channels=1, mean=0.5, std=0.25)
    data = to_bytes(NETWORKS.get("tiny").build(table, 2))
    weights = Weights(sha256=hashlib.sha256(data).hexdigest())
    folder = tmp_path / "phantom"
    folder.mkdir()
    (folder / weights.file).write_bytes(data)
    update = {"localizer": localizer, "network": table, "weights": weights}
    (folder / packages.CARD).write_text(card_text(phantoms.card().model_copy(update=update)), encoding="utf-8")
    found = packages.load(folder, "cpu").predict(image())
    assert found.saliency.shape == (2, 16, 16)
    assert np.isfinite(found.saliency).all()
    assert found.saliency.any()


def test_a_plug_in_that_cannot_be_imported_is_named_when_it_is_wanted(installed: Path) -> None:
    assert LOCALIZERS.get("cam").name == "cam"
    with pytest.raises(PackageError, match="localizer 'broken' \\(toy_that_is_not_there\\) cannot be imported"):
        LOCALIZERS.get("broken")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            'localizer = "cam"',
            'localizer = "lime"',
            "no localizer named 'lime'; there are: attention, boxes, cam, candidates,",
        ),
        ('"efficientnet-lite0"', '"vgg"', "no network named 'vgg'; there are: cnn3d, cube-cnn, densenet121, "),
        ("taps = [6, 10, 14]", "taps = [6, 10, 16]", 'backbone "efficientnet-lite0" has the blocks 0 to 15'),
        ("taps = [6, 10, 14]", "", 'backbone "efficientnet-lite0" needs taps and channels = 3'),
        ('localizer = "cam"', 'localizer = "attention"', 'localizer "attention" has no use for deviations'),
        (
            'localizer = "cam"',
            'localizer = "reconstruction"',
            "needs the tables [weights] and no [network] or [anatomy] or [detector]",
        ),
        (
            'localizer = "cam"',
            'localizer = "thorax-cam"',
            "needs the tables [network] and [weights] and [anatomy] and no [detector]",
        ),
    ],
)
def test_a_card_that_its_localizer_or_network_does_not_fit_is_refused(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = (phantoms.write_package(tmp_path) / packages.CARD).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / packages.CARD).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CardError, match=re.escape(words)) as caught:
        packages.verify(tmp_path)
    assert str(tmp_path / packages.CARD) in str(caught.value)


def test_a_detector_sees_volumes(tmp_path: Path) -> None:
    text = (packages.ZOO / "chest-ct" / packages.CARD).read_text(encoding="utf-8")
    image_card = text.replace('kind = "volume"', 'kind = "image"\nsize = [64, 64]')
    (tmp_path / packages.CARD).write_text(image_card, encoding="utf-8")
    with pytest.raises(CardError, match='localizer "candidates" takes input.kind "volume"'):
        packages.load_card(tmp_path)


def test_a_name_is_registered_once() -> None:
    cam = LOCALIZERS.get("cam")
    with pytest.raises(PackageError, match="Two localizers are registered as 'cam'"):
        register("cam", maps=cam.maps, citation=cam.citation)(cam.load)
    assert LOCALIZERS.get("cam") is cam


def test_the_readme_has_every_localizer_and_network() -> None:
    rows = {row[0]: row[1:] for row in table("## Localizers and networks", "localizer")}
    assert set(rows) == set(LOCALIZERS.names())
    for entry in LOCALIZERS.entries():
        masks, classes = entry.fit_masks or entry.made_by, entry.fit_classes
        learns = "on masks" if masks else "on classes" if classes else "no"
        fitted = "yes" if entry.name in trainable() else learns
        assert rows[entry.name] == [entry.kind, fitted, entry.maps, entry.citation]
    networks = {row[0]: row[1] for row in table("## Localizers and networks", "network")}
    assert networks == {entry.name: entry.citation for entry in NETWORKS.entries()}


def table(heading: str, first: str) -> list[list[str]]:
    """Cells of the rows of the table below a heading whose first column has this title."""
    section = README.split(heading)[1].split("\n## ")[0]
    body = section.split(f"\n| {first} |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in body]


def test_every_code_is_one_of_the_standard() -> None:
    """CID 217."""
    known = {standard.DCM.ClassActivation, standard.DCM.GradientWeightedClassActivation}
    named = {(entry.code.value, entry.code.scheme) for entry in LOCALIZERS.entries() if entry.code}
    assert named == {(one.value, one.scheme_designator) for one in known}


def test_names_and_cards_are_read_without_what_is_heavy() -> None:
    code = (
        "import sys; from models import packages; from models.localizers.registry import trainable;"
        "from models.networks.registry import NETWORKS;"
        "[packages.verify(one) for one in packages.available()]; trainable(); NETWORKS.names();"
        "print([one for one in ('torch', 'SimpleITK', 'numpy', 'sklearn', 'matplotlib') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
