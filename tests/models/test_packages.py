from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from models import packages
from models.errors import CardError, InputError, PackageError
from models.importers.installing import add, check_free
from models.localizers.thorax_cam import ThoraxLocalizer
from models.networks.modules.storage import filled, to_bytes
from models.networks.modules.thorax import ThoraxNetwork
from models.networks.registry import NETWORKS
from tests.models import phantoms

SHIPPED = (
    "chest-ct", "chest-ct-findings", "chest-ct-nodules", "chest-ct-tumour", "chest-xray", "lungs", "lungs-ct",
)  # fmt: skip
XRAY = packages.ZOO / "chest-xray"
CT = packages.ZOO / "chest-ct"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return Path(shutil.copytree(XRAY, tmp_path / "mine" / "chest-xray"))


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("folder", packages.available(), ids=lambda folder: folder.name)
def test_what_we_ship_is_whole(folder: Path) -> None:
    packages.verify(folder)
    assert packages.load_card(folder).name == folder.name
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8_000_000


def test_these_packages_are_shipped() -> None:
    assert [folder.name for folder in packages.available()] == list(SHIPPED)


def test_tampered_weights_are_refused(package: Path) -> None:
    flip_a_bit(package / "weights.safetensors")
    for use in (packages.verify, packages.load):
        with pytest.raises(PackageError, match="the weights are not those that were measured"):
            use(package)


def test_missing_weights_are_named(package: Path) -> None:
    (package / "weights.safetensors").unlink()
    with pytest.raises(PackageError, match=r"weights\.safetensors is missing: copy the whole package folder"):
        packages.verify(package)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    package = phantoms.write_package(tmp_path)
    card = package / "card.toml"
    text = card.read_text(encoding="utf-8")
    assert "taps = [6, 10, 14]" in text
    card.write_text(text.replace("taps = [6, 10, 14]", "taps = [6, 10, 13]"), encoding="utf-8")
    with pytest.raises(PackageError, match="do not fit the \\[network\\] of the card"):
        packages.load(package)


def test_weights_outside_the_folder_cannot_be_named(package: Path) -> None:
    card = package / "card.toml"
    text = card.read_text(encoding="utf-8")
    card.write_text(text.replace('"weights.safetensors"', '"../weights.safetensors"'), encoding="utf-8")
    with pytest.raises(CardError, match=r"weights\.file"):
        packages.verify(package)


def test_the_digest_names_card_and_weights(package: Path) -> None:
    first = packages.digest(package)
    assert first == packages.digest(XRAY) == packages.load(package).digest
    card = package / "card.toml"
    card.write_bytes(card.read_bytes() + b"\n")
    second = packages.digest(package)
    flip_a_bit(package / "weights.safetensors")
    assert len({first, second, packages.digest(package)}) == 3


def test_a_users_package_comes_before_the_shipped_one(package: Path) -> None:
    assert packages.find("chest-xray", [package.parent]) == package
    assert packages.find("chest-xray") == XRAY
    others = (packages.ZOO / name for name in SHIPPED if name != "chest-xray")
    assert packages.available([package.parent, package.parent / "nowhere"]) == (package, *others)


def test_an_unknown_name_lists_those_that_there_are() -> None:
    with pytest.raises(PackageError, match=f"no model package named 'chest'; there are: {', '.join(SHIPPED)}"):
        packages.find("chest")


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(PackageError, match="'cuda:99' cannot be used"):
        packages.load(XRAY, device="cuda:99")


def test_add_copies_once_and_never_overwrites_silently(package: Path, tmp_path: Path) -> None:
    into = tmp_path / "var" / "models"
    (package / "notes.exe").write_bytes(b"x")
    assert add(package, into) == (into / "chest-xray", True)
    assert sorted(path.name for path in (into / "chest-xray").iterdir()) == [
        "card.toml",
        "reliability.png",
        "weights.safetensors",
    ]
    assert add(package, into) == (into / "chest-xray", False)
    card = package / "card.toml"
    card.write_text(card.read_text(encoding="utf-8").replace('version = "', 'version = "9', 1), encoding="utf-8")
    with pytest.raises(PackageError, match="give --replace"):
        add(package, into)
    assert packages.digest(into / "chest-xray") == packages.digest(XRAY)
    assert add(package, into, replace=True) == (into / "chest-xray", True)
    assert packages.digest(into / "chest-xray") == packages.digest(package)
    assert [path.name for path in into.iterdir()] == ["chest-xray"]


def test_add_refuses_what_is_not_whole(package: Path, tmp_path: Path) -> None:
    flip_a_bit(package / "weights.safetensors")
    with pytest.raises(PackageError):
        add(package, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_link_in_a_package_is_not_followed(package: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of another")
    (package / "NOTICE").symlink_to(tmp_path / "secret")
    with pytest.raises(PackageError, match="NOTICE is a link"):
        add(package, tmp_path / "models")
    assert not (tmp_path / "models" / "chest-xray").exists()


def test_training_never_writes_over_a_package(tmp_path: Path) -> None:
    check_free(tmp_path)
    with pytest.raises(PackageError, match="already holds a package"):
        check_free(XRAY)


@pytest.mark.parametrize("folder", packages.available(), ids=lambda folder: folder.name)
def test_what_we_ship_works(folder: Path) -> None:
    packages.require_working(packages.load(folder, "cpu"))


def test_a_network_that_gives_no_numbers_is_noticed_behind_the_lungs() -> None:
    model = packages.load(XRAY, "cpu")
    assert isinstance(model.localizer, ThoraxLocalizer)
    model.localizer.network.weight.data.fill_(float("nan"))
    with pytest.raises(PackageError, match="probabilities that are no numbers"):
        packages.require_working(model)


def test_inputs_that_the_card_does_not_know_are_refused() -> None:
    xray, ct = packages.load(XRAY, "cpu"), packages.load(CT)
    good = np.zeros((512, 512), np.float32)
    for image, words in [
        (good[:-1], "takes images of"),
        (good + 2, "takes intensities of 0"),
        (np.full_like(good, np.nan), "takes intensities of 0"),
        (good, "no lungs seen: "),
    ]:
        with pytest.raises(InputError, match=words):
            xray.predict(image)
    volume = np.zeros((30, 128, 128), np.float32)
    for array, spacing, words in [
        (volume[:10], (1.0, 1.0, 1.0), "volumes of at least"),
        (volume, None, "needs the spacing"),
        (volume, (1.0, 0.0, 1.0), "needs the spacing"),
        (volume * np.nan, (1.0, 1.0, 1.0), "no numbers"),
        (volume, (1.0, 1.0, 1.0), "No lungs were found"),
    ]:
        with pytest.raises(InputError, match=words):
            ct.predict(array, spacing)


def test_the_shipped_weights_are_written_as_they_are_read() -> None:
    """Training writes the bytes that the shipped card's SHA-256 names, whatever else networks learn to hold."""
    card = packages.load_card(XRAY)
    assert card.network is not None
    data = (XRAY / "weights.safetensors").read_bytes()
    assert to_bytes(filled(ThoraxNetwork(card.network.taps, len(card.labels)), data)) == data


def test_weights_of_a_network_of_the_registry_are_written_as_they_are_read(tmp_path: Path) -> None:
    folder = phantoms.write_package(tmp_path)
    card = packages.load_card(folder)
    assert card.network is not None
    data = (folder / "weights.safetensors").read_bytes()
    built = NETWORKS.get(card.network.backbone).build(card.network, len(card.labels))
    assert to_bytes(filled(built, data)) == data
