"""A package of a user's own network: what is written, and that all that is wrong is said at once."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models import packages
from models.authoring.codes import sct
from models.authoring.package import WHERE, Package
from models.errors import PackageError


def network(findings: int = 1, *end: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    body = nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 8, 3, 2, 1), nn.ReLU()
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, findings), *end)


def package(given: object, findings: int = 1, where: str = "grad-cam", size: tuple[int, int] = (48, 32)) -> Package:
    made = Package("wrist-fracture", given, licence="MIT", trained_on="312 wrists")  # type: ignore[arg-type]
    made.input(modality=["DX", "CR"], body_part="WRIST", size=size, mean=0.5, std=0.25)
    for number in range(findings):
        made.finding(f"Fracture {number}", sct="125605004", site="74670003", urgency="HIGH")
    made.output("sigmoid", where=where)
    return made


def written(module: nn.Module, folder: Path, kind: str) -> object:
    """The network as a user may have it: itself, a program, its archive, or an ONNX file."""
    x = torch.zeros(1, 1, 48, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "onnx":
            torch.onnx.export(module, (x,), str(folder / "net.onnx"), dynamo=False)
            return folder / "net.onnx"
        if kind == "module":
            return module
        traced = torch.export.export(module.eval(), (x,))
        torch.export.save(traced, folder / "net.pt2")
    return traced if kind == "program" else str(folder / "net.pt2")


@pytest.mark.parametrize("kind", ["module", "program", "pt2", "onnx"])
def test_the_node_computes_what_the_network_computes(tmp_path: Path, kind: str) -> None:
    module, image = network(2).eval(), np.random.default_rng(0).random((48, 32), np.float32)
    folder = package(written(module, tmp_path, kind), 2).save(tmp_path / "wrist-fracture")
    prediction = packages.load(folder, "cpu").predict(image)
    with torch.no_grad():
        logits = module((torch.from_numpy(image)[None, None] - 0.5) / 0.25)[0]
    np.testing.assert_allclose(prediction.logits, logits, atol=1e-5)
    np.testing.assert_allclose(prediction.probabilities, torch.sigmoid(logits), atol=1e-5)
    assert prediction.saliency.shape == (2, 12, 8)


@pytest.mark.parametrize("where", sorted({*WHERE} - {"rollout"}))
def test_every_way_to_locate_a_finding_works_with_an_onnx_file_that_pools(tmp_path: Path, where: str) -> None:
    folder = package(written(network(), tmp_path, "onnx"), where=where).save(tmp_path / "wrist-fracture")
    assert packages.load_card(folder).localizer == where


def test_the_card_says_what_the_user_said_and_nothing_of_another_model(tmp_path: Path) -> None:
    card = packages.load_card(package(network()).save(tmp_path / "wrist-fracture"))
    (label,) = card.labels
    assert (label.name, label.code, label.site) == (
        "Fracture_0", ("125605004", "SCT", "Fracture 0"), sct("74670003", ""),
    )  # fmt: skip
    assert label.site.meaning.startswith("Wrist joint")
    assert (card.training.data, card.licence, card.manufacturer) == ("312 wrists", "MIT", "not given")
    assert card.input.body_parts == ("WRIST",)
    assert label.triage is None
    shipped = packages.load_card(packages.ZOO / "chest-xray")
    assert not set(card.limits) & set(shipped.limits[1:])


def test_all_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(PackageError, match=r"(?s)1\. input\(\) is missing.*2\. finding\(\) is missing"):
        Package("a", network(), licence="MIT", trained_on="x").card()


def test_what_does_not_fit_together_is_said_at_once(tmp_path: Path) -> None:
    softmax = written(network(3, nn.Softmax(1)), tmp_path, "onnx")
    with pytest.raises(
        PackageError,
        match=r"(?s)1\. the network has 3 outputs and 1 findings.*2\. the network ends in softmax",
    ):
        package(softmax).card()
    with pytest.raises(PackageError, match="exported for inputs of .1, 1, 48, 32., and input.. asks for .1, 1, 64, 64"):
        package(softmax, size=(64, 64)).card()
    flat = nn.Sequential(nn.Flatten(), nn.Linear(48 * 32, 1))
    with pytest.raises(PackageError, match='needs gradients, which ONNX Runtime has not: use where="occlusion"'):
        package(written(flat, tmp_path, "onnx")).card()
    with pytest.raises(PackageError, match="There is no way 'lime'"):
        package(network(), where="lime")
    with pytest.raises(PackageError, match=r"network\.std"):
        wrong = package(network())
        wrong.input(modality=["DX"], size=(48, 32), std=0.0)
        wrong.card()


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "net.pt")
    with pytest.raises(PackageError, match="is a pickle and is never read"):
        package(tmp_path / "net.pt").card()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    package(network()).save(tmp_path / "wrist-fracture")
    with pytest.raises(PackageError, match="is there already"):
        package(network()).save(tmp_path / "wrist-fracture")


def test_of_exclusive_classes_one_is_present_and_the_normal_one_is_no_finding(tmp_path: Path) -> None:
    module, image = network(3).eval(), np.random.default_rng(0).random((48, 32), np.float32)
    made = Package("grades", module, licence="MIT", trained_on="nothing")
    made.input(modality=["DX"], size=(48, 32), mean=0.5, std=0.25)
    made.finding("Normal", sct="17621005", site="74670003", normal=True)
    made.finding("Fracture", sct="125605004", site="74670003", urgency="HIGH")
    made.finding("Other", sct="64572001", site="74670003")
    made.output("softmax")
    loaded = packages.load(made.save(tmp_path / "grades"), "cpu")
    assert [label.finding for label in loaded.card.labels] == [False, True, True]
    with torch.no_grad():
        expected = torch.softmax(module((torch.from_numpy(image)[None, None] - 0.5) / 0.25)[0], 0)
    np.testing.assert_allclose(loaded.predict(image).probabilities, expected, atol=1e-5)
