"""Exported files: another program, ONNX Runtime or PyTorch alone, computes what the package computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from models import packages
from models.authoring.package import Package
from models.commands.cli import app
from models.exporters import formats, parity
from models.exporters.traced import exportee
from tests.models import phantoms

SIZE = (48, 32)


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["export", *(str(word) for word in words)])
    return done.exit_code, done.stdout, done.stderr.replace("\n", " ")


def pooled() -> nn.Module:
    torch.manual_seed(0)
    body = nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 8, 3, 2, 1), nn.ReLU()
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))


def save(network: object, folder: Path, activation: str = "sigmoid", where: str = "grad-cam", **scale: float) -> Path:
    made = Package("wrist", network, licence="MIT", trained_on="random weights")  # type: ignore[arg-type]
    made.input(modality=["DX"], size=SIZE, **(scale or {"mean": 0.5, "std": 0.25}))  # type: ignore[arg-type]
    for number in range(2):
        made.finding(
            f"Fracture {number}", sct="125605004", site="74670003", normal=activation == "softmax" and not number
        )
    made.output(activation, where=where)  # type: ignore[arg-type]
    return made.save(folder)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A package of a program, and its ONNX file."""
    room = tmp_path_factory.mktemp("export")
    folder = save(pooled(), room / "wrist")
    code, out, err = run(folder, "--out", room / "out")
    assert (code, err.count("differs")) == (0, 0), out + err
    return folder, room / "out" / "wrist.onnx"


def test_onnx_runtime_alone_gives_scores_probabilities_and_maps(written: tuple[Path, Path]) -> None:
    folder, file = written
    image = np.random.default_rng(1).random(SIZE, np.float32)
    ours = packages.load(folder, "cpu").predict(image)
    session = onnxruntime.InferenceSession(str(file))
    logits, probabilities, maps = session.run(["logits", "probabilities", "maps"], {"image": image[None, None]})
    np.testing.assert_allclose(logits[0], ours.logits, atol=1e-5)
    np.testing.assert_allclose(probabilities[0], ours.probabilities, atol=1e-6)
    np.testing.assert_allclose(maps[0], ours.saliency, atol=1e-5)
    assert maps.max() > 0


def test_the_file_and_the_json_beside_it_say_what_it_is(written: tuple[Path, Path]) -> None:
    folder, file = written
    held = {one.key: one.value for one in onnx.load_model(file).metadata_props}
    inside, beside = json.loads(held["readfirst"]), json.loads(Path(f"{file}.json").read_text(encoding="utf-8"))
    assert "not a medical device" in held["notice"]
    assert inside["card_sha256"] == packages.sha256(folder / "card.toml")
    assert [label["name"] for label in inside["labels"]] == ["Fracture_0", "Fracture_1"]
    assert inside["input"]["normalization"] == {
        "mean": 0.5, "std": 0.25, "scaling": "none", "where": "inside the graph: give intensities as they are"
    }  # fmt: skip
    assert beside["file"]["sha256"] == packages.sha256(file)
    assert beside["parity"]["holds"] and beside["parity"]["relative"]["logits"] < parity.TOLERANCE
    assert b"/tests/" not in file.read_bytes()


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_an_exported_file_comes_back_as_a_package_with_the_same_logits(
    written: tuple[Path, Path], tmp_path: Path, activation: str
) -> None:
    folder, file = written
    again = save(file, tmp_path / "wrist", activation, "occlusion", mean=0.0, std=1.0)
    image = np.random.default_rng(2).random(SIZE, np.float32)
    one, other = (packages.load(path, "cpu").predict(image) for path in (folder, again))
    np.testing.assert_allclose(one.logits, other.logits, atol=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_a_package_that_is_an_onnx_file_is_exported_with_its_normalization(
    written: tuple[Path, Path], tmp_path: Path, activation: str
) -> None:
    again = save(written[1], tmp_path / "wrist", activation, "occlusion", mean=0.25, std=0.5)
    code, out, err = run(again, "--out", tmp_path)
    assert code == 0, out + err
    image = np.random.default_rng(3).random(SIZE, np.float32)
    ours = packages.load(again, "cpu").predict(image)
    session = onnxruntime.InferenceSession(str(tmp_path / "wrist.onnx"))
    (probabilities,) = session.run(["probabilities"], {"image": image[None, None]})
    np.testing.assert_allclose(probabilities[0], ours.probabilities, atol=1e-6)
    code, _, err = run(again, "--to", "torch-export", "--out", tmp_path)
    assert code == 1
    assert "wrist is an ONNX file, which cannot become a program of torch.export: export it --to onnx." in err


def test_pytorch_alone_runs_the_program(written: tuple[Path, Path], tmp_path: Path) -> None:
    code, out, err = run(written[0], "--to", "torch-export", "--out", tmp_path)
    assert code == 0, out + err
    extra = {"readfirst.json": ""}
    program = torch.export.load(tmp_path / "wrist.pt2", extra_files=extra)
    image = np.random.default_rng(4).random(SIZE, np.float32)
    with torch.no_grad():
        logits, _, maps = program.module()(torch.from_numpy(image)[None, None])
    ours = packages.load(written[0], "cpu").predict(image)
    np.testing.assert_allclose(logits[0], ours.logits, atol=1e-5)
    np.testing.assert_allclose(maps[0], ours.saliency, atol=1e-5)
    assert json.loads(extra["readfirst.json"])["package"] == "wrist"


def test_maps_that_need_the_gradients_of_each_image_are_left_out_and_said(tmp_path: Path) -> None:
    torch.manual_seed(0)
    head = nn.Flatten(), nn.Linear(4 * 24 * 16, 8), nn.Tanh(), nn.Linear(8, 2)
    folder = save(nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), *head), tmp_path / "wrist")
    given = exportee(packages.load(folder, "cpu"))
    assert list(given.outputs) == ["logits", "probabilities"]
    assert "grad-cam maps of the node are no part of the forward pass" in given.graph.left


