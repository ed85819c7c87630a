"""Packages of TorchXRayVision's networks against the PyPI package's own network, on the same random weights."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.sr.codedict import codes
from typer.testing import CliRunner

from models import packages
from models.commands.cli import app
from models.errors import PackageError
from models.importers import foreign, xrv
from models.loaded import LoadedModel
from node.entities import StudyState
from node.settings import Settings
from tests.models import xrv_phantoms as theirs
from tests.models.test_card import verhoeff_is_right
from workers.delivery.profiles import result_options
from workers.inputs.decoding.decoder import Decoder
from workers.pipeline import Environment, Instance, Study, analyze

SAMPLE = next((Path(__file__).parents[3] / "deploy" / "samples" / "chest-xray-effusion").glob("*.dcm"))


def nothing(*_: object) -> None:
    return None


def built(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, old: bool = True
) -> tuple[LoadedModel, torch.nn.Module]:
    """The package as the command adds it, loaded, and their network."""
    network = theirs.network()
    file = theirs.save(network, folder / "published.pt", monkeypatch, old=old)
    words = ["add", f"torchxrayvision:{name}", "--weights", str(file), "--into", str(folder / "models")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    place = folder / "models" / f"xrv-{name.replace('_', '-')}"
    assert f"{place}: added" in done.output
    assert hashlib.sha256(file.read_bytes()).hexdigest() in done.output
    model = packages.load(place, "cpu")
    assert isinstance(model, LoadedModel)
    return model, network


def image(seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((224, 224), np.float32)


def test_the_table_is_theirs() -> None:
    table, module = xrv.table(), theirs.module()
    assert table["outputs"] == module.DenseNet.targets
    theirs_all = {name for name in module.model_urls if name.startswith("densenet121-res224-")}
    assert set(table["networks"]) == theirs_all
    for name, network in table["networks"].items():
        published = module.model_urls[name]
        assert table["release"] + network["file"] == published["weights_url"]
        trained = [(label, point) for label, point in zip(published["labels"], published["op_threshs"], strict=True)]
        assert network["operating_points"] == {label: point for label, point in trained if label}
        assert all(label == table["outputs"][index] for index, (label, _) in enumerate(trained) if label)
        assert all(math.isnan(point) for label, point in trained if not label)


@pytest.mark.parametrize(("name", "old"), [("densenet121-res224-all", True), ("densenet121-res224-mimic_nb", False)])
def test_logits_and_scores_are_theirs(name: str, old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, network = built(name, tmp_path, monkeypatch, old)
    published = theirs.module().model_urls[name]
    rows = [index for index, label in enumerate(published["labels"]) if label]
    assert [label.name.replace("_", " ") for label in model.card.labels] == [
        published["labels"][row].replace("_", " ") for row in rows
    ]
    for seed in range(3):
        given = image(seed)
        normalized = (2 * given - 1.0) * 1024  # torchxrayvision.utils.normalize(given, 1)
        with torch.inference_mode():
            logits = network(torch.from_numpy(normalized)[None, None])
            scores = theirs.module().op_norm(torch.sigmoid(logits), torch.tensor(published["op_threshs"]))
        prediction = model.predict(given)
        assert np.abs(logits[0, rows].numpy()).max() > 0.1  # of the size at which 1e-5 says something
        assert np.abs(prediction.logits - logits[0, rows].numpy()).max() <= 1e-5
        assert np.abs(prediction.probabilities - scores[0, rows].numpy()).max() <= 1e-5


@pytest.mark.parametrize(("key", "around"), [("model", ""), ("state_dict", "module."), ("state_dict", "model.")])
def test_a_checkpoint_gives_the_same_package(
    key: str, around: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {around + name: value for name, value in theirs.network().state_dict().items()}
    torch.save({"epoch": 9, key: state, "optimizer": {"state": {}}}, tmp_path / "checkpoint.pt")
    whole = theirs.save(theirs.network(), tmp_path / "whole.pt", monkeypatch, old=True)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, file in zip(folders, (tmp_path / "checkpoint.pt", whole), strict=True):
        folder.mkdir()
        xrv.build("densenet121-res224-all", folder, file, nothing)
    one, two = (next(folder.glob("xrv-*/weights.safetensors")).read_bytes() for folder in folders)
    assert one == two


def test_regions_begin_where_the_rule_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, network = built("densenet121-res224-all", tmp_path, monkeypatch)
    bias = network.get_parameter("classifier.bias").detach().numpy()
    called = 0
    for seed in range(3):
        prediction = model.predict(image(seed))
        assert prediction.saliency.shape == (18, 7, 7)
        assert np.abs(prediction.saliency.mean((1, 2)) + bias - prediction.logits).max() < 1e-5
        for index, label in enumerate(model.card.labels):
            alone = foreign.logit(label.calibration.pivot) - bias[index]
            assert label.saliency_threshold == pytest.approx(alone, abs=1e-5)
            if prediction.probabilities[index] >= label.operating_point:
                called += 1
                assert prediction.saliency[index].max() >= label.saliency_threshold
    assert called


def test_a_study_goes_through_the_pipeline_and_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = built("densenet121-res224-all", tmp_path, monkeypatch)
    with Decoder() as decoder:
        instance = Instance(str(dcmread(SAMPLE).SOPInstanceUID), SAMPLE, 1_767_348_930.0)
        environment = Environment(decoder, "0.1.0", result_options(Settings()))
        report = analyze(Study((instance,), tmp_path / "out"), [model], environment)
    assert (report.state, report.left_out, report.notes) == (StudyState.ANALYSED, (), ())
    assert [finding.label for finding in report.findings] == [label.title for label in model.card.labels]
    assert all(0 <= finding.probability <= 1 and finding.quantity == "score" for finding in report.findings)
    present = [finding for finding in report.findings if finding.present]
    assert present
    assert all(finding.place for finding in present)
    assert [result.kind for result in report.results] == ["segmentation", "regions", "statement"]


def test_the_card_says_whose_it_is_and_that_nobody_measured_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = built("densenet121-res224-chex", tmp_path, monkeypatch)
    card = model.card
    assert len(card.labels) == 11
    assert card.training.measured == ()
    assert card.weights is not None
    assert card.weights.source.startswith("https://github.com/mlmed/torchxrayvision/releases/download/v1/chex-")
    assert card.weights.source_sha256 == hashlib.sha256((tmp_path / "published.pt").read_bytes()).hexdigest()
    said = " ".join(card.limits)
    for words in ("Not measured by us", "Regions were not measured", "no probabilities", "cuts the middle square"):
        assert words in said
    assert "Cohen" in card.training.citation
    assert "CheXpert" in card.training.data
    shown = CliRunner().invoke(app, ["show", card.name, "--models", str(tmp_path / "models")])
    assert "Not measured by us" in shown.output


def test_findings_have_codes_that_are_trusted() -> None:
    known = foreign.known_findings()
    assert {output.replace(" ", "_") for output in xrv.table()["outputs"]} == set(known) - {"Normal"}
    coded = [tuple(code) for one in known.values() for code in (one["code"], one["site"])]
    assert [value for value, scheme, _ in coded if scheme == "SCT" and not verhoeff_is_right(value)] == []
    assert all(len(value) <= 16 and scheme in ("SCT", "DCM", "99READFIRST") for value, scheme, _ in coded)
    sites = {
        codes.SCT.Lung,
        codes.SCT.Heart,
        codes.SCT.Pleura,
        codes.SCT.Diaphragm,
        codes.SCT.Rib,
        codes.SCT.Mediastinum,
    }
    assert {one["site"][0] for one in known.values()} <= {site.value for site in sites}
    assert len({tuple(one["colour"]) for one in known.values()}) == len(known)
    assert all((one["urgency"] == "HIGH") == (one["acr"] == 1) for one in known.values())


def test_networks_that_are_not_ours_to_build_are_named(tmp_path: Path) -> None:
    for name in ("resnet50-res512-all", "nothing"):
        with pytest.raises(PackageError, match=f"'{name}' cannot be added.*densenet121-res224-all, .*ResNet"):
            xrv.build(name, tmp_path, tmp_path / "any.pt", nothing)
    done = CliRunner().invoke(app, ["add", str(tmp_path), "--weights", "any.pt", "--into", str(tmp_path / "models")])
    assert done.exit_code == 1
    assert "--weights is for torchxrayvision:NAME" in done.output


def test_other_weights_are_refused(tmp_path: Path) -> None:
    state = theirs.network().state_dict()
    for change, words in [
        ({"classifier.weight": torch.zeros(14, 1024), "classifier.bias": torch.zeros(14)}, "has not 18 outputs"),
        ({"layer1.0.conv1.weight": torch.zeros(1)}, "'layer1.0.conv1.weight' has no place"),
        ({"features.conv0.weight": torch.zeros(64, 3, 7, 7)}, "size mismatch for conv0.weight"),
    ]:
        torch.save(state | change, tmp_path / "state.pt")
        with pytest.raises(PackageError, match=words):
            xrv.build("densenet121-res224-all", tmp_path, tmp_path / "state.pt", nothing)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine; GitHub's cannot be reached from where the tests run."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return None

        def do_GET(self) -> None:
            if self.path != "/cut.pt":
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(bytes(10))
            return None

    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "weights.pt").write_bytes(bytes(range(256)) * 10_000)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served"))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


def test_weights_are_fetched_with_progress(server: str, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    path = xrv.fetch(server + "weights.pt", tmp_path / "got.pt", lambda *step: seen.append(step))
    assert path.read_bytes() == (tmp_path / "served" / "weights.pt").read_bytes()
    assert len(seen) > 1
    assert seen[-1] == ("bytes", 2_560_000, 2_560_000)


def test_a_download_that_ends_early_is_said(server: str, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"cut\.pt ended after 10 of 100 bytes; try again"):
        xrv.fetch(server + "cut.pt", tmp_path / "got.pt", nothing)


def test_without_internet_the_file_and_the_option_are_named(server: str, tmp_path: Path) -> None:
    for url in (server + "missing.pt", "http://127.0.0.1:9/weights.pt"):
        with pytest.raises(PackageError, match=r"could not be fetched \(.+\)\. Fetch it .* --weights FILE") as caught:
            xrv.fetch(url, tmp_path / "got.pt", nothing)
        assert url in str(caught.value)
