"""A run that was killed in its second epoch and continued ends like one that was not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from models.errors import PackageError, RunError
from models.learning import checkpoints
from models.networks.modules.backbone_file import imagenet_weights
from tests.models.learning.runs import CONTRAST, TUNE, Killed, contrasted, tuned

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)

Runs = tuple[Path, Path]
FILES = ("history.csv", "backbone.safetensors", "loss.png")


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    tuned(data, folder / "whole")
    with pytest.raises(Killed):
        tuned(data, folder / "killed", die="epoch 2 of 3")
    assert len((folder / "killed" / "history.csv").read_text().splitlines()) == 2
    shutil.copytree(folder / "killed", folder / "cut")
    torch.manual_seed(99)  # another process draws other numbers
    np.random.default_rng(99)
    tuned(data, folder / "killed", resume=True)
    return folder / "whole", folder / "killed"


def test_weights_and_optimizer_are_equal(runs: Runs) -> None:
    whole, killed = (checkpoints.restore(run) for run in runs)
    assert whole is not None
    assert killed is not None
    assert whole.history == killed.history
    assert len(whole.history) == 3
    for key, value in whole.network.items():
        torch.testing.assert_close(killed.network[key], value, atol=1e-6, rtol=0)
    for index, state in whole.optimizer["state"].items():
        torch.testing.assert_close(killed.optimizer["state"][index]["exp_avg"], state["exp_avg"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", [*FILES, "auc.png", "roc.png", "held_out.csv"])
def test_files_are_equal(runs: Runs, name: str) -> None:
    whole, killed = runs
    assert (whole / name).read_bytes() == (killed / name).read_bytes()


def test_contrastive_runs_are_equal(few: Path, tmp_path: Path) -> None:
    contrasted(few, tmp_path / "whole")
    with pytest.raises(Killed):
        contrasted(few, tmp_path / "killed", die="epoch 2 of 2")
    contrasted(few, tmp_path / "killed", resume=True)
    for name in FILES:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name


def test_a_finished_run_stays_as_it_is(data: Path, runs: Runs) -> None:
    before = {name: (runs[0] / name).read_bytes() for name in FILES}
    tuned(data, runs[0], resume=True, die="epoch 1 of 3")
    assert {name: (runs[0] / name).read_bytes() for name in FILES} == before


def test_what_differs_is_named(data: Path, runs: Runs) -> None:
    run = runs[0]
    with pytest.raises(RunError, match=r"because this differs: loss was 'bce' and is 'focal'\.$"):
        tuned(data, run, replace(TUNE, loss="focal"), resume=True)
    with pytest.raises(RunError, match=r"batch was 8 and is 4; rate was 0\.001 and is 0\.002"):
        tuned(data, run, replace(TUNE, batch=4, rate=0.002), resume=True)
    with pytest.raises(RunError, match="command was 'finetune' and is 'pretrain'"):
        contrasted(data, run, CONTRAST, resume=True)


def test_other_labels_are_seen(data: Path, runs: Runs, tmp_path: Path) -> None:
    other = Path(shutil.copytree(data, tmp_path / "data"))
    table = other / "labels.csv"
    table.write_text(table.read_text() + "train,000.png,0,0,50,F,PA,A,0,0\n")
    with pytest.raises(RunError, match="labels_sha256 was '"):
        tuned(other, runs[0], resume=True)


def test_a_run_is_never_written_over(data: Path, runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds a run already: continue it with --resume"):
        tuned(data, runs[0])
    with pytest.raises(RunError, match="There is no run to continue"):
        tuned(data, tmp_path, resume=True)


def test_a_damaged_checkpoint_is_named(data: Path, runs: Runs) -> None:
    cut = runs[0].parent / "cut"
    path = cut / checkpoints.FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"checkpoint\.pt cannot be read"):
        tuned(data, cut, resume=True)


def test_the_checkpoint_runs_no_code(runs: Runs, tmp_path: Path) -> None:
    torch.save({"network": {}, "optimizer": {}, "history": [Path("evil")]}, tmp_path / checkpoints.FILE)
    with pytest.raises(RunError, match="cannot be read"):
        checkpoints.restore(tmp_path)
    assert checkpoints.restore(runs[0]) is not None


def test_the_record_tells_how_to_repeat(runs: Runs) -> None:
    record = json.loads((runs[0] / "run.json").read_text())
    assert record["options"]["seed"] == 0
    assert record["labels"] == ["Disc", "Half"]
    assert record["images"] + record["held_out"] == 60  # of the split train alone
    assert record["versions"]["torch"] == torch.__version__
    assert len(record["weights_sha256"]) == len(record["labels_sha256"]) == 64
    history = (runs[0] / "history.csv").read_text().splitlines()
    scores = [float(line.split(",")[4]) for line in history[1:]]
    assert record["result"]["score"] == pytest.approx(max(scores), abs=1e-5)
    assert safetensors.torch.load_file(runs[0] / record["result"]["backbone"])