def test_a_file_that_differs_is_named_and_kept(
    written: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = formats.run_onnx

    def wrong(path: Path, given: formats.Exportee) -> formats.Run:
        right = honest(path, given)
        return lambda x: tuple(one + np.float32(0.01) for one in right(x))

    changed = formats.Format(".onnx", lambda *_: written[1].read_bytes(), wrong)
    monkeypatch.setitem(formats.FORMATS, "onnx", changed)
    code, _, err = run(written[0], "--out", tmp_path)
    assert code == 1
    assert "The file differs from the package: " in err
    assert (tmp_path / "wrist.onnx").is_file()


def test_int8_is_calibrated_on_other_splits_and_its_auc_measured(
    written: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = formats.Format(".onnx", lambda *_: written[1].read_bytes(), formats.run_onnx)
    monkeypatch.setitem(formats.FORMATS, "onnx", copied)
    data = phantoms.write_folder(tmp_path / "data", train=6, validation=6)
    table = data / "labels.csv"
    text = table.read_text(encoding="utf-8").replace("Disc,Half", "Fracture_0,Fracture_1")
    table.write_text(text, encoding="utf-8")
    code, out, err = run(written[0], "--int8", "--data", data, "--out", tmp_path / "out")
    beside = json.loads((tmp_path / "out" / "wrist.onnx.json").read_text(encoding="utf-8"))["int8"]
    assert code == (0 if beside["auc"]["holds"] else 1), out + err
    assert beside["calibration_images"] == 6
    assert beside["auc"]["images"] == 6
    assert beside["auc"]["before"].keys() == beside["auc"]["after"].keys() != set()
    operators = {node.op_type for node in onnx.load_model(tmp_path / "out" / "wrist-int8.onnx").graph.node}
    assert "QuantizeLinear" in operators


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("chest-ct",), "chest-ct cannot be exported: it is no network."),
        (("chest-xray", "--int8"), "--int8 needs --data DIR"),
        (("chest-xray", "--int8", "--to", "torch-export"), "--int8 is for --to onnx"),
        (("chest-xray", "--to", "caffe"), "There is no format 'caffe'; there are: onnx, torch-export, tflite."),
        (("lungs", "--to", "tflite"), "TFLite files are written with litert-torch, which is not here"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_sentence(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    code, _, err = run(*words, "--out", tmp_path / "out")
    assert code == 1
    assert sentence in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "kinds"), [("chest-xray", ["logits", "probabilities", "maps"]), ("lungs", ["maps"])])
def test_the_graph_of_a_shipped_package_is_what_its_localizer_computes(name: str, kinds: list[str]) -> None:
    given = exportee(packages.load(packages.ZOO / name, "cpu"))
    assert list(given.outputs) == kinds
    x = np.random.default_rng(5).random(given.graph.example, np.float32)
    with torch.no_grad():
        found = given.module(torch.from_numpy(x))
    for one, other in zip(found, parity.own(given, x), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3, rtol=1e-4)


def test_a_bag_of_slices_is_computed_for_any_number_of_them() -> None:
    given = exportee(packages.load(packages.ZOO / "chest-ct-tumour", "cpu"))
    for slices in (1, 3):
        x = np.random.default_rng(6).random((slices, *given.graph.example[1:]), np.float32)
        with torch.no_grad():
            found = given.module(torch.from_numpy(x))
        for one, other in zip(found, parity.own(given, x), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3, rtol=1e-4)
